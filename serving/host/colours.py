"""The two colours of a host: starts, reaches and ends their processes, and writes that down."""

import asyncio
import contextlib
import errno
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from serving.host import control, processes, record, releases
from serving.host.calls import CallError
from serving.host.processes import ProcessIdentity, is_alive
from serving.host.record import Colour, Record
from serving.host.releases import Placed
from serving.host.verification import UnhealthyError, model_state

LOOPBACK = "127.0.0.1"
PORTS_TRIED = 200
POLL_SECONDS = 0.05
SOURCES = Path(__file__).resolve().parents[2]
MODELS_CONFIG = """\
model_config_list {{
  config {{
    name: "{task}"
    base_path: "{base_path}"
    model_platform: "tensorflow"
    model_version_policy {{ specific {{ versions: {model_version} }} }}
  }}
}}
"""


def free_ports(count: int) -> list[int]:
    """Ports of the loopback address that nobody listens on now."""
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.create_server((LOOPBACK, 0))) for _ in range(count)]
        return [one.getsockname()[1] for one in sockets]


def bind(preferred: int) -> socket.socket:
    """The public socket on the preferred port, or on the next one that is free; not yet listening.

    Raises:
        OSError: All ports above the preferred one are taken.
    """
    for port in range(preferred, min(preferred + PORTS_TRIED, 65536)):
        one = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            one.bind((LOOPBACK, port))
            one.listen(1024)  # two sockets may bind with SO_REUSEADDR; only one may listen
        except OSError as error:
            one.close()
            if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                raise
        else:
            return one
    raise OSError(errno.EADDRINUSE, f"no free port from {preferred} on; free one or change `port`")


