"""Holds a challenger that harms one group of shoppers beyond chance and beyond tolerance."""

from collections.abc import Sequence
from dataclasses import dataclass

from ci.judging.clause import Clause, number
from ci.judging.comparison import clause_of
from ci.judging.statistics import Interval, harm_p_value, holm
from ci.settings import GateSettings


@dataclass(frozen=True)
class SliceFigures:
    """One group of shoppers.

    Attributes:
        dimension: What groups them, e.g. `category`.
        group: Which group, e.g. `tea`.
        difference: Interval of (challenger - live) over its users.
        live: Score of the live model over its users.
    """

    dimension: str
    group: str
    difference: Interval
    live: float

    @property
    def name(self) -> str:
        """The clause's name."""
        return f"slice:{self.dimension}={self.group}"


def judge_slices(
    slices: Sequence[SliceFigures], live: float, settings: GateSettings
) -> list[Clause]:
    """Judge every slice that is large enough; Holm's correction runs over all of these together.

    A slice may lose `slice_margin` of its own live score, and never less than the overall margin
    in absolute terms: a group whose score is near 0 would otherwise fail on nothing. The tests
    are one-sided at half of 1 - confidence, as the main question is.

    Args:
        slices: All slices of all dimensions; too small ones are reported, not judged.
        live: Score of the live model over all users.
        settings: `[gate]`.
    """
    judged = [part for part in slices if part.difference.users >= settings.min_slice_users]
    margins = [_margin(part, live, settings) for part in judged]
    adjusted = holm(
        [
            harm_p_value(part.difference.value, part.difference.error, margin)
            for part, margin in zip(judged, margins, strict=True)
        ]
    )
    alpha = (1.0 - settings.confidence) / 2.0
    verdicts = {
        part.name: _judge(part, margin, p_value, alpha)
        for part, margin, p_value in zip(judged, margins, adjusted, strict=True)
    }
    return [verdicts.get(part.name) or _too_small(part, settings) for part in slices]


def _margin(part: SliceFigures, live: float, settings: GateSettings) -> float:
    return max(settings.slice_margin * part.live, settings.margin * live)


def _judge(part: SliceFigures, margin: float, p_value: float, alpha: float) -> Clause:
    rule = f"no harm beyond −{number(margin)} that is significant at {alpha:.1%} after Holm"
    harmed = p_value < alpha
    shown = "adjusted p " + ("< 0.0001" if p_value < 1e-4 else f"= {p_value:.2g}")
    if harmed:
        advice = (
            f"Shoppers with {part.dimension} = {part.group} are served worse ({shown}; live score "
            f"there {number(part.live)}). Look at what changed for them before releasing."
        )
    else:
        advice = f"No significant harm ({shown})."
    return clause_of(part.difference, part.name, rule, "hold" if harmed else "pass", advice)


def _too_small(part: SliceFigures, settings: GateSettings) -> Clause:
    rule = f"judged from {settings.min_slice_users:,} users on"
    advice = "Too few users to judge; shown only."
    return clause_of(part.difference, part.name, rule, "info", advice)
