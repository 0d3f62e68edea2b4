"""What the embedded server costs: `python -m benchmarks.embedded_server`, engines side by side.

For each engine, with and without batching, by REST and gRPC, at 1, 8 and 32 clients: requests per
second, p50 and p99 in ms (wall, client and server share the cores), and CPU ms per request of the
server process. The reference of the same run is the engine called in a process without a server.
"""

import argparse
import http.client
import json
import os
import platform
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from benchmarks.serving_load import Make, Shape, arrays, drive, grpc_client, rest_client, shopper
from serving.embedded.engine import Deadline, Engine

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "embedded_server.json"
BATCHING = """
max_batch_size { value: 32 }
batch_timeout_micros { value: 500 }
num_batch_threads { value: 1 }
max_enqueued_batches { value: 100 }
""" + "".join(f"allowed_batch_sizes: {size}\n" for size in (1, 2, 4, 8, 16, 32))


@dataclass(frozen=True)
class Setup:
    """One way to run the server."""

    name: str
    engine: str
    flags: tuple[str, ...] = ()


@dataclass(frozen=True)
class Target:
    """A running server."""

    pid: int
    port: int
    rest_port: int


@dataclass(frozen=True)
class Cell:
    """One line of the table."""

    setup: str
    transport: str
    clients: int
    requests: int
    failed: int
    rps: float
    p50_ms: float
    p99_ms: float
    cpu_ms: float


def inside(folder: Path, engine_name: str, shape: Shape, batch: int, seconds: float) -> float:
    """CPU ms per row of the engine alone, called in this process in batches of one size."""
    model = _engine(engine_name).load(folder)
    signature = model.signatures["recommend"]
    inputs = arrays([shopper(shape, seed) for seed in range(batch)])
    outputs = list(signature.outputs)

    def call() -> None:
        model.predict(signature, inputs, outputs, Deadline())

    for _ in range(5):
        call()
    calls, started, end = 0, time.process_time(), time.monotonic() + seconds
    while time.monotonic() < end:
        call()
        calls += 1
    return (time.process_time() - started) * 1000 / calls / batch


def _engine(name: str) -> Engine:
    if name == "litert":
        from serving.embedded.litert_engine import LiteRtEngine  # noqa: PLC0415  (TensorFlow stays out)

        return LiteRtEngine(1)
    from serving.embedded.savedmodel_engine import SavedModelEngine  # noqa: PLC0415

    return SavedModelEngine(1, os.cpu_count() or 1)