class Host:
    """The processes of one environment on this machine.

    Args:
        home: Folder of the environment.
        known: Its record.
        listener: The public socket.

    Attributes:
        traffic: Held while traffic moves from colour to colour.
    """

    def __init__(self, home: Path, known: Record, listener: socket.socket) -> None:
        self.home = home
        self.record = known
        self.listener = listener
        self.traffic = asyncio.Lock()
        self._children: dict[int, subprocess.Popen[bytes]] = {}

    def save(self) -> None:
        """Write the record."""
        record.save(self.record, self.home)

    def log(self, colour: Colour, part: str) -> Path:
        """Log file of a process."""
        return self.home / "logs" / f"{colour.name}-{part}.log"

    def placed(self, colour: Colour) -> Placed:
        """The release that a colour holds."""
        return releases.load(self.home, colour.digest)

    def orders(self, colour: Colour) -> Path:
        """Control socket of a colour's gateway."""
        return Path(self.record.sockets) / f"{colour.name}.sock"

    def add(self, name: str, placed: Placed) -> Colour:
        """Write down a colour about to be started."""
        colour = Colour(
            name=name,
            digest=placed.digest,
            model_version=placed.model_version,
            engine=placed.engine,
            state="starting",
        )
        self.renumber(colour)
        self.record.colours[name] = colour
        self.save()
        return colour

    def renumber(self, colour: Colour) -> None:
        """Give a colour whose processes are gone ports that are free now."""
        colour.rest_port, colour.grpc_port, colour.gateway_port = free_ports(3)

    def start_model(self, colour: Colour) -> None:
        """Start the model server of a colour."""
        placed = self.placed(colour)
        config = self.home / colour.name / "models.config"
        config.parent.mkdir(parents=True, exist_ok=True)
        config.write_text(
            MODELS_CONFIG.format(
                task=placed.task,
                base_path=placed.model(self.home),
                model_version=placed.model_version,
            ),
            encoding="utf-8",
        )
        command = [
            *(sys.executable, "-m", "serving.server"),
            f"--host={LOOPBACK}",
            f"--port={colour.grpc_port}",
            f"--rest_api_port={colour.rest_port}",
            f"--model_config_file={config}",
            f"--engine={colour.engine}",
            # One thread an op and as many ops as cores answers single rows fastest; a bundle that
            # does not load once will not load later: the rollout must hear of it at once.
            "--tensorflow_intra_op_parallelism=1",
            f"--tensorflow_inter_op_parallelism={os.cpu_count() or 1}",
            "--max_num_load_retries=0",
            "--enable_profiler=false",
        ]

        def written(identity: ProcessIdentity) -> None:
            colour.model = identity
            self.save()

        self._start(command, self.log(colour, "model"), written)

    def start_gateway(self, colour: Colour) -> None:
        """Start the gateway of a colour; it takes no public request before it is told to."""
        placed = self.placed(colour)
        command = [
            *(sys.executable, "-m", "serving.gateway_process"),
            f"--bundle={placed.bundle(self.home)}",
            f"--users={placed.users(self.home)}",
            f"--digest={placed.digest}",
            f"--task={placed.task}",
            f"--model_address={LOOPBACK}:{colour.rest_port}",
            f"--listener_fd={self.listener.fileno()}",
            f"--port={colour.gateway_port}",
            f"--orders={self.orders(colour)}",
            *([] if placed.at is None else [f"--at={placed.at}"]),
        ]

        def written(identity: ProcessIdentity) -> None:
            colour.gateway = identity
            self.save()

        self._start(
            command, self.log(colour, "gateway"), written, pass_fds=(self.listener.fileno(),)
        )

    def _start(self, command: list[str], log: Path, written: Any, pass_fds: Any = ()) -> None:
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_bytes(b"")
        child = processes.start(command, log, SOURCES, written, pass_fds=pass_fds)
        self._children[child.pid] = child

    async def gateway_answers(self, colour: Colour) -> None:
        """Wait until a gateway takes orders.

        Raises:
            UnhealthyError: It ended or took too long.
        """
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                await self.order(colour, order="state")
                return
            self._must_live(colour, colour.gateway, "gateway")
            await asyncio.sleep(POLL_SECONDS)
        raise UnhealthyError(f"the gateway takes no orders; see {self.log(colour, 'gateway')}")

    async def model_available(self, colour: Colour, caller: control.Caller | None = None) -> None:
        """Wait until a model server has loaded the release.

        Raises:
            UnhealthyError: It ended, gave up, or took longer than the release may.
        """
        placed = self.placed(colour)
        deadline = time.monotonic() + placed.start_timeout_seconds
        state = "not answering"
        while time.monotonic() < deadline:
            with contextlib.suppress(CallError):
                address = f"{LOOPBACK}:{colour.rest_port}"
                state = await asyncio.to_thread(model_state, address, placed)
                if state == "AVAILABLE":
                    return
            self._must_live(colour, colour.model, "model")
            if caller and caller.is_gone:
                return
            await asyncio.sleep(POLL_SECONDS)
        raise UnhealthyError(
            f"the model is {state} after {placed.start_timeout_seconds:g} s "
            f"([serving] start_timeout_seconds); see {self.log(colour, 'model')}"
        )

    def _must_live(self, colour: Colour, identity: ProcessIdentity | None, part: str) -> None:
        self.reap()
        if not is_alive(identity):
            log = self.log(colour, part)
            lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-5:]
            raise UnhealthyError(
                "\n  ".join([f"the {part} process ended; {log} ends with", *lines])
            )

    async def order(self, colour: Colour, **order: Any) -> dict[str, Any]:
        """Give a colour's gateway an order.

        Raises:
            OSError: It does not answer.
        """
        return await asyncio.to_thread(control.ask, self.orders(colour), order)

    def is_running(self, colour: Colour) -> bool:
        """Whether both processes of a colour live."""
        self.reap()
        return is_alive(colour.model) and is_alive(colour.gateway)

    async def stop(self, colour: Colour) -> None:
        """End a colour's processes; the record goes on to name it."""
        await asyncio.to_thread(processes.end, colour.gateway)
        await asyncio.to_thread(processes.end, colour.model)
        self.reap()

    async def end(self, colour: Colour) -> None:
        """End a colour's processes and forget it."""
        await self.stop(colour)
        if self.record.colours.get(colour.name) is colour:
            del self.record.colours[colour.name]
            self.save()

    def reap(self) -> None:
        """Take note of children that ended."""
        for pid, child in list(self._children.items()):
            if child.poll() is not None:
                del self._children[pid]


def socket_folder(home: Path, recorded: str) -> str:
    """A folder for control sockets whose path is short enough for the system.

    The environment's own folder where that is; else the recorded one if it is still ours (a
    reboot empties /tmp), else a new private one.
    """
    if len(os.fsencode(home / "supervisor.sock")) <= control.LONGEST_PATH:
        return str(home)
    if recorded:
        with contextlib.suppress(OSError):
            about = Path(recorded).lstat()
            if about.st_uid == os.getuid() and about.st_mode & 0o777 == 0o700:
                return recorded
    return tempfile.mkdtemp(prefix="pushcart-", dir="/tmp")


def forget_sockets(host: Host) -> None:
    """Remove a folder that was made for control sockets alone."""
    if Path(host.record.sockets) != host.home:
        shutil.rmtree(host.record.sockets, ignore_errors=True)
        host.record.sockets = ""
