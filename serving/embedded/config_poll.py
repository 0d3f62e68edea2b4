"""Reads models.config again and again, and applies it when it has changed."""

import logging
import threading
from pathlib import Path
from typing import Final

from serving.embedded.config_files import model_settings, read_model_config
from serving.embedded.manager import Manager
from serving.embedded.status import ServingError

_LOG: Final = logging.getLogger(__name__)


class ConfigPoll:
    """Watches one configuration file.

    A file that could not be applied, say because its label names a version that is still loading,
    is tried again at each poll; one that holds what is in force is left alone.

    Args:
        manager: Which takes the configuration.
        path: models.config.
        seconds: Between two reads.
    """

    def __init__(self, manager: Manager, path: Path, seconds: float) -> None:
        self._manager = manager
        self._path = path
        self._seconds = seconds
        self._applied = path.read_bytes()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="config", daemon=True)

    def start(self) -> None:
        """Begins to watch."""
        self._thread.start()

    def stop(self) -> None:
        """Ends the watch."""
        self._stopping.set()
        if self._thread.ident:
            self._thread.join()

    def _watch(self) -> None:
        while not self._stopping.wait(self._seconds):
            try:
                self._apply()
            except (OSError, ServingError) as error:
                _LOG.error("%s is not applied: %s", self._path, error)

    def _apply(self) -> None:
        content = self._path.read_bytes()
        if content != self._applied:
            models = model_settings(read_model_config(self._path))
            self._manager.apply(models, deadline=None)
            self._applied = content
            _LOG.info("Applied %s", self._path)
