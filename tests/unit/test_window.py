"""Every time range of a run follows from its as-of."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evergreen.durations import Duration
from evergreen.window import Window, parse_instant, resolve_as_of, windows_at

AS_OF = datetime(2013, 6, 1, tzinfo=UTC)
MONTH = Duration(1, "months")
NOTHING = Duration(0, "days")
INSTANTS = st.integers(0, 2**32).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))


def test_windows_end_where_labels_stop_being_known():
    windows = windows_at(AS_OF, Duration(3, "months"), MONTH, Duration(1, "days"))
    assert windows.test == Window(datetime(2013, 5, 1, tzinfo=UTC), datetime(2013, 5, 31, tzinfo=UTC))
    assert windows.train == Window(datetime(2013, 1, 30, tzinfo=UTC), datetime(2013, 4, 30, tzinfo=UTC))
    assert windows.whole == Window(datetime(2013, 1, 30, tzinfo=UTC), datetime(2013, 5, 31, tzinfo=UTC))


@given(
    INSTANTS,
    st.integers(1, 400),
    st.integers(1, 400),
    st.integers(0, 500),
)
def test_train_lies_before_test_and_no_window_reaches_past_the_as_of(as_of, train, test, delay):
    lengths = (Duration(train, "days"), Duration(test, "days"), Duration(delay, "days"))
    if delay >= test:
        with pytest.raises(ValueError, match="leaves no labelled row"):
            windows_at(as_of, *lengths)
        return
    windows = windows_at(as_of, *lengths)
    assert windows.train.start < windows.train.end <= windows.test.start < windows.test.end
    assert windows.test.start - windows.train.end == timedelta(days=delay)
    assert windows.test.end == as_of - timedelta(days=delay)


def test_the_same_instant_in_another_zone_gives_the_same_windows():
    elsewhere = AS_OF.astimezone(timezone(timedelta(hours=-5)))
    assert windows_at(elsewhere, MONTH, MONTH, NOTHING) == windows_at(AS_OF, MONTH, MONTH, NOTHING)


def test_an_as_of_without_a_zone_is_refused_and_not_taken_for_local_time():
    with pytest.raises(ValueError, match="time zone"):
        windows_at(AS_OF.replace(tzinfo=None), MONTH, MONTH, NOTHING)


def test_a_window_must_have_zones_and_order():
    with pytest.raises(ValueError, match="time zone"):
        Window(AS_OF.replace(tzinfo=None), AS_OF.replace(tzinfo=None))
    with pytest.raises(ValueError, match="cannot end before"):
        Window(AS_OF, AS_OF - timedelta(seconds=1))


@pytest.mark.parametrize(
    ("run_type", "interval_end", "asked_for", "expected"),
    [
        ("scheduled", 1, 2, 1),
        ("backfill", 1, None, 1),
        ("scheduled", None, 2, 2),
        ("scheduled", None, None, 3),
        ("manual", 1, 2, 2),
        ("manual", 1, None, 3),
        ("asset_triggered", 1, None, 3),
    ],
)
def test_only_scheduled_runs_trust_their_interval(run_type, interval_end, asked_for, expected):
    def day(number):
        return None if number is None else datetime(2013, 1, number, tzinfo=UTC)

    as_of = resolve_as_of(
        run_type, interval_end=day(interval_end), asked_for=day(asked_for), run_after=day(3)
    )
    assert as_of == day(expected)


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2013-04-01", datetime(2013, 4, 1, tzinfo=UTC)),
        ("2013-04-01T06:00", datetime(2013, 4, 1, 6, tzinfo=UTC)),
        ("2013-04-01T06:00:00-05:00", datetime(2013, 4, 1, 11, tzinfo=UTC)),
    ],
)
def test_an_instant_without_a_zone_is_utc(text, instant):
    assert parse_instant(text) == instant


@pytest.mark.parametrize("text", ["", "April", "2013-13-01", "2013-04-01T25:00"])
def test_what_is_no_instant_is_refused(text):
    with pytest.raises(ValueError, match="not a date"):
        parse_instant(text)
