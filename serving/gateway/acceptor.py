"""Connections of a listening socket, taken only while told to, and never dropped by stopping.

`asyncio.Server.close()` (and so uvicorn's own server) loses a connection that was accepted but
not yet handed to its protocol: its transport finds the server closed and fails an assertion. A
socket that two processes share needs better manners than that, hence these few lines.
"""

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable
from email.utils import formatdate

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from serving.gateway.turnstile import Turnstile

BACKLOG = 1024
# Longer than the idle time after which usual clients let go (5 s httpx, 15 s aiohttp), so that it
# is they who close an idle connection, and no request is on its way to a closing one.
KEEP_ALIVE_SECONDS = 20
log = logging.getLogger(__name__)


class Acceptor:
    """Takes connections from one listening socket.

    Args:
        listener: The socket; it may be shared with other processes.
        protocol: Makes the protocol of a new connection.
    """

    def __init__(self, listener: socket.socket, protocol: Callable[[], asyncio.Protocol]) -> None:
        listener.setblocking(False)
        self._listener = listener
        self._protocol = protocol
        self._adopting: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Take connections from now on; again is no harm."""
        self._listener.listen(BACKLOG)
        asyncio.get_running_loop().add_reader(self._listener, self._take)

    def stop(self) -> None:
        """Take no more; those already taken are served."""
        asyncio.get_running_loop().remove_reader(self._listener)

    def _take(self) -> None:
        for _ in range(BACKLOG):
            try:
                connection, _ = self._listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return  # taken by the other process, or given up by the client
            except OSError as error:  # no descriptors left: the queue of the kernel holds them
                log.warning("cannot take connections for a second: %s", error)
                self.stop()
                asyncio.get_running_loop().call_later(1.0, self.start)
                return
            task = asyncio.ensure_future(self._adopt(connection))
            self._adopting.add(task)
            task.add_done_callback(self._adopting.discard)

    async def _adopt(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        with contextlib.suppress(ConnectionError):
            loop = asyncio.get_running_loop()
            await loop.connect_accepted_socket(self._protocol, connection)


class HttpServer:
    """uvicorn's HTTP protocol behind acceptors: a public one and a private one.

    Args:
        app: The application; it finds in the scope's state whether a request is public.
    """

    def __init__(self, app: Turnstile) -> None:
        self._config = Config(
            app,
            http="httptools",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
        )
        self._config.load()
        self._state = ServerState()

    def acceptor(self, listener: socket.socket, *, is_public: bool) -> Acceptor:
        """Serve a listening socket."""

        def protocol() -> asyncio.Protocol:
            return HttpToolsProtocol(self._config, self._state, {"public": is_public})

        return Acceptor(listener, protocol)

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return len(self._state.connections)

    async def tell_the_time(self) -> None:
        """Keep the Date header of the answers right, for ever."""
        while True:
            self._state.default_headers = [(b"date", formatdate(usegmt=True).encode())]
            await asyncio.sleep(1)

    async def finish(self, patience_seconds: float) -> None:
        """End the connections: running answers first, within the patience."""
        for connection in list(self._state.connections):
            connection.shutdown()
        if self._state.tasks:
            await asyncio.wait(self._state.tasks, timeout=patience_seconds)
