"""A constant load on hosts of this machine, from a process of its own, while something happens."""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from ci.config import PROJECT
from ci.errors import UnavailableError
from ci.rehearsal.plan import Plan
from ci.rehearsal.traffic import Request, Traffic


class Load:
    """A load that runs; made by `load`.

    Attributes:
        plan: What is asked.
    """

    def __init__(self, plan: Plan, process: subprocess.Popen[bytes], folder: Path) -> None:
        self.plan = plan
        self._process = process
        self._folder = folder
        self._traffic: Traffic | None = None

    @property
    def ended(self) -> int:
        """How many requests have ended so far, well or not."""
        return max(self._written().count(b"\n") - 1, 0)  # the first line says when it began

    def wait_for(self, more: int) -> None:
        """Wait until that many more requests have ended, well or not.

        Raises:
            UnavailableError: The load ends before.
        """
        wanted = self.ended + more
        while True:
            is_over = self._process.poll() is not None
            missing = wanted - self.ended
            if missing <= 0:
                return
            if is_over:
                raise UnavailableError(
                    f"The load ended, and {missing} of {more} requests were still to come. It was "
                    f"planned for {self.plan.seconds:g} s.\n{self._complaints()}".rstrip()
                )
            time.sleep(0.05)

    def stop(self) -> Traffic:
        """Send no more, wait for the last answers; every request sent is in the result.

        Raises:
            UnavailableError: The load broke, or does not know what became of a request.
        """
        if self._traffic is None:
            self._end()
            self._traffic = self._account()
        return self._traffic

    def _end(self) -> None:
        if self._process.stdin:
            self._process.stdin.close()
        try:
            self._process.wait(self.plan.timeout_seconds + 30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _account(self) -> Traffic:
        if self._process.returncode != 0:
            raise UnavailableError(
                f"The load broke (exit {self._process.returncode}):\n{self._complaints()}"
            )
        first, *middle, last = map(json.loads, self._written().splitlines())
        requests = tuple(Request(**line) for line in middle)
        if len(requests) != last["sent"]:
            raise UnavailableError(
                f"The load sent {last['sent']} requests and knows the end of {len(requests)}"
            )
        return Traffic(requests, first["began"], last["ended"])

    def _written(self) -> bytes:
        return (self._folder / "requests").read_bytes()

    def _complaints(self) -> str:
        return (self._folder / "complaints").read_text(errors="replace")[-2000:]


@contextmanager
def load(plan: Plan) -> Iterator[Load]:
    """Ask as planned during the block, from before it begins.

    The asking process ends with the plan, the block or this process, whatever comes first.

    Example:
        with load(Plan({"host1": "127.0.0.1:18081"}, per_second=20)) as running:
            running.wait_for(100)
            …
        traffic = running.stop()

    Raises:
        UnavailableError: The load does not begin.
    """
    with tempfile.TemporaryDirectory(prefix="pushcart-load-") as name:
        folder = Path(name)
        command = [sys.executable, "-m", "ci.rehearsal.shoppers", json.dumps(asdict(plan))]
        with (folder / "requests").open("wb") as out, (folder / "complaints").open("wb") as err:
            # A session of its own: at a Ctrl-C it still tells what became of its requests.
            process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=out,
                stderr=err,
                cwd=PROJECT,
                start_new_session=True,
            )
        running = Load(plan, process, folder)
        try:
            running.wait_for(1)
            yield running
        finally:
            running.stop()
