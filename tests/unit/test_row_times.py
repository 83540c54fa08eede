"""Times are read whatever they are written as, and the clock's odd hours have one answer each."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evergreen.errors import DataUnusable
from evergreen.row_times import instants, wall_time, within
from evergreen.window import Window

NEW_YORK = "America/New_York"


def read(values, zone="UTC", kind=None):
    return instants(pa.array(values, kind), "at", zone, "test", 1).to_pylist()


@pytest.mark.parametrize(
    ("written", "instant"),
    [
        ("2013-04-01", "2013-04-01T04:00:00+00:00"),
        ("2013-04-01 06:00", "2013-04-01T10:00:00+00:00"),
        ("2013-04-01T06:00:00", "2013-04-01T10:00:00+00:00"),
        ("2013-04-01T06:00:00Z", "2013-04-01T06:00:00+00:00"),
        ("2013-04-01 06:00:00.5+02:00", "2013-04-01T04:00:00.500000+00:00"),
        ("2013-04-01 06:00:00-0530", "2013-04-01T11:30:00+00:00"),
        ("2013-04-01 06:00:00+01", "2013-04-01T05:00:00+00:00"),
        ("2013-04-01 06:00:00.123456789", "2013-04-01T10:00:00.123456+00:00"),
        ("2013-11-03 01:30:00", "2013-11-03T05:30:00+00:00"),
        ("2013-03-10 02:30:00", "2013-03-10T07:00:00+00:00"),
    ],
)
def test_text_is_read_with_its_own_zone_or_the_models(written, instant):
    assert read([written], NEW_YORK) == [datetime.fromisoformat(instant)]


def test_text_with_and_without_zones_may_stand_in_one_column():
    assert read(["2013-04-01 06:00Z", "2013-04-01 06:00"], NEW_YORK) == [
        datetime(2013, 4, 1, 6, tzinfo=UTC),
        datetime(2013, 4, 1, 10, tzinfo=UTC),
    ]


@pytest.mark.parametrize(
    ("values", "kind", "said"),
    [
        ([1362096000], None, "such as 1362096000"),
        ([13.5], None, "double"),
        ([True], None, "bool"),
        (["2013-04-01", "soon", "1/4/2013"], None, "'soon' in row 2, '1/4/2013' in row 3"),
        (["2013-04-01", None], None, "rows 2"),
        ([None], pa.timestamp("s"), "rows 1"),
    ],
)
def test_what_is_no_time_is_refused_with_examples(values, kind, said):
    with pytest.raises(DataUnusable, match="'at'") as caught:
        read(values, kind=kind)
    assert said in str(caught.value)


def test_at_most_five_examples_are_given():
    with pytest.raises(DataUnusable) as caught:
        read(["x"] * 100)
    assert str(caught.value).count("in row") == 5


WALLS = st.datetimes(datetime.fromisoformat("2013-01-01"), datetime.fromisoformat("2013-12-31"))
ODD_HOURS = [f"2013-{day}" for day in ("03-10 01:59:59", "03-10 02:30", "11-03 01:30", "11-03 02:00")]


@settings(deadline=None, max_examples=100)
@given(
    wall=WALLS | st.sampled_from(list(map(datetime.fromisoformat, ODD_HOURS))),
    shift=st.timedeltas(timedelta(hours=-3), timedelta(hours=3)),
    zone=st.sampled_from(["UTC", NEW_YORK, "Europe/Berlin", "Australia/Lord_Howe"]),
)
def test_comparing_wall_clock_times_selects_what_comparing_instants_does(wall, shift, zone):
    instant = read([wall], zone)[0]
    edge = instant + shift
    assert (wall >= wall_time(edge, zone)) == (instant >= edge)


def test_within_is_half_open():
    window = Window(datetime(2013, 4, 1, tzinfo=UTC), datetime(2013, 4, 2, tzinfo=UTC))
    tick = timedelta(microseconds=1)
    times = [window.start - tick, window.start, window.end - tick, window.end]
    times_array = pa.array(times, pa.timestamp("us", "UTC"))
    assert within(times_array, window).to_pylist() == [False, True, True, False]
