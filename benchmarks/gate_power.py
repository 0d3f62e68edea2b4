"""How often the gate errs: the real gate, slices and guards on, judging pairs whose truth is known.

    python -m benchmarks.gate_power [--generated]

A population is a pair of models scored on many shoppers. It comes from real trainings that differ
only by seed (`benchmarks/gate_pairs.py`; its table lies in `results/`) or, with `--generated`, from
the model of `generate`. Each repetition draws n shoppers from it, plants a harm of known size, and
lets `ci/judging` judge. Rates are over all repetitions, with the 95 % Monte-Carlo error beside.
"""

import argparse
import itertools
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ci.evaluating.per_user import CHALLENGER, LIVE, Scores, read_scores
from ci.judging.admission import Beginning
from ci.judging.judge import MISCALIBRATION, POPULARITY, judge
from ci.settings import GateSettings

RESULTS = Path(__file__).parent / "results"
WINDOW = {"start": "2026-03-01T00:00:00Z", "end": "2026-03-15T00:00:00Z"}
USERS = (500, 1_000, 2_000, 4_000)
# Share of the margin that is planted; 0 is A/A.
HARMS = (0.0, 1.0, 1.5, 2.0)
METRIC = "ndcg_at_10"


@dataclass(frozen=True)
class Population:
    """A pair of models on the shoppers they are drawn from.

    Attributes:
        scores: The table; the draws keep its columns and slices.
        shift: Mean of (challenger - live) over the whole population: the truth without harm.
    """

    scores: Scores
    shift: float

    @staticmethod
    def of(scores: Scores) -> "Population":
        """A population whose truth is the mean over its table."""
        return Population(scores, float(scores.difference(CHALLENGER, LIVE, METRIC).mean()))


def generate(users: int = 40_000, agreement: float = 0.975, seed: int = 0) -> Population:
    """A pair of equally good models, as trainings that differ by seed are.

    A shopper's chance of a hit is Beta(1, 1.15) (mean 0.47); a hit stands on rank 1..10 with
    weights 1 / rank, its NDCG is 1 / log2(rank + 1). The models answer alike for `agreement` of
    the shoppers and independently, with the same chance, for the others. With 0.975 the mean
    (0.30) and the spread of the difference (0.07) are those of the real pairs. Groups have the
    sizes of the simulated shop: 4 activities, 10 categories by Zipf, 3 price bands, 3 % new.

    Args:
        users: Size of the population.
        agreement: Share of shoppers whom both models serve alike.
        seed: Seed of everything.
    """
    generator = np.random.default_rng(seed)
    chance = generator.beta(1.0, 1.15, users)
    live, other = (_outcomes(generator, chance) for _ in range(2))
    challenger = np.where(generator.random(users) < agreement, live, other)
    zipf = 1 / np.arange(1, 11)
    slices = {
        "new_user": _groups(generator, users, {"new": 0.03, "returning": 0.97}),
        "activity": _groups(generator, users, {"0": 0.03, "1-9": 0.2, "10-49": 0.5, "50+": 0.27}),
        "category": _groups(generator, users, {f"c{i}": w for i, w in enumerate(zipf)}),
        "price_band": _groups(generator, users, dict.fromkeys(("low", "middle", "high"), 1.0)),
    }
    popularity = generator.gamma(4.0, 50.0, users)
    distance = generator.gamma(2.0, 0.4, users)
    metrics = {}
    for model, values in ((CHALLENGER, challenger), (LIVE, live)):
        noise = generator.normal(1.0, 0.05, (2, users))
        metrics[model] = {
            METRIC: values,
            POPULARITY: popularity * noise[0],
            MISCALIBRATION: distance * noise[1],
        }
    names = np.array([f"{index:08x}" for index in range(users)])
    return Population.of(Scores(names, metrics, slices))


