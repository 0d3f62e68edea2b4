"""One version of a model from its first sight to its end, and who is using it now."""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from serving.embedded.engine import Model
from serving.embedded.status import Code, ServingError


class State(StrEnum):
    """The states that GetModelStatus reports."""

    START = "START"
    LOADING = "LOADING"
    AVAILABLE = "AVAILABLE"
    UNLOADING = "UNLOADING"
    END = "END"


@dataclass
class Version:
    """One version; the manager changes it under its lock.

    Attributes:
        users: Requests that hold the model now; it is not unloaded before they are done.
        error: Why it could not be loaded.
    """

    model_name: str
    number: int
    folder: Path
    state: State = State.START
    model: Model | None = field(default=None, repr=False)
    users: int = 0
    error: ServingError | None = None

    @property
    def failed(self) -> bool:
        """Tells whether it ended because it could not be loaded."""
        return self.state is State.END and self.error is not None


Load = Callable[[Path], Model]


def loaded(load: Load, folder: Path) -> Model | ServingError:
    """Loads a version; whatever goes wrong in a bundle becomes the version's error."""
    try:
        return load(folder)
    except ServingError as error:
        return error
    except Exception as error:  # a bundle from outside must not stop the manager's threads
        return ServingError(Code.UNKNOWN, f"{type(error).__name__}: {error}")