@contextmanager
def serving(folder: Path, setup: Setup, scratch: Path) -> Iterator[Target]:
    """Runs a server until it answers, and ends it afterwards."""
    config = scratch / "models.config"
    config.write_text(
        f'model_config_list {{ config {{ name: "next_item" base_path: "{folder.parent}" '
        'model_platform: "tensorflow" } }'
    )
    (scratch / "batching.txt").write_text(BATCHING)
    port, rest_port = _free_port(), _free_port()
    command = [
        *(sys.executable, "-m", "serving.server"),
        f"--engine={setup.engine}",
        f"--port={port}",
        f"--rest_api_port={rest_port}",
        f"--model_config_file={config}",
        "--max_num_load_retries=0",
        "--tensorflow_intra_op_parallelism=1",
        f"--tensorflow_inter_op_parallelism={os.cpu_count()}",
        *(flag.format(scratch=scratch) for flag in setup.flags),
    ]
    with (scratch / "server.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)
    try:
        while not _answers(rest_port):
            if process.poll() is not None:
                raise SystemExit((scratch / "server.log").read_text()[-3000:])
            time.sleep(0.1)
        yield Target(process.pid, port, rest_port)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def measure(names: tuple[str, str], clients: int, seconds: float, make: Make, pid: int) -> Cell:
    """Loads the server with that many clients for some seconds, after a short warm-up."""
    drive(make, clients, min(1.0, seconds / 3))
    cpu, started = _cpu_seconds(pid), time.perf_counter()
    latencies, failed = drive(make, clients, seconds)
    took, used = time.perf_counter() - started, _cpu_seconds(pid) - cpu
    done = len(latencies)
    p50, p99 = np.percentile(latencies, (50, 99)) * 1000
    return Cell(
        *names,
        clients,
        done,
        failed,
        round(done / took, 1),
        round(float(p50), 2),
        round(float(p99), 2),
        round(used * 1000 / done, 3),
    )


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/v1/models/next_item")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def _cpu_seconds(pid: int) -> float:
    """User and system time of a process, of /proc (Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


SETUPS = (
    Setup("savedmodel", "savedmodel"),
    Setup(
        "savedmodel, batching",
        "savedmodel",
        (
            "--enable_batching",
            "--batching_parameters_file={scratch}/batching.txt",
            "--rest_api_num_threads=32",
            "--grpc_max_threads=32",
        ),
    ),
    Setup("litert", "litert"),
)


def _in_another_process(module: str, *arguments: object) -> str:
    command = [sys.executable, "-m", f"benchmarks.{module}", *map(str, arguments)]
    return subprocess.run(
        command, cwd=ROOT, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ).stdout


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measures what the embedded server costs.")
    parser.add_argument("--items", type=int, default=20_000)
    parser.add_argument("--length", type=int, default=50)
    parser.add_argument("--frequent", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=5.0, help="per line of the table")
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 8, 32])
    parser.add_argument("--output", type=Path, default=RESULTS)
    parser.add_argument("--inside", nargs=3, help=argparse.SUPPRESS)
    return parser.parse_args()


def _reference(folder: Path, seconds: float, shape: Shape) -> dict[str, float]:
    sizes = [f"--items={shape.items}", f"--length={shape.length}", f"--frequent={shape.frequent}"]
    return {
        f"{engine}, batch of {batch}": float(
            _in_another_process(
                "embedded_server", *sizes, f"--seconds={seconds}", "--inside", folder, engine, batch
            )
        )
        for engine, batch in (("savedmodel", 1), ("savedmodel", 32), ("litert", 1))
    }


def _cells(folder: Path, scratch: Path, arguments: argparse.Namespace, shape: Shape) -> list[Cell]:
    cells = []
    for setup in SETUPS:
        with serving(folder, setup, scratch) as target:
            makes = {
                "REST": rest_client(target.rest_port, shape),
                "gRPC": grpc_client(target.port, shape),
            }
            cells += [
                measure((setup.name, transport), clients, arguments.seconds, make, target.pid)
                for transport, make in makes.items()
                for clients in arguments.clients
            ]
    return cells


def _report(reference: dict[str, float], cells: list[Cell]) -> None:
    print("Reference, the engine in process without a server (CPU ms per row):")
    for name, value in reference.items():
        print(f"  {name:<28}{value:8.3f}")
    titles = ("clients", "rps", "p50 ms", "p99 ms", "CPU ms", "failed")
    print(f"\n{'engine':<22}{'API':<6}" + "".join(f"{title:>9}" for title in titles))
    for cell in cells:
        figures = f"{cell.rps:>9.0f}{cell.p50_ms:>9.1f}{cell.p99_ms:>9.1f}{cell.cpu_ms:>9.2f}"
        print(f"{cell.setup:<22}{cell.transport:<6}{cell.clients:>9}{figures}{cell.failed:>9}")


def main() -> None:
    """Builds the bundle, measures everything, prints the table and writes the JSON."""
    arguments = _arguments()
    shape = Shape(arguments.items, arguments.length, arguments.frequent)
    if arguments.inside:
        folder, engine, batch = arguments.inside
        print(inside(Path(folder), engine, shape, int(batch), arguments.seconds))
        return
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch, "bundles", "1")
        _in_another_process("serving_bundle", folder, shape.items, shape.length, shape.frequent)
        reference = _reference(folder, arguments.seconds, shape)
        cells = _cells(folder, Path(scratch), arguments, shape)
    _report(reference, cells)
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    machine = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    document = {
        "machine": machine,
        "model": asdict(shape),
        "reference_cpu_ms_per_row": reference,
        "cells": [asdict(cell) for cell in cells],
    }
    arguments.output.write_text(json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    main()
