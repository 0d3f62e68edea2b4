"""What every model is: a Keras layer from a shopper's five inputs to a log-score per item."""

import dataclasses
import importlib
import json
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self

import keras
import numpy as np
from keras import ops

from model.schema import EVENT_TYPE_INDEX, PADDING_INDEX, Input, Output

PADDING_SCORE = -1e9  # finite, so that no product or top-k ever meets an infinity
EVENT_TYPES_WITH_PADDING = len(EVENT_TYPE_INDEX) + 1
INPUT_DTYPES = {
    Input.HISTORY: "int32",
    Input.HISTORY_EVENT_TYPE: "int32",
    Input.HISTORY_AGE_SECONDS: "float32",
    Input.FREQUENT_ITEMS: "int32",
    Input.FREQUENT_COUNTS: "float32",
}


class Report(Protocol):
    """Is told how a fit goes: what runs, the share of it that is done, and figures."""

    def __call__(self, task: str, share: float, figures: Mapping[str, float]) -> None:
        """Take one report."""


def silent(task: str, share: float, figures: Mapping[str, float]) -> None:
    """A `Report` that goes nowhere."""


@dataclass(frozen=True)
class FitContext:
    """What a fit may use.

    Attributes:
        until: Seconds UTC; nothing at or after it may be learned from.
        history_length: L, the length of the histories that will be served.
        frequent_length: F, the length of the lists of frequent items.
        seed: Of everything random.
        cpu_seconds: Budget of an iterative fit; closed forms ignore it.
        choosing: Whether the validation window lies after `until`, so that settings can be
            chosen and training stopped early on it. False in the final fit.
        folder: Where checkpoints are kept; None keeps none.
        report: Is told of the progress.
        below: The rungs that were fitted before this one, by name.
    """

    until: int
    history_length: int = 50
    frequent_length: int = 50
    seed: int = 7
    cpu_seconds: float = 60.0
    choosing: bool = False
    folder: Path | None = None
    report: Report = silent
    below: Mapping[str, "Recommender"] = field(default_factory=dict)


@dataclass(frozen=True)
class NoSettings:
    """Settings of a model that has none."""


