"""Wall time of each stage of the main job, and of a second run that has nothing to do.

`python -m benchmarks.stages [--set KEY=VALUE …]` runs the default shop in a temporary folder,
twice, and reads the seconds that the stages recorded of themselves.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from ci.pipeline import STAGES

ROOT = Path(__file__).resolve().parent.parent
RESULTS = Path(__file__).parent / "results"


def run(folder: Path, settings: list[str], *command: str) -> float:
    """Run one command on the shop of `folder`; wall seconds from door to end."""
    folders = [f"storage.build={folder}/build", f"storage.state={folder}/var"]
    overrides = [word for value in (*folders, *settings) for word in ("--set", value)]
    started = time.monotonic()
    subprocess.run(
        [sys.executable, "-m", "ci", *overrides, *command],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=True,
        stdout=subprocess.DEVNULL,
    )
    return time.monotonic() - started


def stage_seconds(folder: Path) -> dict[str, float]:
    """The seconds that each stage of the last run recorded."""
    records = {path.stem: path for path in folder.glob("build/*/next_item/.stages/*.json")}
    return {
        stage.name: json.loads(records[stage.name].read_text())["result"]["seconds"]
        for stage in STAGES
        if stage.name in records
    }


def main() -> None:
    """Measure, print the table, write `results/stages.json`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    settings = parser.parse_args().set
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        first = run(folder, settings, "run")
        seconds = stage_seconds(folder)
        second = run(folder, settings, "run")
        run(folder, settings, "serve", "--stop")
    load = os.getloadavg()[1]
    print("| stage | seconds |\n|---|---:|")
    for stage, taken in seconds.items():
        print(f"| {stage} | {taken:.1f} |")
    print(f"| the whole run | {first:.1f} |\n| a second run, nothing changed | {second:.1f} |")
    print(f"\n{os.cpu_count()} cores, load {load:.1f} over five minutes, {platform.machine()}")
    content = {"stages": seconds, "run": first, "second_run": second, "load": load}
    RESULTS.joinpath("stages.json").write_text(json.dumps(content, indent=2) + "\n")


if __name__ == "__main__":
    main()
