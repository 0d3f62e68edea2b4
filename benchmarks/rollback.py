"""Seconds of a rollback under load, from the command to the last answer of the former release.

`python -m benchmarks.rollback [--times 5] [--engines litert savedmodel]`, from the project's root.
Four shoppers ask without pause over kept-alive connections and never ask twice; a request without
a good answer counts as failed. Warm: the target still runs. Cold: its processes were killed.
"""

import argparse
import json
import os
import platform
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from serving.host.host import SOURCES
from tests.rollout_fixtures import write_card
from tests.rollout_shop import Shop, eventually, open_shop, unused_port
from tests.serving import bundles
from tests.shoppers import Shoppers

RESULTS = Path(__file__).parent / "results"
SHOPPERS = 4


@dataclass(frozen=True)
class Measured:
    """One rollback.

    Attributes:
        engine: What computes.
        start: `warm` or `cold`.
        all_traffic_seconds: From the command to the last answer of the former release.
        command_seconds: Until the command said done, its own start included.
        requests: Asked while the command ran.
        failed: Of those, without a good answer.
        gone_back: Answered by the former release after the new one had answered.
    """

    engine: str
    start: str
    all_traffic_seconds: float
    command_seconds: float
    requests: int
    failed: int
    gone_back: int


def measure(shop: Shop, start: str, engine: str) -> Measured:
    """Roll back to the release that does not serve now."""
    known = shop.record
    present = known.live_colour
    target = next(line for line in known.history if line.digest != present.digest)
    if start == "cold":
        for pid in (known.colours[known.other].gateway.pid, known.colours[known.other].model.pid):
            os.kill(pid, signal.SIGKILL)
        eventually(lambda: known.other not in shop.record.colours)
    command = [sys.executable, "-m", "ci", "--config", str(shop.config.path)]
    with Shoppers(shop.address, count=SHOPPERS) as shoppers:
        shoppers.wait_for(50)
        began = time.monotonic()
        subprocess.run(
            [*command, "rollback", "--to", str(target.model_version)],
            check=True,
            cwd=SOURCES,
            capture_output=True,
        )
        ended = time.monotonic()
        shoppers.wait_for(50)
    asked = [one for one in shoppers.asked if one.began >= began]
    by_former = [one for one in asked if one.version == present.model_version]
    first_of_target = min(one.ended for one in asked if one.version == target.model_version)
    return Measured(
        engine=engine,
        start=start,
        all_traffic_seconds=max(one.ended for one in by_former) - began,
        command_seconds=ended - began,
        requests=sum(one.began <= ended for one in asked),
        failed=len(shoppers.failed),
        gone_back=sum(one.began > first_of_target for one in by_former),
    )


def run(folder: Path, model: Path, engine: str, times: int) -> list[Measured]:
    """Measure one engine: every start so many times, in turns."""
    shop = open_shop(folder, model, unused_port(), engine)
    try:
        shop.deploy(1)
        shop.deploy(2)
        return [measure(shop, start, engine) for _ in range(times) for start in ("warm", "cold")]
    finally:
        shop.end()


def table(measured: list[Measured]) -> str:
    """A Markdown table: median and range a row."""
    lines = [
        "| engine | target | rollbacks | seconds to all traffic | seconds of the command "
        "| requests meanwhile | failed | gone back |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for engine, start in dict.fromkeys((one.engine, one.start) for one in measured):
        rows = [one for one in measured if (one.engine, one.start) == (engine, start)]
        moved = spread([one.all_traffic_seconds for one in rows])
        whole = spread([one.command_seconds for one in rows])
        counts = [sum(getattr(one, name) for one in rows) for name in ("requests", "failed")]
        back = sum(one.gone_back for one in rows)
        lines.append(
            f"| {engine} | {start} | {len(rows)} | {moved} | {whole} "
            f"| {counts[0]} | {counts[1]} | {back} |"
        )
    return "\n".join(lines) + "\n"


def spread(values: Sequence[float], digits: int = 2) -> str:
    """Median and range, as a person reads them."""
    median, least, most = statistics.median(values), min(values), max(values)
    return f"{median:.{digits}f} ({least:.{digits}f}–{most:.{digits}f})"


def main() -> None:
    """Measure, print the table, and write it and the figures to `results/`."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--times", type=int, default=5)
    parser.add_argument("--engines", nargs="+", default=["litert", "savedmodel"])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = write_card(bundles.build((folder / "bundle", 1))[0])
        measured = [
            one
            for engine in options.engines
            for one in run(folder / engine, model, engine, options.times)
        ]
    RESULTS.mkdir(exist_ok=True)
    machine = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    content = {"machine": machine, "measured": [asdict(one) for one in measured]}
    (RESULTS / "rollback.json").write_text(json.dumps(content, indent=2) + "\n")
    (RESULTS / "rollback.md").write_text(table(measured))
    print(table(measured))


if __name__ == "__main__":
    main()
