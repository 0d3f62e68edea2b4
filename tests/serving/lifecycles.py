"""One running server whose models come and go by ReloadConfig, each test with its own model."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.serving.bundles import Row
from tests.serving.servers import ModelServer, entry, model_config, wait_until
from tests.serving.stubs import Stubs


@dataclass
class Lifecycle:
    """The server, and what it serves now."""

    server: ModelServer
    stubs: Stubs
    folder: Path
    entries: dict[str, str] = field(default_factory=dict)

    def base(self, model: str) -> Path:
        """The folder of a model's versions."""
        return self.folder / model

    def serve(
        self, model: str, policy: str = "", labels: dict[str, int] | None = None
    ) -> dict[str, Any]:
        """Serves a model beside all others; what the server refuses is left out again."""
        wanted = entry(self.base(model), policy, labels, model)
        answer = self.reload({**self.entries, model: wanted})
        if "error" not in answer:
            self.entries[model] = wanted
        return answer

    def drop(self, model: str) -> dict[str, Any]:
        """Serves everything but this model."""
        del self.entries[model]
        return self.reload(self.entries)

    def reload(self, entries: dict[str, str]) -> dict[str, Any]:
        return self.stubs.call(
            "reload", self.server.grpc_address, config=model_config(*entries.values())
        )

    def wait_state(self, model: str, version: int, state: str) -> None:
        what = f"{model} {version} {state}"
        wait_until(lambda: self.server.states(model).get(version) == state, what)

    def scores(self, path: str, row: Row) -> Any:
        """The scores of one row, or the status of the refusal."""
        answer = self.server.post(f"/v1/models/{path}:predict", {"instances": [row]})
        return answer.json()["predictions"][0]["scores"] if answer.status_code == 200 else answer

    @contextmanager
    def load(self, path: str, row: Row) -> Iterator[list[Any]]:
        """Asks without a pause from two threads while the body of the `with` goes on."""
        seen: list[Any] = []
        ended = threading.Event()

        def ask() -> None:
            while not ended.is_set():
                seen.append(self.scores(path, row))

        threads = [threading.Thread(target=ask) for _ in range(2)]
        for thread in threads:
            thread.start()
        try:
            yield seen
        finally:
            ended.set()
            for thread in threads:
                thread.join(60)


def distinct(seen: list[Any]) -> Counter[str]:
    """How often each answer came."""
    return Counter(str(answer) for answer in seen)
