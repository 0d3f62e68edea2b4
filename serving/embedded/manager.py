"""Loads and unloads versions as the configuration and the disk ask, without a gap in service."""

import logging
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from serving.embedded.config_files import ModelSettings
from serving.embedded.engine import Deadline
from serving.embedded.labels import checked_labels
from serving.embedded.status import Code, ServingError, invalid, not_found
from serving.embedded.storage import aspired
from serving.embedded.versions import Load, State, Version, loaded

_LOG: Final = logging.getLogger(__name__)
# A model that is released daily keeps a month of ended versions in its status.
_ENDED_KEPT: Final = 32


@dataclass(frozen=True)
class ManagerSettings:
    """How the manager loads; the defaults are tensorflow_model_server's.

    Attributes:
        load_threads: Loads that run side by side, never in the way of requests.
        retries: Further attempts after a failed load.
        retry_seconds: The pause before each.
        poll_seconds: Between two looks at the disk; 0 or less looks only when the configuration
            changes.
        early_labels: Whether a label that is new may name a version not yet available.
    """

    load_threads: int = 1
    retries: int = 5
    retry_seconds: float = 60.0
    poll_seconds: float = 1.0
    early_labels: bool = False


class Manager:
    """All models of the server.

    A thread of its own compares what is aspired with what is loaded: a new version is loaded first,
    and an old one is unloaded only when an aspired one answers and nobody uses the old one.

    Args:
        load: Makes a model of a folder, warm, or raises ServingError.
        settings: How to load.
    """

    def __init__(self, load: Load, settings: ManagerSettings) -> None:
        self._load = load
        self._settings = settings
        self._models: dict[str, ModelSettings] = {}
        self._versions: dict[str, dict[int, Version]] = {}
        self._aspired: dict[str, frozenset[int]] = {}
        self._labels: dict[str, dict[str, int]] = {}
        self._changed = threading.Condition()
        self._applying = threading.Lock()
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._pool = ThreadPoolExecutor(max(1, settings.load_threads), "load")
        self._unloads = ThreadPoolExecutor(1, "unload")
        self._thread = threading.Thread(target=self._watch, name="versions", daemon=True)

    def start(self) -> None:
        """Begins to watch the disk."""
        self._thread.start()

    def halt(self) -> None:
        """Stops watching, loading and waiting for loads; what is loaded goes on answering."""
        self._stopping.set()
        self._wake.set()
        with self._changed:
            self._changed.notify_all()

    def stop(self) -> None:
        """Halts, and closes what is loaded once nobody uses it."""
        self.halt()
        if self._thread.ident:
            self._thread.join()
        self._pool.shutdown(cancel_futures=True)
        with self._changed:
            served = [version for version in self._all() if version.state is State.AVAILABLE]
            for version in served:
                self._begin_unload(version)
        self._unloads.shutdown()

    def apply(self, models: Mapping[str, ModelSettings], deadline: Deadline | None) -> None:
        """Takes a new configuration: all models, as each reload lists them all.

        Args:
            models: The models by name; one left out is unloaded.
            deadline: How long to wait for new models to become available; None does not wait.

        Raises:
            ServingError: FAILED_PRECONDITION for a label on a version that is not available (then
                nothing changed), UNKNOWN when a new model cannot be loaded.
        """
        with self._applying:
            with self._changed:
                labels = checked_labels(
                    models, self._available_numbers, self._labels, self._settings.early_labels
                )
                new = set(models) - set(self._models)
                self._models, self._labels = dict(models), labels
            self._wake.set()
            if deadline is not None:
                self._wait_for(new, deadline)

    @contextmanager
    def borrow(
        self, name: str, number: int | None = None, label: str | None = None
    ) -> Iterator[Version]:
        """Holds the version that a request names, the newest available when it names none.

        Raises:
            ServingError: NOT_FOUND for a model or version that is not served, INVALID_ARGUMENT
                for an unknown label or an empty name.
        """
        with self._changed:
            version = self._resolve(name, number, label)
            version.users += 1
        try:
            yield version
        finally:
            with self._changed:
                version.users -= 1
                if version.state is State.UNLOADING and not version.users:
                    self._changed.notify_all()

    def statuses(self, name: str, number: int | None = None) -> list[Version]:
        """Returns the versions of a model, newest first, ended ones included.

        Raises:
            ServingError: NOT_FOUND in TensorFlow Serving's words.
        """
        with self._changed:
            versions = self._versions.get(name, {})
            if number is not None:
                if number not in versions:
                    raise not_found(f"Could not find version {number} of model {name}")
                return [versions[number]]
            if not versions:
                raise not_found(f"Could not find any versions of model {name}")
            return [versions[key] for key in sorted(versions, reverse=True)]

    def knows(self, name: str) -> bool:
        """Tells whether the configuration lists a model."""
        return name in self._models

    def _all(self) -> list[Version]:
        return [version for versions in self._versions.values() for version in versions.values()]

    def _available_numbers(self, name: str) -> set[int]:
        versions = self._versions.get(name, {}).values()
        return {version.number for version in versions if version.state is State.AVAILABLE}

    def _resolve(self, name: str, number: int | None, label: str | None) -> Version:
        if not name:
            raise invalid("ModelSpec has no name specified.")
        if label is not None:
            number = self._labels.get(name, {}).get(label)
            if number is None:
                raise invalid(f"Unrecognized servable version label: {label}")
        available = self._available_numbers(name)
        if number is None:
            if not available:
                raise not_found(f"Servable not found for request: Latest({name})")
            number = max(available)
        elif number not in available:
            raise not_found(f"Servable not found for request: Specific({name}, {number})")
        return self._versions[name][number]

    def _watch(self) -> None:
        interval = self._settings.poll_seconds if self._settings.poll_seconds > 0 else None
        while not self._stopping.is_set():
            # the disk is read outside the lock: a slow file system must not hold requests up
            for name, settings in list(self._models.items()):
                self._aspire(name, aspired(settings))
            for name in set(self._versions) - set(self._models):
                self._aspire(name, None)
            self._wake.wait(interval)
            self._wake.clear()

    def _aspire(self, name: str, folders: Mapping[int, Path] | None) -> None:
        """Moves one model towards its aspired versions; None drops the model."""
        with self._changed:
            versions = self._versions.setdefault(name, {})
            if not folders and folders is not None:
                if self._available_numbers(name):
                    _LOG.error("Refusing to unload all versions for Servable: %s", name)
                return
            folders = folders or {}
            before, self._aspired[name] = self._aspired.get(name), frozenset(folders)
            for number in sorted(folders, reverse=True):
                if number not in versions or _came_back(versions[number], before):
                    self._begin_load(Version(name, number, folders[number]))
            self._drop_surplus(name, versions)

    def _drop_surplus(self, name: str, versions: dict[int, Version]) -> None:
        wanted = self._aspired[name]
        available = self._available_numbers(name)
        if not wanted or wanted & available:
            for number in sorted(available - wanted):
                self._begin_unload(versions[number])
        ended = sorted(number for number in versions if versions[number].state is State.END)
        for number in ended[:-_ENDED_KEPT]:
            del versions[number]

    def _begin_load(self, version: Version) -> None:
        version.state = State.LOADING
        self._versions[version.model_name][version.number] = version
        _LOG.info("Loading %s version %d", version.model_name, version.number)
        self._pool.submit(self._run_load, version)

    def _run_load(self, version: Version) -> None:
        for attempt in range(1 + self._settings.retries):
            if attempt and self._stopping.wait(self._settings.retry_seconds):
                return
            outcome = loaded(self._load, version.folder)
            if not isinstance(outcome, ServingError):
                break
            _LOG.error(
                "Loading %s version %d failed (attempt %d of %d): %s",
                version.model_name, version.number, attempt + 1, 1 + self._settings.retries,
                outcome.message,
            )  # fmt: skip
            if version.number not in self._aspired.get(version.model_name, frozenset()):
                break
        with self._changed:
            if isinstance(outcome, ServingError):
                version.error, version.state = outcome, State.END
            else:
                version.model, version.state = outcome, State.AVAILABLE
                _LOG.info("%s version %d is available", version.model_name, version.number)
            self._changed.notify_all()
        self._wake.set()

    def _begin_unload(self, version: Version) -> None:
        version.state = State.UNLOADING
        self._unloads.submit(self._run_unload, version)

    def _run_unload(self, version: Version) -> None:
        with self._changed:
            self._changed.wait_for(lambda: version.users == 0)
            model, version.model = version.model, None
        if model is not None:
            model.close()
        with self._changed:
            version.state = State.END
            self._changed.notify_all()
        _LOG.info("Unloaded %s version %d", version.model_name, version.number)

    def _wait_for(self, names: set[str], deadline: Deadline) -> None:
        """Waits until each model answers or all its versions have failed."""
        if names:
            _LOG.info("Waiting for %s", ", ".join(sorted(names)))
        with self._changed:
            while not all(self._settled(name) for name in names):
                if self._stopping.is_set():
                    raise ServingError(Code.CANCELLED, "The server is stopping.")
                self._changed.wait(deadline.remaining())
            failed = [name for name in sorted(names) if not self._available_numbers(name)]
            if failed:
                raise ServingError(Code.UNKNOWN, self._failure(failed))

    def _settled(self, name: str) -> bool:
        wanted = self._aspired.get(name, frozenset())
        if self._available_numbers(name):
            return True
        return bool(wanted) and all(self._versions[name][number].failed for number in wanted)

    def _failure(self, names: list[str]) -> str:
        causes = [
            f"{{name: {name} version: {version.number}}} due to error: "
            f"{version.error.code.name}: {version.error.message}"
            for name in names
            for version in self._versions[name].values()
            if version.error is not None
        ]
        return f"{len(names)} model(s) did not become available: {{{'; '.join(causes)}}}"


def _came_back(version: Version, aspired_before: frozenset[int] | None) -> bool:
    """Tells whether a version that is aspired needs another load.

    An unloaded one does. One that failed stays failed until its folder or the configuration took
    it out of the aspired ones for a while.
    """
    unseen = version.number not in (aspired_before or frozenset())
    return version.state is State.END and (version.error is None or unseen)