class Recommender(keras.layers.Layer):
    """Base of every rung of the ladder and of a team's own model.

    A subclass names the inputs it reads, makes its weights in `build`, fills them in `fit`, and
    returns `{"scores": float32[B, items + 1]}` from `call` (with `"user_vector"` when it has an
    encoder). `finish` turns any finite scores into the log-probabilities that the contract asks.

    Args:
        items: N, the size of the vocabulary; indexes are 1..N, 0 is padding.
        settings: An instance of `settings_class`, or its fields as a dict; None for defaults.
    """

    settings_class: ClassVar[type[Any]] = NoSettings
    inputs_read: ClassVar[tuple[str, ...]] = ()

    def __init__(self, items: int, settings: Any = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.items = items
        fields = {} if settings is None else settings
        self.settings = self.settings_class(**fields) if isinstance(fields, Mapping) else fields

    def fit(self, dataset: Any, context: FitContext) -> dict[str, Any]:
        """Learn from the events of a `model.data.dataset.Dataset` before `context.until`.

        Returns:
            What is worth recording of the fit, as plain JSON values.
        """
        raise NotImplementedError(f"{type(self).__name__} must define `fit(dataset, context)`.")

    def read_inputs(self) -> tuple[str, ...]:
        """The inputs that change this model's scores."""
        return self.inputs_read

    def finish(self, scores: Any) -> Any:
        """Log-probabilities over the items; column 0, the padding, at -1e9. `(B, N + 1)`."""
        padding = np.zeros((1, self.items + 1), np.float32)
        padding[0, PADDING_INDEX] = PADDING_SCORE
        return ops.log_softmax(ops.add(scores, padding), axis=-1)

    def get_config(self) -> dict[str, Any]:
        """Arguments to make this layer again, without its weights."""
        settings = dataclasses.asdict(self.settings)
        return {**super().get_config(), "items": self.items, "settings": settings}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """Make a layer from `get_config`."""
        return cls(**config)


def scatter_rows(indices: Any, values: Any, width: int) -> Any:
    """Add values into their columns, row by row: `(B, L)`, `(B, L)` → `(B, width)`.

    Flat indexes keep to one-dimensional ScatterNd, which LiteRT has as a builtin.
    """
    batch = ops.shape(indices)[0]
    first = ops.expand_dims(ops.arange(batch, dtype="int32") * width, 1)
    flat = ops.reshape(indices + first, (-1, 1))
    return ops.reshape(ops.scatter(flat, ops.reshape(values, (-1,)), (batch * width,)), (-1, width))


def as_model(recommender: Recommender, history_length: int, frequent_length: int) -> keras.Model:
    """Build a recommender as the `keras.Model` of the contract: five named inputs, dict out."""
    lengths = dict.fromkeys(INPUT_DTYPES, history_length)
    lengths |= {Input.FREQUENT_ITEMS: frequent_length, Input.FREQUENT_COUNTS: frequent_length}
    inputs = {
        name: keras.Input((lengths[name],), name=name, dtype=dtype)
        for name, dtype in INPUT_DTYPES.items()
    }
    return keras.Model(inputs, recommender(inputs), name=recommender.name)


def recommender_of(model: keras.Model) -> Recommender:
    """The layer that `as_model` made a model of."""
    return next(layer for layer in model.layers if isinstance(layer, Recommender))


def save(model: keras.Model, path: Path) -> None:
    """Write a `.keras` file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.stem}.writing.keras")
    model.save(scratch)
    scratch.rename(path)


def load(path: Path) -> keras.Model:
    """Read a `.keras` file that `save` wrote.

    Imports the modules that its layers come from first: Keras finds a class only by its
    registration, and a team's own model lives in a module that nothing else imports.
    """
    with zipfile.ZipFile(path) as archive:
        config = json.loads(archive.read("config.json"))
    for module in sorted(_modules(config)):
        importlib.import_module(module)
    return keras.models.load_model(path, compile=False)


def _modules(config: Any) -> set[str]:
    """Names of the modules of registered classes in a Keras configuration."""
    if isinstance(config, list):
        return set().union(*(_modules(value) for value in config)) if config else set()
    if not isinstance(config, dict):
        return set()
    found = set().union(*(_modules(value) for value in config.values())) if config else set()
    module = config.get("module")
    if config.get("registered_name") and isinstance(module, str) and _is_ours(module):
        found.add(module)
    return found


def _is_ours(module: str) -> bool:
    return re.match(r"(keras|builtins)(\.|$)", module) is None


def class_named(name: str) -> type[Recommender]:
    """The class that `package.module:Class` names.

    Raises:
        ValueError: There is no such module or class, or it is not a `Recommender`.
    """
    module, _, attribute = name.partition(":")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except ModuleNotFoundError as error:
        if error.name is None or not module.startswith(error.name):
            raise
        raise ValueError(
            f"model {name!r}: there is no module {error.name!r} under the project's folder; "
            "write it as package.module:Class"
        ) from None
    except AttributeError:
        raise ValueError(f"model {name!r}: {module} has no {attribute!r}") from None
    if not (isinstance(found, type) and issubclass(found, Recommender)):
        raise ValueError(  # noqa: TRY004  (a wrong setting, not a wrong type in code)
            f"model {name!r} is no subclass of model.rungs.recommender:Recommender"
        )
    return found


def score(
    model: keras.Model, inputs: Mapping[str, np.ndarray], batch_size: int = 128
) -> np.ndarray:
    """Log-scores float32[n, N + 1] of many shoppers, in batches of bounded memory."""
    rows = len(inputs[Input.HISTORY])
    pieces = [
        _score_batch(model, inputs, first, batch_size) for first in range(0, rows, batch_size)
    ]
    items = recommender_of(model).items
    return np.concatenate(pieces) if pieces else np.zeros((0, items + 1), np.float32)


def _score_batch(
    model: keras.Model, inputs: Mapping[str, np.ndarray], first: int, size: int
) -> np.ndarray:
    batch = {name: inputs[name][first : first + size] for name in INPUT_DTYPES}
    return np.asarray(ops.convert_to_numpy(model(batch, training=False)[Output.SCORES]))


def recommend(
    model: keras.Model, inputs: Mapping[str, np.ndarray], k: int = 10, batch_size: int = 128
) -> np.ndarray:
    """The k best item indexes int32[n, k] of many shoppers, best first, ties by index."""
    rows = len(inputs[Input.HISTORY])
    pieces = [
        best_items(_score_batch(model, inputs, first, batch_size), k)
        for first in range(0, rows, batch_size)
    ]
    return np.concatenate(pieces) if pieces else np.zeros((0, k), np.int32)


def best_items(scores: np.ndarray, k: int) -> np.ndarray:
    """Columns of the k highest scores int32[n, k] (fewer when there are fewer items).

    Ties go to the lower index, as in TensorFlow's top_k; column 0 is never returned.
    """
    order = np.argsort(-scores[:, 1:], axis=1, kind="stable")[:, :k]
    return (order + 1).astype(np.int32)
