"""The main question: is the challenger at worst a margin below the live model, and how sure?"""

from ci.judging.clause import Clause, number
from ci.judging.comparison import clause_of
from ci.judging.statistics import Interval, deciding_users, guarded_lower, promotion_power
from ci.settings import GateSettings


def judge_non_inferiority(difference: Interval, live: float, settings: GateSettings) -> Clause:
    """Compare the interval of (challenger - live) with the margin.

    Lower end above -margin passes (also after its correction for skewness), upper end below
    -margin holds, else the data cannot decide and the clause names the users that would, or the
    margin that would do.

    Args:
        difference: Interval of the mean per-user difference of the gate's metric.
        live: Score of the live model, the base of the relative margin.
        settings: `[gate]`.
    """
    margin = settings.margin * live
    rule = (
        f"{settings.confidence:.0%} interval of (challenger − live) on {settings.metric} lies "
        f"above −{number(margin)} ({settings.margin:.1%} of the live {number(live)})"
    )
    if difference.users < settings.min_users:
        advice = (
            f"Only {difference.users:,} users are judged; fewer than {settings.min_users:,} "
            "decide nothing. Widen `data.test_days` or wait for more purchases."
        )
        return clause_of(difference, "non_inferiority", rule, "inconclusive", advice)
    lower = guarded_lower(difference, settings.confidence)
    if lower > -margin:
        advice = "The challenger is not worse than the margin allows."
        return clause_of(difference, "non_inferiority", rule, "pass", advice)
    if difference.upper < -margin:
        advice = (
            "The challenger is worse than the margin allows. Keep the live model; compare the "
            "learning curve and the last change of model or data."
        )
        return clause_of(difference, "non_inferiority", rule, "hold", advice)
    advice = _what_would_decide(difference, live, margin, settings)
    if difference.lower > -margin:
        advice = (
            f"A few shoppers lose much (skewness {difference.skewness:.1f}), which moves the safe "
            f"lower end to {number(lower)}. {advice}"
        )
    return clause_of(difference, "non_inferiority", rule, "inconclusive", advice)


def _what_would_decide(
    difference: Interval, live: float, margin: float, settings: GateSettings
) -> str:
    users = deciding_users(difference, margin, settings.confidence)
    if users is None:
        by_users = "The difference lies on the margin itself: no number of users would decide"
    else:
        side = "for" if difference.value > -margin else "against"
        by_users = (
            f"About {users:,} users instead of {difference.users:,} would decide {side} the "
            "challenger if the difference stays as it is"
        )
    if live <= 0:
        return f"{by_users}. The live model scores {number(live)}, so no relative margin helps."
    needed = -guarded_lower(difference, settings.confidence) / live
    return (
        f"{by_users}; at this number of users a margin above {needed:.1%} would do. "
        "Widen `data.test_days`, wait, or set `gate.margin` before looking at the next result."
    )


def report_superiority(difference: Interval, settings: GateSettings) -> Clause:
    """Whether the challenger is better beyond doubt; told apart, never required."""
    rule = f"{settings.confidence:.0%} interval of (challenger − live) lies above 0"
    if difference.lower > 0:
        advice = "The challenger is better than the live model."
    elif difference.value > 0:
        advice = "The challenger looks better, but chance alone could do this."
    else:
        advice = "The challenger is not shown to be better."
    return clause_of(difference, "superiority", rule, "info", advice)


def report_power(difference: Interval, live: float, settings: GateSettings) -> Clause:
    """The chance that this gate promotes a challenger that is exactly as good as the live model."""
    margin = settings.margin * live
    power = promotion_power(margin, difference.error, settings.confidence)
    return Clause(
        name="power",
        rule="chance that an equally good challenger is promoted at this number of users",
        value=power,
        lower=None,
        upper=None,
        n=difference.users,
        outcome="info",
        advice=f"With {difference.users:,} users the margin of {settings.margin:.1%} promotes an "
        f"equally good challenger {power:.0%} of the time.",
    )
