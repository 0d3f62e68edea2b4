"""Orders over a Unix socket: answers, refusals, progress, descriptors, callers who go away."""

import asyncio
import os
import socket
import threading
from pathlib import Path

import pytest

from serving.host import control
from serving.host.control import Caller, Order, RefusedOrderError
from tests.rollout_shop import eventually


class Obedient:
    """A listening process side in a thread of its own."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.gone: list[bool] = []
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))

    async def _obey(self, order: Order, caller: Caller) -> Order:
        match order:
            case {"order": "echo", "word": word}:
                caller.say(half="way")
                return {"word": word}
            case {"order": "refuse"}:
                raise RefusedOrderError("undone", "not healthy")
            case {"order": "stumble"}:
                return {"never": 1 / 0}
            case {"order": "descriptor"}:
                return {"descriptor": self._pipe[0]}
            case {"order": "wait for the caller to go"}:
                while not caller.is_gone:
                    await asyncio.sleep(0.01)
                self.gone.append(True)
        return {}

    async def _run(self) -> None:
        self._loop, self._ended = asyncio.get_running_loop(), asyncio.Event()
        self._pipe = os.pipe()
        os.write(self._pipe[1], b"handed over")
        server = await control.listen(self.path, self._obey)
        self._ready.set()
        await self._ended.wait()
        server.close()
        for descriptor in self._pipe:
            os.close(descriptor)

    def __enter__(self) -> "Obedient":
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join()


@pytest.fixture
def obedient(tmp_path):
    with Obedient(tmp_path / "orders.sock") as process:
        yield process


def test_an_order_is_answered_after_its_progress(obedient):
    heard = []
    answer = control.ask(obedient.path, {"order": "echo", "word": "奶酪"}, progress=heard.append)
    assert answer == {"word": "奶酪"}
    assert heard == [{"half": "way"}]


def test_a_refusal_keeps_its_code_and_message(obedient):
    with pytest.raises(RefusedOrderError, match="not healthy") as refused:
        control.ask(obedient.path, {"order": "refuse"})
    assert refused.value.code == "undone"


def test_a_bug_on_the_other_side_is_told_and_the_process_lives_on(obedient):
    with pytest.raises(RefusedOrderError, match="ZeroDivisionError") as refused:
        control.ask(obedient.path, {"order": "stumble"})
    assert refused.value.code == "bug"
    assert control.ask(obedient.path, {"order": "echo", "word": 1}) == {"word": 1}


def test_a_descriptor_is_handed_over(obedient):
    descriptor = control.ask(obedient.path, {"order": "descriptor"})["descriptor"]
    assert os.read(descriptor, 100) == b"handed over"
    os.close(descriptor)


def test_a_caller_who_goes_away_is_noticed(obedient):
    with socket.socket(socket.AF_UNIX) as link:
        link.connect(str(obedient.path))
        link.sendall(b'{"order": "wait for the caller to go"}\n')
    eventually(lambda: obedient.gone)


@pytest.mark.parametrize("line", [b"not JSON\n", b"\n", b""])
def test_nonsense_ends_only_its_own_connection(obedient, line):
    with socket.socket(socket.AF_UNIX) as link:
        link.connect(str(obedient.path))
        link.sendall(line)
        link.shutdown(socket.SHUT_WR)
        while link.recv(1024):
            pass
    assert control.ask(obedient.path, {"order": "echo", "word": 1}) == {"word": 1}


def test_a_socket_file_left_by_a_killed_process_is_no_hindrance(tmp_path):
    path = tmp_path / "orders.sock"
    with socket.socket(socket.AF_UNIX) as killed:
        killed.bind(str(path))
    with pytest.raises(ConnectionRefusedError):
        control.ask(path, {"order": "echo"})
    with Obedient(path) as obedient:
        assert control.ask(obedient.path, {"order": "echo", "word": 2}) == {"word": 2}


def test_only_this_user_may_give_orders(obedient):
    assert obedient.path.stat().st_mode & 0o777 == 0o600
