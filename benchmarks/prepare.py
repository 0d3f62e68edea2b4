"""Rows per CPU-second and peak memory of `prepare` against plain pandas with the same result.

`python -m benchmarks.prepare [--rows 1000000 10000000] [--limit-seconds 900]`, from the project's
root. Each way runs alone in a process of its own, once; both must end with the same digest, or the
benchmark fails. CPU-seconds are those of all threads, imports included.
"""

import argparse
import contextlib
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from model.data.cleaning import Limits

RESULTS = Path(__file__).parent / "results"
LIMITS = Limits(
    max_events_per_day=500, min_user_events=2, min_item_events=5, session_gap_seconds=1800
)
TEST_DAYS = VALIDATION_DAYS = 14
WAYS = ("prepare", "pandas")
ROWS_A_SHOPPER = 60


def simulate_log(rows: int, path: Path) -> None:
    """Write a simulated log of some size as Parquet."""
    from model.data.sources import Source  # noqa: PLC0415  the parent needs none of it
    from model.simulation.shop_writer import write_shop  # noqa: PLC0415
    from model.simulation.simulated_world import ShopSize  # noqa: PLC0415
    from model.simulation.simulation import simulate  # noqa: PLC0415

    shop = simulate(ShopSize(shoppers=rows // ROWS_A_SHOPPER, events=rows), TEST_DAYS)
    write_shop(shop, Source(str(path)), "")


def digest_by(way: str, path: Path) -> str:
    """Prepare a log one way and return the digest of the dataset."""
    from model.data.dataset_files import digest_of  # noqa: PLC0415  each way pays its own imports

    if way == "pandas":
        from benchmarks.prepare_pandas import prepare_with_pandas  # noqa: PLC0415

        return digest_of(prepare_with_pandas(path, LIMITS, TEST_DAYS, VALIDATION_DAYS), "purchase")
    from model.data.contract import Meaning  # noqa: PLC0415
    from model.data.engines import DuckDBEngine  # noqa: PLC0415
    from model.data.preparing import Preparation, prepare  # noqa: PLC0415
    from model.data.sources import Source  # noqa: PLC0415

    wanted = Preparation(
        Source(str(path)),
        Meaning(),
        LIMITS,
        test_days=TEST_DAYS,
        validation_days=VALIDATION_DAYS,
    )
    with contextlib.closing(DuckDBEngine()) as engine:
        return digest_of(prepare(engine, wanted), "purchase")


def measure(way: str, path: Path, rows: int, limit_seconds: float) -> dict[str, object]:
    """Run one way in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.prepare", "--one", way, str(path)]
    started = time.monotonic()
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=True, timeout=limit_seconds
        )
    except subprocess.TimeoutExpired:
        return {"way": way, "rows": rows, "finished": False, "limit_seconds": limit_seconds}
    figures = json.loads(done.stdout.splitlines()[-1])
    return {
        "way": way,
        "rows": rows,
        "finished": True,
        "seconds": round(time.monotonic() - started, 1),
        "rows_per_cpu_second": round(rows / figures["cpu_seconds"]),
        **figures,
    }


def one(way: str, path: Path) -> None:
    """The child: prepare, then print what it took."""
    digest = digest_by(way, path)
    used = resource.getrusage(resource.RUSAGE_SELF)
    figures = {
        "cpu_seconds": round(used.ru_utime + used.ru_stime, 1),
        "peak_memory_mb": round(used.ru_maxrss / 1024),
        "digest": digest,
    }
    print(json.dumps(figures))


def table(results: list[dict[str, object]]) -> str:
    """The figures as Markdown."""
    lines = [
        "| rows | way | CPU-seconds | rows per CPU-second | peak memory | same digest |",
        "|---:|---|---:|---:|---:|---|",
    ]
    digests = {result["rows"]: result["digest"] for result in results if result["way"] == WAYS[0]}
    for result in results:
        head = f"| {result['rows']:,} | {result['way']} "
        if not result["finished"]:
            lines.append(f"{head}| not finished after {result['limit_seconds']:g} s | | | |")
            continue
        same = "yes" if result["digest"] == digests[result["rows"]] else "NO"
        lines.append(
            f"{head}| {result['cpu_seconds']} | {result['rows_per_cpu_second']:,} "
            f"| {result['peak_memory_mb']:,} MB | {same} |"
        )
    return "\n".join(lines) + "\n"


def main() -> int:
    """Run the benchmark; 1 when two ways disagree."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000, 10_000_000])
    parser.add_argument("--limit-seconds", type=float, default=900)
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        one(arguments.one[0], Path(arguments.one[1]))
        return 0
    results = []
    with tempfile.TemporaryDirectory() as folder:
        for rows in arguments.rows:
            path = Path(folder) / f"{rows}.parquet"
            simulate_log(rows, path)
            results += [measure(way, path, rows, arguments.limit_seconds) for way in WAYS]
            path.unlink()
    machine = {"cores": os.cpu_count(), "python": platform.python_version()}
    RESULTS.mkdir(exist_ok=True)
    content = json.dumps({"machine": machine, "results": results}, indent=2)
    (RESULTS / "prepare.json").write_text(content + "\n", encoding="utf-8")
    text = table(results)
    (RESULTS / "prepare.md").write_text(text, encoding="utf-8")
    print(text)
    return int("NO" in text)


if __name__ == "__main__":
    sys.exit(main())
