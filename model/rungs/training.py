"""Fits the configured model and the rungs below it, first to choose, then on all of the past."""

import resource
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import keras

from model.data.dataset import Dataset
from model.rungs.blend import Blend
from model.rungs.covisit import Covisit, CovisitSettings
from model.rungs.dnn import Dnn, DnnSettings
from model.rungs.linear import Linear, LinearSettings
from model.rungs.popularity import Popularity
from model.rungs.recommender import FitContext, Recommender, Report, as_model, class_named, silent
from model.rungs.repeat import Repeat
from model.rungs.transformer import Transformer, TransformerSettings
from model.rungs.validation import Window, refuse_empty_windows

LADDER = ("popularity", "repeat", "covisit", "linear", "transformer")


@dataclass(frozen=True)
class TrainSettings:
    """What training reads of `[model]` in `pipeline.toml`; see there for the meaning of each."""

    name: str = "blend"
    parts: tuple[str, ...] = ("popularity", "repeat", "linear", "transformer")
    history_length: int = 50
    frequent_length: int = 50
    linear_megabytes: int = 64
    embedding_dim: int = 64
    num_blocks: int = 1
    num_heads: int = 1
    dropout_rate: float = 0.2
    batch_size: int = 32
    learning_rate: float = 2e-3
    cpu_seconds: int = 60
    seed: int = 7


@dataclass(frozen=True)
class Trained:
    """What a training gives.

    Attributes:
        model: The challenger, as the contract describes it.
        ladder: The rungs below it by name, likewise.
        record: Content of `training.json`.
    """

    model: keras.Model
    ladder: dict[str, keras.Model]
    record: dict[str, Any]


def make_rung(
    name: str, dataset: Dataset, settings: TrainSettings, below: Mapping[str, Recommender]
) -> Recommender:
    """A rung of the ladder, or a team's own model, not fitted yet.

    Raises:
        ValueError: The name is neither.
    """
    items, megabytes = dataset.items, settings.linear_megabytes
    makers: dict[str, Callable[[], Recommender]] = {
        "popularity": lambda: Popularity(items, name=name),
        "repeat": lambda: Repeat(items, name=name),
        "covisit": lambda: Covisit(items, CovisitSettings(megabytes=megabytes), name=name),
        "linear": lambda: Linear(items, LinearSettings(megabytes=megabytes), name=name),
        "transformer": lambda: Transformer(
            items, transformer_settings(dataset, settings), name=name
        ),
        "dnn": lambda: Dnn(items, dnn_settings(settings), name=name),
        "blend": lambda: Blend(items, [below[part] for part in settings.parts], name=name),
    }
    if name in makers:
        return makers[name]()
    return class_named(name)(items, name=layer_name(name))


def dnn_settings(settings: TrainSettings) -> DnnSettings:
    """The part of `[model]` that is the textbook network's."""
    return DnnSettings(
        batch_size=settings.batch_size,
        learning_rate=settings.learning_rate,
        seed=settings.seed,
    )


def transformer_settings(dataset: Dataset, settings: TrainSettings) -> TransformerSettings:
    """The part of `[model]` that is the transformer's."""
    return TransformerSettings(
        embedding_dim=settings.embedding_dim,
        num_blocks=settings.num_blocks,
        num_heads=settings.num_heads,
        dropout_rate=settings.dropout_rate,
        batch_size=settings.batch_size,
        learning_rate=settings.learning_rate,
        features=dataset.item_features.shape[1],
        seed=settings.seed,
    )


def layer_name(name: str) -> str:
    """A rung's name as Keras and file systems take it: `package.module:Class` has a colon."""
    return name.replace(":", ".")


def rungs_to_fit(settings: TrainSettings) -> tuple[str, ...]:
    """The rungs to fit, in order, the configured one last.

    All cheap rungs below it stand in the ladder; `transformer` does when it is a part.
    """
    wanted = [*settings.parts] if settings.name == "blend" else []
    place = LADDER.index(settings.name) if settings.name in LADDER else len(LADDER) - 1
    ladder = [name for name in LADDER if name in wanted or name in LADDER[:place]]
    own = [name for name in wanted if name not in ladder]
    return (*ladder, *own, settings.name)


def neural_count(settings: TrainSettings) -> int:
    """How many rungs share the CPU budget; a team's own model counts as one."""
    closed = ("popularity", "repeat", "covisit", "linear", "blend")
    return sum(name not in closed for name in rungs_to_fit(settings))


