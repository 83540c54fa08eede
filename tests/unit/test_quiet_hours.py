"""When quiet hours end, by the clock on the wall."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evergreen.alert_spec import QuietHours
from evergreen.alerts.quiet_hours import quiet_until

VIENNA = ZoneInfo("Europe/Vienna")


def hours(begin: str, end: str, timezone: str = "Europe/Vienna") -> QuietHours:
    return QuietHours(begin=begin, end=end, timezone=timezone)


def vienna(text: str, fold: int = 0) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=VIENNA, fold=fold)


@pytest.mark.parametrize(
    ("now", "until"),
    [
        ("2026-07-01T21:59", "2026-07-01T21:59"),
        ("2026-07-01T22:00", "2026-07-02T07:00"),
        ("2026-07-01T23:30", "2026-07-02T07:00"),
        ("2026-07-02T06:59", "2026-07-02T07:00"),
        ("2026-07-02T07:00", "2026-07-02T07:00"),
        ("2026-12-31T23:00", "2027-01-01T07:00"),
    ],
)
def test_hours_over_midnight_end_on_the_next_morning(now, until):
    assert quiet_until(hours("22:00", "07:00"), vienna(now)) == vienna(until)


def test_hours_within_a_day_end_on_that_day():
    assert quiet_until(hours("12:00", "13:30"), vienna("2026-07-01T12:10")) == vienna("2026-07-01T13:30")


def test_hours_are_those_of_their_zone_whatever_the_zone_of_now():
    now = datetime(2026, 7, 1, 20, 30, tzinfo=UTC)
    assert quiet_until(hours("22:00", "07:00"), now) == datetime(2026, 7, 2, 5, tzinfo=UTC)
    assert quiet_until(hours("22:00", "07:00", "UTC"), now) == now


@pytest.mark.parametrize(
    ("now", "until", "slept"),
    [("2026-03-28T23:00", "2026-03-29T07:00", 7), ("2026-10-24T23:00", "2026-10-25T07:00", 9)],
)
def test_a_night_in_which_the_clock_is_changed_is_shorter_or_longer(now, until, slept):
    ends = quiet_until(hours("22:00", "07:00"), vienna(now))
    assert ends == vienna(until)
    assert ends - vienna(now).astimezone(UTC) == timedelta(hours=slept)


def test_an_end_that_the_clock_skips_comes_within_the_hour_after_it():
    ends = quiet_until(hours("22:00", "02:30"), vienna("2026-03-29T01:00"))
    assert timedelta() < ends - vienna("2026-03-29T01:59").astimezone(UTC) <= timedelta(hours=1)


def test_in_the_hour_that_comes_twice_the_end_lies_ahead():
    second = vienna("2026-10-25T02:10", fold=1)
    end = vienna("2026-10-25T02:30", fold=1).astimezone(UTC)
    assert quiet_until(hours("22:00", "02:30"), second) == end


@given(
    st.datetimes(datetime(2025, 1, 1), datetime(2027, 12, 31)),  # noqa: DTZ001 - given their zone below
    st.integers(0, 23),
    st.integers(0, 23),
    st.sampled_from(["UTC", "Europe/Vienna", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata"]),
)
def test_a_message_never_waits_longer_than_a_day_and_an_hour_and_never_into_quiet_hours(
    instant, begin, end, zone
):
    quiet = QuietHours(begin=time(begin), end=time(end), timezone=zone)
    now = instant.replace(tzinfo=UTC)
    until = quiet_until(quiet, now)
    assert timedelta() <= until - now <= timedelta(hours=25)
    assert begin == end or quiet_until(quiet, until) == until
