"""Random rows under cells of a random baseline: PostgreSQL counts them as if pulled, to the row."""

from __future__ import annotations

import math
from datetime import timedelta

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evergreen.profiles.lay_out import lay_out
from evergreen.profiles.layout import Cells, Layout
from evergreen.results import ColumnType
from tests.integration.warehouse import ANSWER, WEEK, postgres

__all__ = ["postgres"]

pytestmark = pytest.mark.needs_postgres

SPAN = int((WEEK.end - WEEK.start) / timedelta(seconds=1))
TEXTS = ["a", "b", "A", "Zürich", "東京", "x ", "x", "", "it's", "%s :start", "🙂", "ab" * 150]
NUMBERS = st.one_of(
    st.none(),
    st.sampled_from([0.0, -0.0, 1.0, 2.5, 2.5000000000000004, math.inf, -math.inf, math.nan, 1e308]),
    st.floats(allow_nan=True, allow_infinity=True),
)
INTEGERS = st.one_of(
    st.none(), st.integers(-5, 5), st.sampled_from([2**53 + 1, 2**63 - 1, -(2**63), 2**31])
)
WORDS = st.one_of(st.none(), st.sampled_from(TEXTS))
VERSIONS = st.sampled_from([None, 1, 2])
ROWS = st.lists(
    st.tuples(st.integers(0, SPAN - 1), NUMBERS, INTEGERS, WORDS, WORDS, NUMBERS, VERSIONS), max_size=60
)
RANDOMLY = settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@st.composite
def layouts(draw) -> Layout:
    """Cells of a random baseline, of columns that the tables below have."""
    numbers = st.lists(st.floats(-3, 3), max_size=40)
    baseline = {
        "x": pa.array(draw(numbers), pa.float64()),
        "n": pa.array([round(value) for value in draw(numbers)], pa.int64()),
        "t": pa.array(draw(st.lists(st.sampled_from(TEXTS[:6]), max_size=40)), pa.string()),
    }
    few = draw(st.integers(1, 100))
    cells = [
        lay_out(
            pa.table({name: array}), [ColumnType(name, str(array.type))], bins=5, most_categories=few
        )
        for name, array in baseline.items()
    ]
    lengths = Cells("l", "text", "string", edges=(0.0, 1.0, 2.0, 2.0), centres=(0.0,) * 5)
    return Layout((*(each for one in cells for each in one.cells), lengths, ANSWER))


@given(
    layout=layouts(),
    rows=ROWS,
    number=st.sampled_from(["double precision", "numeric", "real"]),
    when=st.sampled_from(["timestamptz", "timestamp"]),
    zone=st.sampled_from(["UTC", "America/New_York"]),
    version=st.sampled_from([None, 1, 7]),
)
@RANDOMLY
def test_random_rows_in_postgres_are_counted_as_if_pulled(
    postgres, layout, rows, number, when, zone, version
):
    types = {"id": "bigint", "at": when, "late": "integer", "x": number, "n": "bigint", "t": "text"}
    types |= {"l": "varchar(400)", "answer": "double precision", "version": "integer"}
    postgres.put(
        types,
        [
            (i, WEEK.start + timedelta(seconds=second), 0, _fitting(x, number), *values)
            for i, (second, x, *values) in enumerate(rows)
        ],
    )
    postgres.agree(layout, version=version, time_zone=zone)


def _fitting(value, kind):
    """A value that the type holds: a real is no greater than 3.4e38, nor as little as a double."""
    if kind != "real" or value is None or not math.isfinite(value):
        return value
    return float(np.clip(value, -3e38, 3e38)) if abs(value) > 1e-30 else 0.0
