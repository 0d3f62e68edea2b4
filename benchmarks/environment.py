"""From nothing to an environment: seconds with an empty cache, bytes on disk, cost of the door.

`python -m benchmarks.environment [--role ci]`, from the project's root, with a package index in
reach. The environment is made in a temporary folder; compiled modules are counted after the
imports that `bin/ci run` makes.
"""

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RESULTS = Path(__file__).parent / "results"
DOOR = str(ROOT / "bin" / "ci")
USED = (
    "tensorflow, keras, pandas, ibis, duckdb, scipy.stats, mlflow, sqlalchemy, alembic, starlette"
)
REPEATS = 40


@dataclass(frozen=True)
class Measured:
    """One machine's figures.

    Attributes:
        role: The lock.
        seconds: From an empty cache and no environment to the first word of a command.
        cpu_seconds: Of the processor, for the same.
        megabytes: On disk, as `du` counts, after the imports; uv's own environment not counted.
        door_cpu_ms: What `bin/ci COMMAND` costs beyond `python -m ci COMMAND`.
        help_cpu_ms: `bin/ci --help` as a whole.
    """

    role: str
    seconds: float
    cpu_seconds: float
    megabytes: float
    door_cpu_ms: float
    help_cpu_ms: float


def cpu_seconds(command: list[str], environment: dict[str, str], times: int = 1) -> float:
    """Mean processor time of a command and its children; what it prints is dropped."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    for _ in range(times):
        subprocess.run(command, env=environment, capture_output=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return used / times


def measure(role: str, folder: Path) -> Measured:
    """Make the environment of a role in an empty folder and look at it."""
    environment = os.environ | {
        "PUSHCART_VENV_DIR": str(folder / "venv"),
        "PUSHCART_ROLE": role,
        "UV_CACHE_DIR": str(folder / "cache"),
        "PIP_NO_CACHE_DIR": "1",
    }
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    start = time.monotonic()
    used = cpu_seconds([DOOR, "status"], environment)
    seconds = time.monotonic() - start
    (made,) = (mark.parent for mark in (folder / "venv").glob(f"{role}-*/complete"))
    python = str(made / "bin" / "python")
    inside = environment | {"PYTHONPATH": str(ROOT), "PYTHONSAFEPATH": "1"}
    subprocess.run([python, "-c", f"import {USED}"], env=inside, capture_output=True, check=True)
    # A command line that is refused at once: what is left is the way to it.
    refused = ["--set", "nothing", "run"]
    through = cpu_seconds([DOOR, *refused], environment, REPEATS)
    direct = cpu_seconds([python, "-m", "ci", *refused], inside, REPEATS)
    shown = cpu_seconds([DOOR, "--help"], environment, REPEATS)
    size = int(subprocess.check_output(["du", "-s", "-B1", made]).split()[0])
    return Measured(
        role,
        round(seconds, 1),
        round(used, 1),
        round(size / 1e6),
        round((through - direct) * 1e3, 1),
        round(shown * 1e3, 1),
    )


def main() -> None:
    """Measure, print, and keep the figures in `results/environment.json`."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--role", default="ci")
    role = parser.parse_args().role
    with tempfile.TemporaryDirectory() as folder:
        measured = measure(role, Path(folder))
    machine = f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}"
    machine += f", Python {platform.python_version()}"
    load = round(os.getloadavg()[1], 1)  # of five minutes: what else the machine was doing
    result = {"machine": machine, "load_average": load, **asdict(measured)}
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "environment.json").write_text(json.dumps(result, indent=1) + "\n")
    json.dump(result, sys.stdout, indent=1)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