def read_pairs(path: Path) -> list[Population]:
    """Every ordered pair of the seeds that `benchmarks/gate_pairs.py` trained."""
    table = read_scores(path)
    return [
        Population.of(
            replace(table, metrics={CHALLENGER: table.metrics[one], LIVE: table.metrics[other]})
        )
        for one, other in itertools.permutations(table.metrics, 2)
    ]


def _outcomes(generator: np.random.Generator, chance: np.ndarray) -> np.ndarray:
    weights = 1 / np.arange(1, 11)
    rank = generator.choice(np.arange(1, 11), p=weights / weights.sum(), size=len(chance))
    return np.where(generator.random(len(chance)) < chance, 1 / np.log2(rank + 1), 0.0)


def _groups(generator: np.random.Generator, users: int, weights: Mapping[str, float]) -> np.ndarray:
    share = np.array(list(weights.values()))
    return generator.choice(list(weights), p=share / share.sum(), size=users)


def draw(
    population: Population, users: int, target: float, generator: np.random.Generator
) -> Scores:
    """Draw shoppers and take hits away until the true difference is `target`.

    A harmed shopper is recommended nothing wanted any more: the challenger's value becomes 0, for
    a random share of shoppers that makes the expected difference `target`.

    Args:
        population: Where they come from.
        users: How many.
        target: True mean of (challenger - live), at most the population's own shift.
        generator: Of the draws.
    """
    table = population.scores
    rows = generator.integers(len(table.users), size=users)
    metrics = {
        model: {name: values[rows] for name, values in own.items()}
        for model, own in table.metrics.items()
    }
    mean = float(table.metrics[CHALLENGER][METRIC].mean())
    lost = generator.random(users) < (population.shift - target) / mean
    values = metrics[CHALLENGER][METRIC]
    metrics[CHALLENGER] = {**metrics[CHALLENGER], METRIC: np.where(lost, 0.0, values)}
    slices = {dimension: groups[rows] for dimension, groups in table.slices.items()}
    return Scores(np.array([f"{row:08x}" for row in range(users)]), metrics, slices)


def cpu_ratios() -> list[dict[str, float]]:
    """CPU ratios of one bundle to itself, as measured by `benchmarks/gate_pairs.py`."""
    measured: list[dict[str, float]] = json.loads((RESULTS / "gate_pairs.json").read_text())[
        "cpu_ratios"
    ]
    return measured


def evaluation_of(
    scores: Scores, cpu_ratio: dict[str, float], coverage: tuple[float, float]
) -> dict:
    """What `evaluate` would write beside the table: parity passed, costs alike but for noise.

    Args:
        scores: The table.
        cpu_ratio: A measured ratio of a bundle to itself.
        coverage: Share of the catalogue that challenger and live model recommend.
    """
    models = {}
    for version, (model, own) in enumerate(scores.metrics.items(), start=1):
        values = {name: float(column.mean()) for name, column in own.items()}
        values["coverage_at_10"] = coverage[version - 1]
        models[model] = {
            "digest": f"sha256:{model}",
            "model_version": version,
            "trained_until": WINDOW["start"],
            "metrics": {name: {"value": value} for name, value in values.items()},
        }
    engine = {"rows": 32, "rows_equal": 32, "max_difference": 1e-6, "passed": True}
    cost = {
        "cpu_ms_per_request": 1.5,
        "bundle_bytes": 10_000_000,
        "memory_mb": 600.0,
        "cold_start_seconds": 4.0,
    }
    return {
        "window": {**WINDOW, "users": len(scores.users)},
        "models": models,
        "parity": {"engines": {"savedmodel": engine, "litert": engine}},
        "cost": {
            CHALLENGER: cost,
            LIVE: cost,
            "cpu_ratio": cpu_ratio,
        },
    }


@dataclass(frozen=True)
class Rates:
    """Outcomes of many judgements at one number of users and one true harm.

    Attributes:
        users: Users a judgement.
        harm: True harm in margins; 0 for an A/A pair as it is.
        repetitions: Judgements.
        promote: Share of PROMOTE.
        hold: Share of HOLD.
        inconclusive: Share of INCONCLUSIVE.
        hold_by_guards: Share in which a slice or a guard held, whatever the main question said.
    """

    users: int
    harm: float
    repetitions: int
    promote: float
    hold: float
    inconclusive: float
    hold_by_guards: float


