"""What a place to serve from costs: memory, request rate, and seconds of a release and a rollback.

`python -m benchmarks.targets [--targets process compose hosts] [--seconds 5]`, from the project's
root, as root where Docker is needed. Each place gets two releases of the same encoder (20,000
items, LiteRT), then a load at its public door; on `hosts` it is the first of two rehearsal hosts.
Memory is the proportional set size of what serves, with both colours up, after the load. All share
this machine's cores with whoever asks: compare the rows with one another, nothing else.
"""

import argparse
import http.client
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.serving_load import Call, Make, drive
from ci.config import PROJECT
from tests.docker_engine import docker_engine
from tests.rollout_places import Place, of_compose, of_hosts, of_process
from tests.rollout_shop import running
from tests.shoppers import PATH

RESULTS = Path(__file__).parent / "results"
ITEMS, LENGTH, FREQUENT = 20_000, 50, 20
CLIENTS = 8
Pids = Callable[[], list[int]]


@dataclass(frozen=True)
class Measured:
    """One place.

    Attributes:
        target: Its name.
        serving_megabytes: Both colours and the door.
        engine_megabytes: What else the place needs to run them: Docker, its shims and proxies.
        requests_per_second: Recommendations answered at the door, by so many clients at once.
        p50_ms: Median latency of those.
        p99_ms: Their 99th percentile.
        failed: Of those, not answered with 200.
        deploy_seconds: Of `bin/ci deploy`, from the command to its end; every host.
        rollback_seconds: Of `bin/ci rollback` to the warm release.
    """

    target: str
    serving_megabytes: float
    engine_megabytes: float
    requests_per_second: float
    p50_ms: float
    p99_ms: float
    failed: int
    deploy_seconds: float
    rollback_seconds: float


def measure(place: Place, pids: Pids, seconds: float) -> Measured:
    """Release twice, go back, then load the door of a place."""
    place.export(1)
    command(place, "deploy")
    place.export(2)
    deploy = command(place, "deploy")
    rollback = command(place, "rollback")
    door = shopper(place.address)
    drive(door, CLIENTS, 1.0)
    began = time.perf_counter()
    latencies, failed = drive(door, CLIENTS, seconds)
    took = time.perf_counter() - began
    serving, engine = memory(pids())
    cuts = statistics.quantiles(latencies, n=100)
    return Measured(
        target=place.name,
        serving_megabytes=round(serving / 1e6),
        engine_megabytes=round(engine / 1e6),
        requests_per_second=round((len(latencies) - failed) / took),
        p50_ms=round(cuts[49] * 1000, 1),
        p99_ms=round(cuts[98] * 1000, 1),
        failed=failed,
        deploy_seconds=round(deploy, 1),
        rollback_seconds=round(rollback, 1),
    )


def command(place: Place, *words: str) -> float:
    """Seconds of a command for a place, its own start included."""
    more = (*place.options, *(place.deploying if words[0] == "deploy" else ()))
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "ci", "--config", str(place.shop.config.path), *words, *more],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise SystemExit(f"{place.name}: {' '.join(words)} failed:\n{done.stdout}{done.stderr}")
    return time.monotonic() - began


def shopper(address: str) -> Make:
    """Clients that ask a door for recommendations, one kept-alive connection each."""

    def make() -> Call:
        connection = http.client.HTTPConnection(address, timeout=60)

        def call(_: int) -> bool:
            connection.request("GET", PATH)
            answer = connection.getresponse()
            return bool(answer.read()) and answer.status == 200

        return call

    return make


def memory(pids: list[int]) -> tuple[int, int]:
    """Bytes of what serves (ours and HAProxy), and of everything else."""
    sizes = [0, 0]
    for pid in pids:
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
            rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
        except OSError:
            continue  # it ended meanwhile
        pss = next(line for line in rollup.splitlines() if line.startswith("Pss:"))
        is_serving = "serving" in words or "/haproxy/" in words or words.startswith("haproxy")
        sizes[not is_serving] += int(pss.split()[1]) * 1024
    return sizes[0], sizes[1]


@contextmanager
def process_place(folder: Path, model: Path) -> Iterator[tuple[Place, Pids]]:
    """This machine without Docker."""
    place = of_process(folder, model)
    try:
        yield place, lambda: [pid for some in running(place.shop.home).values() for pid in some]
    finally:
        place.shop.end()


@contextmanager
def compose_place(folder: Path, model: Path) -> Iterator[tuple[Place, Pids]]:
    """This machine with a Docker engine of its own."""
    with docker_engine() as engine, of_compose(folder, model, engine) as place:
        containers = engine.containers
        root = engine.info()["DockerRootDir"].rpartition("/")[0]

        def pids() -> list[int]:
            inside = [int(row[1]) for one in containers.list() for row in one.top()["Processes"]]
            return [*inside, *naming(root)]

        yield place, pids


@contextmanager
def hosts_place(folder: Path, model: Path) -> Iterator[tuple[Place, Pids]]:
    """Two hosts of a rehearsal; the memory is the first one's."""
    with of_hosts(folder, model) as place:
        top, first = place.hosts.engine.api.top, place.hosts.hosts[0]
        yield place, lambda: [int(row[1]) for row in top(first.container)["Processes"]]


def naming(words: str) -> list[int]:
    """Processes whose command line holds some words."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if os.fsencode(words) in path.read_bytes():
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


PLACES = {"process": process_place, "compose": compose_place, "hosts": hosts_place}


def table(measured: list[Measured]) -> str:
    """A Markdown table, a place a row."""
    lines = [
        "| target | both colours and door, MB | Docker's own, MB | requests/s | p50 / p99 ms "
        "| failed | deploy, s | rollback, s |",
        "|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {one.target} | {one.serving_megabytes:.0f} | {one.engine_megabytes:.0f} "
        f"| {one.requests_per_second:.0f} | {one.p50_ms} / {one.p99_ms} | {one.failed} "
        f"| {one.deploy_seconds} | {one.rollback_seconds} |"
        for one in measured
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, print the table, and write it and the figures to `results/`."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--targets", nargs="+", default=[*PLACES], choices=[*PLACES])
    parser.add_argument("--seconds", type=float, default=5.0, help="of load (default: 5)")
    options = parser.parse_args()
    measured = []
    with tempfile.TemporaryDirectory(prefix="pushcart-") as name:  # short: it holds sockets
        folder = Path(name)
        model = folder / "encoder/1"
        made = [sys.executable, "-m", "benchmarks.serving_bundle", str(model)]
        sizes = (str(size) for size in (ITEMS, LENGTH, FREQUENT))
        subprocess.run([*made, *sizes], check=True, cwd=PROJECT, capture_output=True)
        for target in options.targets:
            print(f"{target}: two releases, a rollback, a load …", file=sys.stderr)
            home = folder / target
            home.mkdir()
            with PLACES[target](home, model) as (place, pids):
                measured.append(measure(place, pids, options.seconds))
    machine = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    content = {"machine": machine, "measured": [asdict(one) for one in measured]}
    (RESULTS / "targets.json").write_text(json.dumps(content, indent=2) + "\n")
    (RESULTS / "targets.md").write_text(table(measured))
    print(table(measured))


if __name__ == "__main__":
    main()
