"""Durations are written as a person writes them and follow the calendar."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from evergreen.durations import UNITS, Duration, DurationField

DURATIONS = st.builds(Duration, st.integers(0, 99_999), st.sampled_from(UNITS))


@given(DURATIONS)
def test_a_duration_written_is_read_as_itself(duration):
    assert Duration.parse(str(duration)) == duration
    adapter = TypeAdapter(DurationField)
    assert adapter.validate_python(adapter.dump_python(duration, mode="json")) == duration


@pytest.mark.parametrize(
    "text",
    [
        "3months",
        "3  months",
        "3 months ",
        "3 months\n",
        "-3 months",
        "3.5 days",
        "three days",
        "1 fortnight",
        "100000 days",
        "٣ months",
        "3 Months",
        "",
        3,
        None,
        ["3 months"],
        "P3M",
    ],
)
def test_anything_else_is_refused_with_the_rule(text):
    with pytest.raises(ValueError, match="a whole number and a unit"):
        Duration.parse(text)


@pytest.mark.parametrize("text", ["1 month", "1 months"])
def test_one_is_read_in_both_forms_and_written_in_the_singular(text):
    assert str(Duration.parse(text)) == "1 month"


@pytest.mark.parametrize(
    ("duration", "instant", "before"),
    [
        ("1 month", datetime(2013, 3, 31, tzinfo=UTC), datetime(2013, 2, 28, tzinfo=UTC)),
        ("1 month", datetime(2012, 3, 31, tzinfo=UTC), datetime(2012, 2, 29, tzinfo=UTC)),
        ("1 year", datetime(2012, 2, 29, tzinfo=UTC), datetime(2011, 2, 28, tzinfo=UTC)),
        ("2 weeks", datetime(2013, 1, 8, tzinfo=UTC), datetime(2012, 12, 25, tzinfo=UTC)),
        ("90 minutes", datetime(2013, 1, 1, tzinfo=UTC), datetime(2012, 12, 31, 22, 30, tzinfo=UTC)),
    ],
)
def test_months_and_years_follow_the_calendar(duration, instant, before):
    assert Duration.parse(duration).before(instant) == before


@given(st.integers(0, 500), st.sampled_from(["minutes", "hours", "days", "weeks"]), st.datetimes())
def test_what_is_before_comes_back_after(count, unit, instant):
    duration = Duration(count, unit)
    try:
        earlier = duration.before(instant)
    except (ValueError, OverflowError):
        return
    assert duration.after(earlier) == instant