def measure(
    populations: list[Population],
    users: int,
    harm: float,
    *,
    repetitions: int,
    settings: GateSettings,
    seed: int = 0,
) -> Rates:
    """Judge `repetitions` draws, the populations in turn.

    Args:
        populations: Pairs of models.
        users: Users a draw.
        harm: True harm in margins; 0 leaves each pair as it is (A/A).
        repetitions: How many.
        settings: `[gate]`.
        seed: Seed of the draws.
    """
    generator = np.random.default_rng([seed, users, int(harm * 100)])
    ratios = cpu_ratios()
    decisions = {"PROMOTE": 0, "HOLD": 0, "INCONCLUSIVE": 0}
    by_guards = 0
    for repetition, population in zip(range(repetitions), _in_turn(populations), strict=False):
        live = float(population.scores.metrics[LIVE][METRIC].mean())
        target = population.shift if harm == 0 else -harm * settings.margin * live
        scores = draw(population, users, target, generator)
        own = settings.model_copy(update={"seed": settings.seed + repetition})
        nothing = Beginning("process", 0, 0, allowed=False)
        coverage = 0.5 * generator.uniform(0.9, 1.1, 2)
        evaluation = evaluation_of(scores, ratios[repetition % len(ratios)], tuple(coverage))
        verdict = judge(evaluation, scores, own, nothing)
        decisions[verdict.decision] += 1
        held = [clause.name for clause in verdict.clauses if clause.outcome == "hold"]
        by_guards += any(name != "non_inferiority" for name in held)
    shares = {name.lower(): count / repetitions for name, count in decisions.items()}
    return Rates(users, harm, repetitions, hold_by_guards=by_guards / repetitions, **shares)


def _in_turn(populations: list[Population]) -> Iterator[Population]:
    while True:
        yield from populations


def table_of(rows: list[Rates]) -> str:
    """The rates as a Markdown table."""
    lines = [
        "| users | truth | PROMOTE | INCONCLUSIVE | HOLD | of it by slices and guards |",
        "|---:|---|---:|---:|---:|---:|",
    ]
    for row in rows:
        truth = "A/A" if row.harm == 0 else f"−{row.harm:g} margin{'s' * (row.harm != 1)}"
        error = 1.96 * math.sqrt(row.promote * (1 - row.promote) / row.repetitions)
        lines.append(
            f"| {row.users:,} | {truth} | {row.promote:.1%} ± {error:.1%} | "
            f"{row.inconclusive:.1%} | {row.hold:.1%} | {row.hold_by_guards:.1%} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Measure every number of users and harm; print the table, write table and JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--generated", action="store_true", help="without real trainings")
    parser.add_argument("--repetitions", type=int, default=400)
    parser.add_argument("--users", type=int, nargs="+", default=USERS)
    chosen = parser.parse_args()
    settings = GateSettings()
    pairs = RESULTS / "gate_pairs.parquet"
    populations = [generate()] if chosen.generated else read_pairs(pairs)
    rows = []
    for users in chosen.users:
        for harm in HARMS:
            rows.append(
                measure(populations, users, harm, repetitions=chosen.repetitions, settings=settings)
            )
            print(table_of(rows[-1:]).splitlines()[-1], flush=True)
    name = "gate_power_generated" if chosen.generated else "gate_power"
    RESULTS.mkdir(exist_ok=True)
    content = {"settings": settings.model_dump(), "rates": [vars(row) for row in rows]}
    (RESULTS / f"{name}.json").write_text(json.dumps(content, indent=2) + "\n")
    (RESULTS / f"{name}.md").write_text(table_of(rows) + "\n")


if __name__ == "__main__":
    main()
