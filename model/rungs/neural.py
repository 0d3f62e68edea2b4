"""Iterative training inside a CPU budget: planned steps, early stop, checkpoints, resume."""

import hashlib
import json
import math
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Protocol

import keras
import numpy as np
import tensorflow as tf

from model.rungs.recommender import FitContext, Recommender, as_model
from model.rungs.validation import Window

# Of a core when two trainings share two of them: plans then end before the budget does.
FLOPS_PER_CPU_SECOND = 20e9
CPU_SECONDS_PER_STEP = 0.01  # of overhead, however small the network
CPU_SECONDS_TO_COMPILE = 6.0
FINAL_SHARE = 0.3  # of the budget: going on with the validation window included
EVALUATIONS = 6
PATIENCE = 3
MOST_VALIDATION_USERS = 500
WARMUP_SHARE = 0.05


class DivergedError(ValueError):
    """The loss became NaN or infinite: the weights are lost and nothing was kept."""


class Examples(Protocol):
    """What a neural rung learns from."""

    count: int

    def batches(self, random: np.random.Generator) -> Iterator[dict[str, np.ndarray]]:
        """One pass over all examples, in an order drawn from `random`."""


@dataclass(frozen=True)
class Plan:
    """How long a training runs; a pure function of settings and data, so it can be repeated.

    The step count comes from the work a step takes, not from a clock. The clock has the last
    word: where the machine is slower than planned, the schedule follows the share of the budget
    that is used, so that training ends inside it with its learning rate at zero either way.

    Attributes:
        steps: Updates to make.
        cpu_seconds: Budget.
        learning_rate: At the peak.
    """

    steps: int
    cpu_seconds: float
    learning_rate: float

    def progress(self, step: int, spent: float) -> float:
        """Share of the training that is done, 1 at its end."""
        return max(step / max(self.steps, 1), spent / self.cpu_seconds)

    def rate(self, step: int, spent: float) -> float:
        """Learning rate of a step: a linear rise, then a cosine to zero at the end."""
        done = min(self.progress(step, spent), 1.0)
        rise = min(1.0, (step + 1) / max(1.0, WARMUP_SHARE * self.steps))
        return self.learning_rate * rise * 0.5 * (1.0 + math.cos(math.pi * done))


@dataclass
class State:
    """Where a training is; what a checkpoint holds beside the weights."""

    step: int = 0
    spent: float = 0.0
    best: float = -1.0
    without_gain: int = 0
    examples: int = 0
    curve: list[dict[str, float]] = field(default_factory=list)


class NeuralRecommender(Recommender):
    """A rung that is trained by gradient descent; a subclass gives its examples and its loss."""

    settings_class: ClassVar[type[Any]]

    def examples(self, dataset: Any, context: FitContext) -> Examples:
        """What to learn from, before `context.until`."""
        raise NotImplementedError

    def loss(self, batch: dict[str, Any]) -> Any:
        """Mean loss of a batch, a scalar."""
        raise NotImplementedError

    def flops_per_example(self) -> float:
        """Floating-point operations of one example, forward and back."""
        raise NotImplementedError

    def prepare(self, dataset: Any, context: FitContext) -> None:
        """Set the weights that are not trained, and start the others, before the first step."""

    def fit(self, dataset: Any, context: FitContext) -> dict[str, Any]:
        """Train within the budget; a second fit goes on from the first with its share of it.

        Raises:
            DivergedError: The loss is not finite.
        """
        # Gradients of gathers are summed by several threads: fix their order for this process.
        tf.config.experimental.enable_op_determinism()
        again = bool(getattr(self, "_trained", False))
        self.prepare(dataset, context) if not again else self.renew(dataset, context)
        examples = self.examples(dataset, context)
        plan = self._plan(examples, context, again)
        notes = Training(self, examples, plan, dataset, context).run()
        self._trained = True
        return notes

    def renew(self, dataset: Any, context: FitContext) -> None:
        """Set the weights that are not trained for a later moment."""

    def _plan(self, examples: Examples, context: FitContext, again: bool) -> Plan:
        share = FINAL_SHARE if again else (1.0 - FINAL_SHARE) if context.choosing else 1.0
        budget = context.cpu_seconds * share
        settings = self.settings
        work = self.flops_per_example() * settings.batch_size / FLOPS_PER_CPU_SECOND
        left = max(budget - CPU_SECONDS_TO_COMPILE, 1.0)
        steps = int(left / (work + CPU_SECONDS_PER_STEP))
        most = settings.most_epochs * math.ceil(examples.count / settings.batch_size)
        return Plan(min(steps, most), budget, settings.learning_rate * (0.5 if again else 1.0))


