"""Drives the client of the genuine stubs in its own process."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.serving.bundles import Row

_STRINGS = {"history", "history_event_type", "frequent_items", "candidates"}


def columns(rows: list[Row], form: str = "typed") -> dict[str, Any]:
    """The inputs of a request: one described tensor per column of the rows."""
    return {
        name: {
            "dtype": "string" if name in _STRINGS else "float32",
            "values": [row[name] for row in rows],
            "form": form,
        }
        for name in rows[0]
    }


class Stubs:
    """One client process for the whole session."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("client.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def call(self, name: str, address: str, **line: Any) -> dict[str, Any]:
        """Makes one call; the answer has `error` and `details` when the server refused."""
        assert self._process.stdin
        assert self._process.stdout
        print(json.dumps({"call": name, "address": address, **line}), file=self._process.stdin)
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        assert answer, "the client of the stubs died"
        told = json.loads(answer)
        assert "broken" not in told, told
        return told

    def predict(self, address: str, rows: list[Row], **line: Any) -> dict[str, Any]:
        """Predicts rows by the default signature unless `spec` names another."""
        line = {"spec": {}, "inputs": columns(rows), **line}
        return self.call("predict", address, **line)

    def close(self) -> None:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.close()
        self._process.wait(60)
        self._process.stdout.close()
