"""Two colours as processes of this machine, whose gateways share the public socket."""

import asyncio
import contextlib
import errno
import logging
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from serving.host import control, processes
from serving.host.control import RefusedOrderError
from serving.host.host import LOOPBACK, POLL_SECONDS, SOURCES, Host
from serving.host.processes import ProcessIdentity
from serving.host.record import Colour, Record
from serving.host.verification import UnhealthyError

PORTS_TRIED = 200
ANSWER_SECONDS = 30.0
EVENTS = "events.db"  # what shoppers did since the release was packed: of both colours
ORDER_TROUBLE = (OSError, RefusedOrderError)
log = logging.getLogger(__name__)
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


class ProcessHost(Host):
    """The processes of one environment on this machine.

    Args:
        home: Folder of the environment.
        known: Its record.
        listener: The public socket.

    Attributes:
        traffic: Held while traffic moves from colour to colour.
    """

    is_alive = staticmethod(processes.is_alive)

    def __init__(self, home: Path, known: Record, listener: socket.socket) -> None:
        super().__init__(home, known)
        self.listener = listener
        self.traffic = asyncio.Lock()
        self._children: dict[int, subprocess.Popen[bytes]] = {}

    def log_of(self, colour: Colour, part: str) -> Path:
        """Log file of a process."""
        return self.home / "logs" / f"{colour.name}-{part}.log"

    def where_to_look(self, colour: Colour) -> str:
        """The log of the model server."""
        return f"see {self.log_of(colour, 'model')}"

    def orders(self, colour: Colour) -> Path:
        """Control socket of a colour's gateway."""
        return Path(self.record.sockets) / f"{colour.name}.sock"

    def renumber(self, colour: Colour) -> None:
        """Give a colour whose processes are gone ports that are free now."""
        colour.rest_port, colour.grpc_port, colour.gateway_port = free_ports(3)

    async def start(self, colour: Colour) -> None:
        """Start both processes of a colour."""
        self.start_model(colour)
        self.start_gateway(colour)

    async def revive(self, colour: Colour) -> None:
        """Start the processes of a colour that ended."""
        if not self.is_alive(colour.model) and not self.is_alive(colour.gateway):
            self.renumber(colour)  # after a reboot others may have the ports
        if not self.is_alive(colour.model):
            log.warning("starting the model server of %s", colour.name)
            self.start_model(colour)
        if not self.is_alive(colour.gateway):
            log.warning("starting the gateway of %s", colour.name)
            self.start_gateway(colour)

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

        self._start(command, self.log_of(colour, "model"), written)

    def start_gateway(self, colour: Colour) -> None:
        """Start the gateway of a colour; it takes no public request before it is told to."""
        placed = self.placed(colour)
        command = [
            *(sys.executable, "-m", "serving.gateway_process"),
            f"--bundle={placed.bundle(self.home)}",
            f"--users={placed.users(self.home)}",
            f"--events={self.home / EVENTS}",
            f"--environment={self.record.environment}",
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
            command, self.log_of(colour, "gateway"), written, pass_fds=(self.listener.fileno(),)
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
        now = asyncio.get_running_loop().time
        deadline = now() + ANSWER_SECONDS
        while now() < deadline:
            with contextlib.suppress(OSError):
                await self.order(colour, order="state")
                return
            self._require_alive(colour, colour.gateway, "gateway")
            await asyncio.sleep(POLL_SECONDS)
        raise UnhealthyError(f"the gateway takes no orders; see {self.log_of(colour, 'gateway')}")

    async def require_running(self, colour: Colour) -> None:
        """See that the model server has not ended.

        Raises:
            UnhealthyError: It has; the message holds the last lines of its log.
        """
        self._require_alive(colour, colour.model, "model")

    def _require_alive(self, colour: Colour, identity: ProcessIdentity | None, part: str) -> None:
        self.reap()
        if not self.is_alive(identity):
            path = self.log_of(colour, part)
            lines = path.read_text(encoding="utf-8", errors="replace").splitlines()[-5:]
            raise UnhealthyError(
                "\n  ".join([f"the {part} process ended; {path} ends with", *lines])
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
        return self.is_alive(colour.model) and self.is_alive(colour.gateway)

    async def switch(self, target: Colour) -> None:
        """Move the traffic to the recorded live colour; nothing is lost, nothing goes back.

        First the target holds what reaches it by the public socket, then every other colour stops
        taking connections and passes on what begins on those it has, then the target serves.

        Raises:
            OSError: The target does not answer.
            RefusedOrderError: The target refuses.
        """
        async with self.traffic:
            if self.record.live != target.name:
                return  # the record moved on while this waited for its turn
            await self.order(target, order="wait")
            for colour in list(self.record.colours.values()):
                if colour is not target:
                    await self._pass_on(colour, target)
            await self.order(target, order="serve")

    async def _pass_on(self, colour: Colour, target: Colour) -> None:
        """Let a colour relay to another; one that does not obey must not answer shoppers either."""
        try:
            address = f"{LOOPBACK}:{target.gateway_port}"
            await self.order(colour, order="relay", address=address)
        except ORDER_TROUBLE:
            await self.end_process(colour.gateway)

    async def is_serving(self, colour: Colour) -> bool:
        """Whether a colour runs and its gateway answers shoppers."""
        with contextlib.suppress(*ORDER_TROUBLE):
            return self.is_running(colour) and (
                (await self.order(colour, order="state"))["mode"] == "serving"
            )
        return False

    async def connections(self, colour: Colour) -> int:
        """Connections that a colour's gateway has open; 0 of a dead one."""
        if not self.is_running(colour):
            return 0
        with contextlib.suppress(*ORDER_TROUBLE):
            return int((await self.order(colour, order="state"))["connections"])
        return 1  # it does not say: worth waiting for

    async def failed(self) -> dict[str, int]:
        """Public requests that each gateway running now answered with 5xx, by its process."""
        failed = {}
        for colour in list(self.record.colours.values()):
            with contextlib.suppress(*ORDER_TROUBLE):
                state = await self.order(colour, order="state")
                failed[str(state["pid"])] = int(state["failed"])
        return failed

    async def stop(self, colour: Colour) -> None:
        """End a colour's processes; the record goes on to name it."""
        await self.end_process(colour.gateway)
        await self.end_process(colour.model)
        self.reap()

    async def end_process(self, identity: ProcessIdentity | None) -> None:
        """End a process, if it still runs."""
        await asyncio.to_thread(processes.end, identity)

    def reap(self) -> None:
        """Take note of children that ended."""
        for pid, child in list(self._children.items()):
            if child.poll() is not None:
                del self._children[pid]


def find_listener(known: Record) -> socket.socket:
    """The public socket: taken over from a gateway that still has it, else bound anew.

    A gateway outlives its supervisor and goes on serving; taking its socket over keeps every
    connection that waits in it.

    Raises:
        OSError: No port is free.
    """
    for colour in sorted(known.colours.values(), key=lambda one: one.name != known.live):
        if processes.is_alive(colour.gateway):
            with contextlib.suppress(*ORDER_TROUBLE):
                path = Path(known.sockets) / f"{colour.name}.sock"
                return socket.socket(fileno=control.ask(path, {"order": "listener"})["descriptor"])
    return bind(known.port or known.preferred_port)


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


def forget_sockets(host: ProcessHost) -> None:
    """Remove a folder that was made for control sockets alone."""
    if Path(host.record.sockets) != host.home:
        shutil.rmtree(host.record.sockets, ignore_errors=True)
        host.record.sockets = ""
