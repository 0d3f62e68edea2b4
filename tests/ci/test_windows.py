"""Windows of time by a wall's clock, also while it is moved; held to a minute-by-minute walk."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ci.windows import (
    DAYS,
    Once,
    Span,
    closes,
    find_zone,
    open_until,
    opens,
    parse_dates,
    parse_weekly,
)

BERLIN = ZoneInfo("Europe/Berlin")  # 2026: 02:00 → 03:00 on 29 March, 03:00 → 02:00 on 25 October
MINUTE = timedelta(minutes=1)
# Moved by an hour, by half of one, by two, at midnight, by a whole day (Apia, 2011); and never.
ZONES = {
    "Europe/Berlin": [date(2026, 3, 29), date(2026, 10, 25)],
    "America/New_York": [date(2026, 3, 8), date(2026, 11, 1)],
    "Australia/Lord_Howe": [date(2026, 4, 5), date(2026, 10, 4)],
    "Antarctica/Troll": [date(2026, 3, 29), date(2026, 10, 25)],
    "Asia/Beirut": [date(2026, 3, 29), date(2026, 10, 25)],
    "America/Santiago": [date(2026, 4, 5), date(2026, 9, 6)],
    "Pacific/Apia": [date(2011, 12, 30)],
    "Asia/Shanghai": [date(2026, 11, 11)],
    "UTC": [date(2026, 1, 1)],
}
zones_and_days = st.sampled_from([(name, day) for name, days in ZONES.items() for day in days])


def at(zone: ZoneInfo, text: str, fold: int = 0) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=zone, fold=fold).astimezone(UTC)


def until(windows, now: datetime, zone: ZoneInfo = BERLIN) -> str:
    """The end as the zone's clock shows it, or "" where nothing is open."""
    end = open_until(windows, zone, now)
    return f"{end.astimezone(zone):%a %d %H:%M}" if end else ""


@pytest.mark.parametrize(
    ("window", "moment", "end"),
    [
        ("fri 16:00-mon 08:00", "2026-11-27 15:59", ""),
        ("fri 16:00-mon 08:00", "2026-11-27 16:00", "Mon 30 08:00"),
        ("fri 16:00-mon 08:00", "2026-11-30 07:59", "Mon 30 08:00"),
        ("fri 16:00-mon 08:00", "2026-11-30 08:00", ""),
        ("daily 22:00-06:00", "2026-11-25 23:00", "Thu 26 06:00"),  # across midnight
        ("daily 22:00-06:00", "2026-11-26 05:59", "Thu 26 06:00"),
        ("daily 22:00-06:00", "2026-11-26 06:00", ""),
        ("sun 23:00-01:00", "2026-11-30 00:30", "Mon 30 01:00"),  # and across the week's end
        ("sat 10:00-14:00", "2026-11-28 13:00", "Sat 28 14:00"),
        ("sat 10:00-14:00", "2026-11-29 13:00", ""),
        ("sat 00:00-sun 24:00", "2026-11-29 23:59", "Mon 30 00:00"),
        ("sat 00:00-24:00", "2026-11-29 00:00", ""),
        ("wed 12:00-wed 11:00", "2026-11-25 11:30", ""),  # a week but an hour
        ("wed 12:00-wed 11:00", "2026-11-25 10:30", "Wed 25 11:00"),
        ("wed 12:00-wed 11:00", "2026-11-25 12:00", "Wed 02 11:00"),
    ],
)
def test_a_week_has_its_hours(window, moment, end):
    assert until([parse_weekly(window)], at(BERLIN, moment)) == end


@pytest.mark.parametrize(
    ("window", "moment", "end"),
    [
        ("2026-11-09 to 2026-11-11", "2026-11-08 23:59", ""),
        ("2026-11-09 to 2026-11-11", "2026-11-09 00:00", "Thu 12 00:00"),
        ("2026-11-09 to 2026-11-11", "2026-11-11 23:59", "Thu 12 00:00"),
        ("2026-11-09 to 2026-11-11", "2026-11-12 00:00", ""),
        ("2026-12-20 18:00 to 2027-01-02 08:00", "2027-01-02 07:59", "Sat 02 08:00"),
        ("2026-12-20 18:00 to 2027-01-02 08:00", "2026-12-20 17:59", ""),
    ],
)
def test_a_sale_has_its_dates(window, moment, end):
    assert until([parse_dates(window)], at(BERLIN, moment)) == end


def test_of_several_the_last_end_counts():
    windows = [parse_weekly("daily 22:00-06:00"), parse_dates("2026-11-25 to 2026-11-27")]
    assert until(windows, at(BERLIN, "2026-11-25 23:00")) == "Sat 28 00:00"
    assert until([], at(BERLIN, "2026-11-25 23:00")) == ""


def test_it_is_the_zones_clock_that_counts():
    singles_day = [parse_dates("2026-11-11 to 2026-11-11")]
    shanghai = ZoneInfo("Asia/Shanghai")
    assert open_until(singles_day, shanghai, at(BERLIN, "2026-11-10 17:00")) == at(
        BERLIN, "2026-11-11 17:00"
    )
    assert open_until(singles_day, shanghai, at(BERLIN, "2026-11-11 17:00")) is None