class Training:
    """One run of updates over a plan."""

    def __init__(
        self,
        recommender: NeuralRecommender,
        examples: Examples,
        plan: Plan,
        dataset: Any,
        context: FitContext,
    ) -> None:
        self.recommender, self.examples, self.plan = recommender, examples, plan
        self.context, self.state, self.resumed_at = context, State(), 0
        self.variables = recommender.trainable_variables
        self.optimizer = keras.optimizers.Adam(plan.learning_rate, beta_2=0.98)
        self.optimizer.build(self.variables)
        self.best_weights: list[np.ndarray] | None = None
        self.checkpoint = _checkpoint_path(recommender, plan, dataset, context)
        self.window, self.model = None, None
        if context.choosing:
            self.window = Window.of(dataset, "validation", context, MOST_VALIDATION_USERS)
            lengths = (context.history_length, context.frequent_length)
            self.model = as_model(recommender, *lengths)

    def run(self) -> dict[str, Any]:
        """Train, or go on where a killed run left off; returns what is recorded."""
        self._resume()
        started, spent_before = time.process_time(), self.state.spent
        update, every = self._compiled_update(), max(1, self.plan.steps // EVALUATIONS)
        while self.state.step < self.plan.steps and not self._is_over():
            for batch in self._remaining_batches():
                loss = float(update(batch, self._rate()))
                self.state.step += 1
                self._require_finite(loss)
                self.state.examples += len(next(iter(batch.values())))
                self.state.spent = spent_before + time.process_time() - started
                if self.state.step % every == 0 or self.state.step == self.plan.steps:
                    self._look(loss)
                    self.state.spent = spent_before + time.process_time() - started
                    self._save()
                if self._is_over():
                    break
        if self.best_weights is not None:
            self.recommender.set_weights(self.best_weights)
        return self._notes()

    def _rate(self) -> Any:
        return tf.constant(self.plan.rate(self.state.step, self.state.spent), tf.float32)

    def _is_over(self) -> bool:
        done = self.plan.progress(self.state.step, self.state.spent) >= 1.0
        return done or self.state.without_gain >= PATIENCE

    def _remaining_batches(self) -> Iterator[dict[str, np.ndarray]]:
        """The batches of the epoch that the current step lies in, from that step on."""
        size = self.recommender.settings.batch_size
        per_epoch = math.ceil(self.examples.count / size)
        epoch, done = divmod(self.state.step, per_epoch)
        random = np.random.default_rng((self.context.seed, epoch))
        for place, batch in enumerate(self.examples.batches(random)):
            if place >= done:
                yield batch

    def _compiled_update(self) -> Any:
        # No XLA: on a CPU it gains 0-10 % here and costs seconds and memory to compile.
        @tf.function(reduce_retracing=True, jit_compile=False)
        def update(batch: dict[str, tf.Tensor], rate: tf.Tensor) -> tf.Tensor:
            with tf.GradientTape() as tape:
                loss = self.recommender.loss(batch)
            self.optimizer.learning_rate.assign(rate)
            self.optimizer.apply(tape.gradient(loss, self.variables), self.variables)
            return loss

        return update

    def _require_finite(self, loss: float) -> None:
        if not math.isfinite(loss):
            raise DivergedError(
                f"the loss of {self.recommender.name} became {loss} at step {self.state.step} of "
                f"{self.plan.steps}; lower [model] learning_rate (now {self.plan.learning_rate})"
            )

    def _look(self, loss: float) -> None:
        """Measure, remember the best weights, tell."""
        state = self.state
        figures = {"loss": loss}
        if self.window is not None:
            reached = self.window.ndcg(self.model)
            figures["validation_ndcg_at_10"] = reached
            state.without_gain = 0 if reached > state.best else state.without_gain + 1
            if reached > state.best:
                state.best, self.best_weights = reached, self.recommender.get_weights()
        rounded = {name: round(value, 6) for name, value in figures.items()}
        state.curve.append({"cpu_seconds": round(state.spent, 2), **rounded})
        share = self.plan.progress(state.step, state.spent)
        self.context.report(f"train {self.recommender.name}", min(share, 1.0), figures)

    def _save(self) -> None:
        """Write a checkpoint whole or not at all: a kill at any moment leaves a good one.

        An agent that was given up may still train: it writes under a name of its own.
        """
        if self.checkpoint is None:
            return
        arrays = _numbered("variable", [value.numpy() for value in self._everything()])
        arrays |= _numbered("best", self.best_weights or [])
        self.checkpoint.parent.mkdir(parents=True, exist_ok=True)
        scratch = self.checkpoint.with_suffix(f".{uuid.uuid4().hex}.npz")
        np.savez(scratch, state=json.dumps(asdict(self.state)), **arrays)
        scratch.rename(self.checkpoint)

    def _resume(self) -> None:
        if self.checkpoint is None or not self.checkpoint.exists():
            return
        with np.load(self.checkpoint) as saved:
            self.state = State(**json.loads(str(saved["state"])))
            self.resumed_at = self.state.step
            values = _in_order("variable", saved)
            for variable, value in zip(self._everything(), values, strict=True):
                variable.assign(value)
            self.best_weights = _in_order("best", saved) or None

    def _everything(self) -> list[Any]:
        """Weights, the state of the dropout's random numbers, and the optimizer's moments."""
        return [*self.recommender.variables, *self.optimizer.variables]

    def _notes(self) -> dict[str, Any]:
        state = self.state
        stopped = "plan" if state.step >= self.plan.steps else "budget"
        return {
            "steps": state.step,
            "planned_steps": self.plan.steps,
            "resumed_at_step": self.resumed_at,
            "stopped_by": "early stop" if state.without_gain >= PATIENCE else stopped,
            "train_cpu_seconds": round(state.spent, 2),
            "examples_per_second": round(state.examples / max(state.spent, 1e-9), 1),
            "learning_curve": state.curve,
        }


def _checkpoint_path(
    recommender: Recommender, plan: Plan, dataset: Any, context: FitContext
) -> Path | None:
    """A checkpoint is good only for the same model, plan, data and moment: they name it."""
    if context.folder is None:
        return None
    settings = asdict(recommender.settings)
    facts = [recommender.name, settings, asdict(plan), context.seed, context.until]
    key = json.dumps([*facts, context.history_length, dataset.meta["digest"]], sort_keys=True)
    name = hashlib.sha256(key.encode()).hexdigest()[:16]
    return context.folder / f"{recommender.name}-{name}.npz"


def _numbered(name: str, arrays: list[np.ndarray]) -> dict[str, np.ndarray]:
    return {f"{name}_{place}": array for place, array in enumerate(arrays)}


def _in_order(name: str, saved: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    count = sum(key.startswith(f"{name}_") for key in saved)
    return [saved[f"{name}_{place}"] for place in range(count)]
