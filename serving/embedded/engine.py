"""What an engine is to the server: something that loads a bundle and answers its signatures."""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from serving.embedded.signatures import Signature
from serving.embedded.status import Code, ServingError
from serving.embedded.tensors import Array


@dataclass(frozen=True)
class Deadline:
    """The moment, on the monotonic clock, after which nobody waits for the answer."""

    at: float = math.inf

    @staticmethod
    def after(seconds: float | None) -> "Deadline":
        """Returns the deadline that many seconds from now; None is no deadline."""
        return Deadline() if seconds is None else Deadline(time.monotonic() + seconds)

    def remaining(self) -> float | None:
        """Returns the seconds left, None without a deadline.

        Raises:
            ServingError: DEADLINE_EXCEEDED when none are left.
        """
        if math.isinf(self.at):
            return None
        left = self.at - time.monotonic()
        if left <= 0:
            raise ServingError(Code.DEADLINE_EXCEEDED, "The deadline of the request has passed.")
        return left


class Model(Protocol):
    """One loaded version of a bundle; `predict` is called by many threads at once."""

    @property
    def signatures(self) -> Mapping[str, Signature]:
        """The signatures that this engine answers, by name."""

    @property
    def not_answered(self) -> frozenset[str]:
        """Signatures of the bundle that this engine does not answer."""

    @property
    def definitions(self) -> Mapping[str, Any]:
        """The SignatureDefs that GetModelMetadata answers, by name."""

    def predict(
        self,
        signature: Signature,
        inputs: Mapping[str, Array],
        outputs: Sequence[str],
        deadline: Deadline,
    ) -> dict[str, Array]:
        """Answers inputs that the signature has accepted.

        Raises:
            ServingError: DEADLINE_EXCEEDED in time, or what the computation failed with.
        """

    def close(self) -> None:
        """Gives back the memory; nothing is called afterwards."""


class Engine(Protocol):
    """Loads bundles."""

    def load(self, folder: Path) -> Model:
        """Loads one version from its folder.

        Raises:
            ServingError: what is missing or broken in the folder.
        """