def train(
    dataset: Dataset,
    settings: TrainSettings,
    folder: Path | None = None,
    report: Report = silent,
) -> Trained:
    """Fit before the validation window to choose and compare, then again before the test window.

    Args:
        dataset: What `prepare` wrote.
        settings: The configured model and its budget.
        folder: Where checkpoints are kept while this runs; None keeps none.
        report: Is told of the progress.

    Raises:
        ValueError: The model's name means nothing, or its settings contradict each other.
        DataError: A window has no shopper to judge by.
        TrainingError: The loss became NaN.
    """
    refuse_empty_windows(dataset)
    started, cpu_started = time.monotonic(), time.process_time()
    keras.utils.set_random_seed(settings.seed)
    context = FitContext(
        until=dataset.start_of("validation"),
        history_length=settings.history_length,
        frequent_length=settings.frequent_length,
        seed=settings.seed,
        cpu_seconds=settings.cpu_seconds / max(1, neural_count(settings)),
        choosing=True,
        folder=folder,
        report=report,
    )
    fitted = _fit_all(dataset, settings, context)
    _refit(dataset, fitted, replace(context, until=dataset.start_of("test"), choosing=False))
    lengths = (settings.history_length, settings.frequent_length)
    models = {name: as_model(one.recommender, *lengths) for name, one in fitted.items()}
    challenger = models.pop(settings.name)
    record = _record(dataset, settings, fitted) | {
        "seconds": round(time.monotonic() - started, 2),
        "cpu_seconds": round(time.process_time() - cpu_started, 2),
        "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }
    return Trained(challenger, models, record)


@dataclass
class Fitted:
    """One rung with what its fits told: the one that chose, and the final one."""

    recommender: Recommender
    validation: dict[str, float]
    cpu_seconds: float
    notes: dict[str, Any]
    final_notes: dict[str, Any] = field(default_factory=dict)


def _fit_all(dataset: Dataset, settings: TrainSettings, context: FitContext) -> dict[str, Fitted]:
    """Fit every rung on the past of the validation window and measure it there."""
    window = Window.of(dataset, "validation", context)
    fitted: dict[str, Fitted] = {}
    names = rungs_to_fit(settings)
    for place, name in enumerate(names):
        context.report(f"fit {name}", place / len(names), {})
        below = {rung: one.recommender for rung, one in fitted.items()}
        started = time.process_time()
        rung = make_rung(name, dataset, settings, below)
        model = as_model(rung, context.history_length, context.frequent_length)
        notes = rung.fit(dataset, replace(context, below=below))
        spent = time.process_time() - started
        fitted[name] = Fitted(rung, window.metrics(model), spent, notes)
        context.report(f"fit {name}", (place + 1) / len(names), fitted[name].validation)
    return fitted


def _refit(dataset: Dataset, fitted: dict[str, Fitted], context: FitContext) -> None:
    """Fit every rung again with the validation window included; what was chosen stays chosen."""
    below: dict[str, Recommender] = {}
    for place, (name, one) in enumerate(fitted.items()):
        context.report(f"refit {name}", place / len(fitted), {})
        started = time.process_time()
        one.final_notes = one.recommender.fit(dataset, replace(context, below=below))
        one.cpu_seconds += time.process_time() - started
        below[name] = one.recommender


def _record(dataset: Dataset, settings: TrainSettings, fitted: dict[str, Fitted]) -> dict[str, Any]:
    """What `training.json` tells of the models."""
    challenger = fitted[settings.name]
    notes = [one.notes for one in fitted.values() if "learning_curve" in one.notes]
    learned = notes[-1] if notes else {}
    return {
        "model": settings.name,
        "settings": {**vars(settings)},
        "notes": challenger.notes,
        "final_notes": challenger.final_notes,
        "inputs_read": list(challenger.recommender.read_inputs()),
        "trained_until": dataset.meta["test_start"],
        "validation": challenger.validation,
        "ladder": {
            name: {
                "validation": one.validation,
                "cpu_seconds": round(one.cpu_seconds, 2),
                "notes": one.notes,
                "final_notes": one.final_notes,
            }
            for name, one in fitted.items()
            if one is not challenger
        },
        "examples_per_second": learned.get("examples_per_second"),
        "learning_curve": learned.get("learning_curve", []),
        "seed": settings.seed,
        "data_digest": dataset.meta["digest"],
    }
