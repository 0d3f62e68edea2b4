"""What fitting `linear` costs by the size of the catalogue: CPU-seconds and peak memory.

    python -m benchmarks.linear_fit [--items 5000 10000 20000]

Each size is a simulated shop with every item kept, prepared by the pipeline's own `prepare` and
fitted once in a process of its own, so that its peak is its own.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from ci.config import PROJECT, load_config
from ci.stages import prepare
from ci.workspace import Workspace

RESULTS = Path(__file__).parent / "results" / "linear_fit.json"
EVENTS_PER_ITEM = 60


def prepared(items: int, folder: Path) -> Path:
    """A dataset whose vocabulary is nearly the whole catalogue."""
    config = folder / "pipeline.toml"
    config.write_text(
        f'[storage]\nbuild = "{folder}/build"\nstate = "{folder}/var"\n'
        f"[simulator]\nitems = {items}\nshoppers = {items}\nevents = {items * EVENTS_PER_ITEM}\n"
        "[data]\nmin_item_events = 1\n",
        encoding="utf-8",
    )
    prepare.run(load_config(config), Workspace(folder, folder))
    return folder / "dataset"


def fit(dataset_folder: Path) -> dict[str, Any]:
    """Fit once as the final fit does, with nothing left to choose."""
    from model.data.dataset import Dataset  # noqa: PLC0415  only the measured process needs it
    from model.rungs.linear import Linear, LinearSettings  # noqa: PLC0415
    from model.rungs.recommender import FitContext, as_model  # noqa: PLC0415

    dataset = Dataset.load(dataset_folder)
    context = FitContext(dataset.start_of("test"), history_length=50, frequent_length=50)
    linear = Linear(dataset.items, LinearSettings(ridge=2.0))
    as_model(linear, 50, 50)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    wall, cpu = time.monotonic(), time.process_time()
    linear.fit(dataset, context)
    return {
        "items": dataset.items,
        "cpu_seconds": round(time.process_time() - cpu, 1),
        "seconds": round(time.monotonic() - wall, 1),
        "peak_megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "megabytes_before": before,
        "kept_per_row": linear.kept,
    }


def main() -> None:
    """Measure every size and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, nargs="*", default=[5_000, 10_000, 20_000])
    parser.add_argument("--fit", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.fit:
        print(json.dumps(fit(arguments.fit)))
        return
    results = []
    print("| items | CPU-seconds | peak memory, MB (before the fit) | weights a row |")
    print("|---:|---:|---:|---:|")
    for items in arguments.items:
        with tempfile.TemporaryDirectory() as folder:
            dataset = prepared(items, Path(folder))
            command = [sys.executable, "-m", "benchmarks.linear_fit", "--fit", str(dataset)]
            done = subprocess.run(
                command, cwd=PROJECT, stdout=subprocess.PIPE, text=True, check=True
            )
        one = json.loads(done.stdout.splitlines()[-1])
        results.append(one)
        memory = f"{one['peak_megabytes']:,} ({one['megabytes_before']:,})"
        kept = f"{one['kept_per_row']:,}"
        print(f"| {one['items']:,} | {one['cpu_seconds']:.0f} | {memory} | {kept} |", flush=True)
    RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
