"""SIGTERM and SIGINT as something that the main thread can wait for."""

import signal
import socket
from typing import Final

_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)


class StopSignals:
    """Waits for the end of the process, asked for from outside or from another thread.

    The interpreter writes a byte into a socket as soon as the signal arrives, whichever thread the
    kernel gave it to: libraries start threads of their own at import, so that a mask for signals
    would come too late, and a handler could interrupt the wait at the wrong place.
    """

    def __init__(self) -> None:
        self._reader, self._writer = socket.socketpair()
        self._writer.setblocking(False)
        signal.set_wakeup_fd(self._writer.fileno())
        for number in _SIGNALS:
            signal.signal(number, lambda *_: None)

    def ask(self) -> None:
        """Ends the wait from another thread."""
        self._writer.send(b"\0")

    def wait(self) -> None:
        """Returns when a signal came or another thread asked."""
        self._reader.recv(1)
