"""Windows of time as a person writes them, by the clock of a time zone; standard library only.

`fri 16:00-mon 08:00` and `daily 22:00-06:00` come back every week, `2026-11-09 to 2026-11-11 18:00`
does not. Where clocks are moved, a window is as long as it can be read: it opens when the clock
first shows its beginning, and closes when the clock shows its end for the last time.
"""

import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DAILY: Final = "daily"
_DAY: Final = "|".join(DAYS)
_HOUR: Final = r"\d\d:\d\d"
_WEEKLY: Final = re.compile(rf"({DAILY}|{_DAY}) ({_HOUR})-(?:({_DAY}) )?({_HOUR})")
_MOMENT: Final = rf"(2\d{{3}}-\d\d-\d\d)(?: ({_HOUR}))?"
_DATES: Final = re.compile(rf"{_MOMENT} to {_MOMENT}")
_ONE_DAY: Final = timedelta(days=1)
_MINUTE: Final = timedelta(minutes=1)


@dataclass(frozen=True)
class Span:
    """One window as the clock on the wall shows it: both ends without a time zone."""

    begin: datetime
    end: datetime


@dataclass(frozen=True)
class Weekly:
    """A window that comes back every week.

    Attributes:
        days: The days on which it begins, Monday is 0.
        begin: From the midnight before it begins.
        end: From the same midnight; beyond the day where the window is open at midnight.
    """

    days: tuple[int, ...]
    begin: timedelta
    end: timedelta

    def near(self, day: date) -> Iterator[Span]:
        """Every one that may hold a moment of this day."""
        for back in range(-1, self.end // _ONE_DAY + 2):
            first = day - back * _ONE_DAY
            if first.weekday() in self.days:
                midnight = datetime(first.year, first.month, first.day)
                yield Span(midnight + self.begin, midnight + self.end)


@dataclass(frozen=True)
class Once:
    """A window between two dates."""

    span: Span

    def near(self, day: date) -> Iterator[Span]:  # noqa: ARG002  the same question to both kinds
        """The one that there is."""
        yield self.span


def parse_weekly(text: str) -> Weekly:
    """Read `DAY HH:MM-HH:MM` or `DAY HH:MM-DAY HH:MM`; the first DAY may be `daily`.

    Raises:
        ValueError: It is written otherwise, or never or always open.
    """
    found = _WEEKLY.fullmatch(text.strip().lower())
    if not found or (found[1] == DAILY and found[3]):
        raise ValueError(
            f"{text!r} is no weekly window; write e.g. 'fri 16:00-mon 08:00', 'sat 10:00-14:00' or "
            "'daily 22:00-06:00'"
        )
    begin, end = _hour(found[2], text), _hour(found[4], text)
    if begin == end and found[3] in (None, found[1]):
        raise ValueError(f"{text!r} ends when it begins; a whole day is 00:00-24:00")
    if begin == _ONE_DAY:
        raise ValueError(f"{text!r} begins at 24:00; write 00:00 of the next day")
    if found[1] == DAILY:
        return Weekly(tuple(range(7)), begin, end if end > begin else end + _ONE_DAY)
    first = DAYS.index(found[1])
    later = (DAYS.index(found[3]) - first) % 7 if found[3] else 0
    end += later * _ONE_DAY
    if end <= begin:
        end += (7 if found[3] else 1) * _ONE_DAY
    return Weekly((first,), begin, end)


def parse_dates(text: str) -> Once:
    """Read `YYYY-MM-DD [HH:MM] to YYYY-MM-DD [HH:MM]`; a day without an hour is a whole one.

    Raises:
        ValueError: It is written otherwise, names a day that no calendar has, or is never open.
    """
    found = _DATES.fullmatch(text.strip())
    if not found:
        raise ValueError(
            f"{text!r} is no range of dates; write e.g. '2026-11-09 to 2026-11-11' or "
            "'2026-12-20 18:00 to 2027-01-02 08:00'"
        )
    begin = _day(found[1], text) + (_hour(found[2], text) if found[2] else timedelta())
    end = _day(found[3], text) + (_hour(found[4], text) if found[4] else _ONE_DAY)
    if end <= begin:
        raise ValueError(f"{text!r} ends before it begins")
    return Once(Span(begin, end))


def _hour(text: str, whole: str) -> timedelta:
    hours, minutes = (int(part) for part in text.split(":"))
    found = timedelta(hours=hours, minutes=minutes)
    if minutes >= 60 or found > _ONE_DAY:
        raise ValueError(f"{whole!r}: {text} is no time of a day; the last one is 24:00")
    return found


def _day(text: str, whole: str) -> datetime:
    try:
        return datetime.strptime(text, "%Y-%m-%d")
    except ValueError:
        raise ValueError(f"{whole!r}: no calendar has the day {text}") from None


def find_zone(name: str) -> ZoneInfo:
    """A time zone by its name in the IANA database.

    Raises:
        ValueError: There is none of that name.
    """
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ValueError(
            f"there is no time zone {name!r}; write one of the IANA database, e.g. "
            "'Europe/Berlin' or 'Asia/Shanghai'"
        ) from None


def open_until(windows: Iterable[Weekly | Once], zone: ZoneInfo, now: datetime) -> datetime | None:
    """When the last of the windows that are open now closes; None where none is open.

    Args:
        windows: Any of them.
        zone: Whose clock they are read by.
        now: A moment with its own time zone.
    """
    today = now.astimezone(zone).date()
    ends = [
        closes(span, zone)
        for window in windows
        for span in window.near(today)
        if opens(span, zone) <= now < closes(span, zone)
    ]
    return max(ends, default=None)


def opens(span: Span, zone: ZoneInfo) -> datetime:
    """The moment when the clock first shows the beginning, or first has passed it."""
    return _shown(span.begin, zone)[0]


def closes(span: Span, zone: ZoneInfo) -> datetime:
    """The moment when the clock last shows the end, or first has passed it for good."""
    return _shown(span.end, zone)[1]


def _shown(wall: datetime, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """The first and the last moment at which the clock shows a time.

    They differ where it is moved back over it. A time that is skipped is passed when the clock is
    moved forward.
    """
    readings = (wall.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    early, late = sorted(readings)

    def passed(minutes: int) -> bool:
        return (early + minutes * _MINUTE).astimezone(zone).replace(tzinfo=None) >= wall

    if passed(0):
        return early, late
    moved = early + bisect_left(range((late - early) // _MINUTE), True, key=passed) * _MINUTE
    return moved, moved