def test_an_hour_that_comes_twice_does_not_open_a_gap():
    """By the clock alone the first 02:30 would end the freeze and the second 02:00 begin it."""
    nightly = [parse_weekly("daily 01:00-02:30")]
    first, second = (at(BERLIN, "2026-10-25 02:45", fold) for fold in (0, 1))
    assert second - first == timedelta(hours=1)
    assert open_until(nightly, BERLIN, first) == at(BERLIN, "2026-10-25 02:30", fold=1)
    assert open_until(nightly, BERLIN, second) is None


def test_an_hour_that_never_comes_begins_and_ends_when_the_clock_is_moved():
    moved = at(BERLIN, "2026-03-29 03:00")
    span = parse_dates("2026-03-29 02:30 to 2026-03-29 05:00").span
    assert opens(span, BERLIN) == moved
    span = parse_dates("2026-03-29 00:30 to 2026-03-29 02:30").span
    assert closes(span, BERLIN) == moved


@given(
    zones_and_days,
    st.integers(-14 * 60, -6 * 60),  # from that noon: clocks are moved at night
    st.integers(1, 26 * 60),
    st.integers(-16 * 60, 24 * 60),
)
def test_a_window_is_open_from_the_first_sight_of_its_beginning_to_the_last_before_its_end(
    place, begin, length, moment
):
    """Against a walk over every minute of five days, which knows nothing of folds and gaps."""
    zone, noon = ZoneInfo(place[0]), datetime(place[1].year, place[1].month, place[1].day, 12)
    span = Span(noon + begin * MINUTE, noon + (begin + length) * MINUTE)
    start = noon.replace(tzinfo=zone).astimezone(UTC) - timedelta(days=3)
    walked = [start + minute * MINUTE for minute in range(7 * 24 * 60)]
    clock = [one.astimezone(zone).replace(tzinfo=None) for one in walked]
    first = next(one for one, shown in zip(walked, clock, strict=True) if shown >= span.begin)
    last = [one for one, shown in zip(walked, clock, strict=True) if shown < span.end][-1]
    now = noon.replace(tzinfo=zone).astimezone(UTC) + moment * MINUTE
    is_open = open_until([Once(span)], zone, now)
    assert (is_open is not None) == (first <= now <= last)
    assert is_open in (None, last + MINUTE)


@given(
    st.sampled_from([*DAYS, "daily"]),
    st.integers(0, 24 * 60 - 1),
    st.integers(1, 24 * 60),
    st.integers(0, 14 * 24 * 60),
    st.sampled_from(["UTC", "Asia/Shanghai", "Asia/Kolkata"]),
)
def test_where_clocks_are_never_moved_a_week_is_a_ring_of_minutes(day, begin, end, minute, zone):
    if begin == end:
        end += 1 if end < 24 * 60 else -1
    text = f"{day} {begin // 60:02}:{begin % 60:02}-{end // 60:02}:{end % 60:02}"
    monday = datetime(2026, 11, 23, tzinfo=ZoneInfo(zone))
    length = (end - begin) % (24 * 60) or 24 * 60
    starts = range(7) if day == "daily" else [DAYS.index(day)]
    inside = any((minute - start * 1440 - begin) % (7 * 1440) < length for start in starts)
    found = open_until([parse_weekly(text)], ZoneInfo(zone), monday + minute * MINUTE)
    assert (found is not None) == inside


@given(zones_and_days, st.integers(0, 7 * 24 * 60), st.sampled_from([*DAYS, "daily"]))
def test_a_freeze_that_is_told_to_end_is_over_then(place, minute, day):
    """Nobody waits until the end that was named, to be told another one of the same window."""
    zone = ZoneInfo(place[0])
    now = datetime(place[1].year, place[1].month, place[1].day, tzinfo=UTC) + minute * MINUTE
    windows = [parse_weekly(f"{day} 22:30-02:15")]
    end = open_until(windows, zone, now)
    if end is not None:
        assert end > now
        assert open_until(windows, zone, end - MINUTE) is not None
        assert open_until(windows, zone, end) is None


@pytest.mark.parametrize(
    ("parse", "text", "why"),
    [
        (parse_weekly, "weekend", "is no weekly window; write e.g. 'fri 16:00-mon 08:00'"),
        (parse_weekly, "fri 16:00", "is no weekly window"),
        (parse_weekly, "daily 22:00-mon 06:00", "is no weekly window"),
        (parse_weekly, "fri 16:00-fri 16:00", "ends when it begins"),
        (parse_weekly, "daily 08:00-08:00", "ends when it begins"),
        (parse_weekly, "fri 24:00-sat 08:00", "begins at 24:00"),
        (parse_weekly, "fri 16:60-mon 08:00", "16:60 is no time of a day"),
        (parse_weekly, "fri 16:00-mon 24:01", "24:01 is no time of a day"),
        (parse_dates, "2026-11-09", "is no range of dates"),
        (parse_dates, "2026-02-28 to 2026-02-29", "no calendar has the day 2026-02-29"),
        (parse_dates, "2026-11-09 to 2026-11-08", "ends before it begins"),
        (parse_dates, "2026-11-09 12:00 to 2026-11-09 12:00", "ends before it begins"),
        (find_zone, "Berlin", "there is no time zone 'Berlin'"),
        (find_zone, "../etc/passwd", "there is no time zone"),
    ],
)
def test_what_is_no_window_is_refused_with_what_to_write(parse, text, why):
    with pytest.raises(ValueError, match=why):
        parse(text)
