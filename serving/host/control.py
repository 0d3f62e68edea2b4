"""Orders between processes of one machine: JSON lines over a Unix socket."""

import array
import asyncio
import contextlib
import json
import logging
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

# Linux allows 108 bytes for the path of a socket, macOS 104, the closing zero included.
LONGEST_PATH: Final = 100
LINE_BYTES: Final = 1 << 20

Order = dict[str, Any]
log = logging.getLogger(__name__)


class RefusedOrderError(Exception):
    """The other side said no; `code` is its word for why, the message is for people."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Caller:
    """Whoever gave an order: hears of progress, and may have gone away.

    Args:
        write: Takes one line for the caller.
    """

    def __init__(self, write: Callable[[bytes], object]) -> None:
        self._write = write
        self.is_gone = False

    def say(self, **progress: Any) -> None:
        """Tell the caller how far things are; a caller who is gone is no trouble."""
        if self.is_gone:
            return
        try:
            self._write(json.dumps({"progress": progress}).encode() + b"\n")
        except BrokenPipeError:
            self.is_gone = True


Handler = Callable[[Order, Caller], Awaitable[Order]]


def _answers(path: Path, order: Order, timeout: float, descriptors: list[int]) -> Any:
    """Send one order and yield the lines that come back; received descriptors are collected."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as link:
        link.settimeout(timeout)
        link.connect(str(path))
        link.sendall(json.dumps(order).encode() + b"\n")
        pending = b""
        while True:
            chunk, received, _, _ = socket.recv_fds(link, 65536, 1)
            descriptors.extend(received)
            if not chunk:
                raise ConnectionError(f"{path} hung up before it answered {order['order']}")
            pending += chunk
            *lines, pending = pending.split(b"\n")
            yield from (json.loads(line) for line in lines)


def ask(
    path: Path,
    order: Order,
    timeout: float = 10.0,
    progress: Callable[[Order], None] | None = None,
) -> Order:
    """Give an order and wait for its answer.

    Args:
        path: Socket of the other process.
        order: What is wanted; `order["order"]` names it.
        timeout: Longest silence in seconds.
        progress: Hears each line of progress. A descriptor that the other side hands over is
            the answer's `"descriptor"`.

    Raises:
        RefusedOrderError: The other side refused or failed.
        OSError: Nobody answers there.
    """
    descriptors: list[int] = []
    for line in _answers(path, order, timeout, descriptors):
        if "progress" in line:
            if progress:
                progress(line["progress"])
            continue
        if "refused" in line:
            raise RefusedOrderError(line["refused"], line["message"])
        answer: Order = line
        if descriptors:
            answer["descriptor"] = descriptors[0]
        return answer
    raise ConnectionError(f"{path} gave no answer")  # unreachable: _answers raises first


async def _obey(
    handler: Handler, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    caller = Caller(writer.write)
    line = await reader.readline()
    if not line:
        return
    work = asyncio.ensure_future(handler(json.loads(line), caller))
    hangs_up = asyncio.ensure_future(reader.read(1))
    try:
        await asyncio.wait({work, hangs_up}, return_when=asyncio.FIRST_COMPLETED)
        caller.is_gone = hangs_up.done()
        answer = await work
    except RefusedOrderError as refusal:
        answer = {"refused": refusal.code, "message": str(refusal)}
    except Exception as error:  # a bug here must reach the caller's terminal, not only the log
        log.exception("the order %s failed", line)
        answer = {"refused": "bug", "message": f"{type(error).__name__}: {error}"}
    finally:
        hangs_up.cancel()
    if not caller.is_gone:
        _write_answer(writer, answer)
        await writer.drain()


def _write_answer(writer: asyncio.StreamWriter, answer: Order) -> None:
    descriptor = answer.pop("descriptor", None)
    data = json.dumps(answer).encode() + b"\n"
    if descriptor is None:
        writer.write(data)
        return
    # asyncio's transports cannot carry descriptors: these few bytes go by the socket itself.
    link = writer.get_extra_info("socket")
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [descriptor]))]
    with socket.socket(fileno=socket.dup(link.fileno())) as direct:
        direct.sendmsg([data], rights)


async def listen(path: Path, handler: Handler) -> asyncio.Server:
    """Take orders at a socket that only this user can reach; a stale socket file is replaced."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, ValueError):
            await _obey(handler, reader, writer)
        with contextlib.suppress(ConnectionError):
            writer.close()
            await writer.wait_closed()

    path.unlink(missing_ok=True)
    server = await asyncio.start_unix_server(serve, path=str(path), limit=LINE_BYTES)
    path.chmod(0o600)
    return server
