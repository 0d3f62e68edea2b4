"""Guards beside accuracy: simpler rungs, coverage, popularity bias, category calibration."""

from ci.judging.clause import Clause, number
from ci.judging.comparison import clause_of
from ci.judging.statistics import Interval
from ci.settings import GateSettings


def judge_must_beat(
    rung: str, difference: Interval, score: float, settings: GateSettings
) -> Clause:
    """A challenger that loses to a simpler rung is not worth its cost.

    Blocks only when the whole interval of (challenger - rung) lies below -margin.

    Args:
        rung: Name of the simpler model.
        difference: Interval of (challenger - rung).
        score: The rung's score, the base of the relative margin.
        settings: `[gate]`.
    """
    margin = settings.margin * score
    rule = (
        f"interval of (challenger − {rung}) on {settings.metric} is not wholly below "
        f"−{number(margin)} ({settings.margin:.1%} of its {number(score)})"
    )
    name = f"must_beat:{rung}"
    if difference.upper < -margin:
        advice = (
            f'The simpler `{rung}` does better. Set `model.name = "{rung}"` or find out what '
            "keeps the larger model from using what the simpler one uses."
        )
        return clause_of(difference, name, rule, "hold", advice)
    return clause_of(difference, name, rule, "pass", f"Stands up to `{rung}`.")


def judge_coverage(
    challenger: float, live: float, users: int | None, settings: GateSettings
) -> Clause:
    """The share of the catalogue that is ever recommended may not collapse.

    Args:
        challenger: Share of the items in anybody's ten, 0 to 1.
        live: The same for the live model.
        users: Users behind it.
        settings: `[gate]`.
    """
    ratio = challenger / live if live > 0 else float(challenger >= live)
    rule = f"coverage is at least {settings.min_coverage_ratio:.0%} of the live model's"
    passed = ratio >= settings.min_coverage_ratio
    shown = f"{challenger:.1%} of the items are recommended, live {live:.1%}."
    advice = shown if passed else f"{shown} The challenger hides too much of the catalogue."
    return Clause("coverage", rule, ratio, None, None, users, "pass" if passed else "hold", advice)


def judge_ratio(name: str, ratio: Interval | None, limit: float, harm: str) -> Clause:
    """A per-user figure that may rise, but not beyond a multiple of the live model's.

    Blocks only when the whole interval of the ratio of means lies above the limit.

    Args:
        name: `popularity_bias` or `miscalibration`.
        ratio: Interval of (challenger's mean / live mean); None where the live mean is 0.
        limit: Highest ratio that is tolerated.
        harm: What a ratio above the limit means to a shopper.
    """
    rule = f"at most {limit:g} times the live model's; blocks when the whole interval is above"
    if ratio is None:
        advice = "The live model's figure is 0, so there is no ratio; shown only."
        return Clause(name, rule, None, None, None, None, "info", advice)
    if ratio.lower > limit:
        advice = f"{harm} Raise the limit in `[gate]` only if that is wanted."
        return clause_of(ratio, name, rule, "hold", advice)
    return clause_of(ratio, name, rule, "pass", "Within the limit.")


def not_measured(name: str, why: str) -> Clause:
    """A guard that `evaluate` says does not apply to this shop."""
    return Clause(name, "measured where the data allows", None, None, None, None, "info", why)
