"""Rows of a database that is not taught to count are pulled; and how clocks are read there."""

from __future__ import annotations

import logging
import sqlite3
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from evergreen.adapters.logged_source import LoggedSource
from evergreen.adapters.sql_counts import SqlCounts
from evergreen.adapters.sql_counts.cells import thresholds
from evergreen.adapters.sql_counts.instants import stretches
from evergreen.adapters.sql_source import SqlRows
from evergreen.column_types import utc
from evergreen.errors import DataUnusable
from evergreen.monitor_spec import LoggedPredictions
from evergreen.profiles.layout import Cells, Layout
from tests.contracts.data_source import MARCH, data

QUERY = "SELECT * FROM rows WHERE at >= :start AND at < :end"
ANSWER = Layout((Cells("evergreen__prediction", "number", "double", edges=(0.0, 0.5, 1.0)),))


@pytest.fixture
def counts(tmp_path):
    path = tmp_path / "warehouse.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE rows (id, at, answer)")
    connection.execute("INSERT INTO rows VALUES (1, '2013-03-09', 0.3), (2, '2013-03-10', 0.6)")
    connection.commit()
    connection.close()
    source = {"type": "sql", "connection": "w", "query": QUERY}
    logged = LoggedPredictions.model_validate({"source": source, "prediction": "answer"})

    def make(query=QUERY):
        url = sa.make_url(f"sqlite:///{path}")
        pulled = LoggedSource(SqlRows(url, query, data(), "m", labelled=False), "at", logged, (), "m")
        return SqlCounts(pulled, url, query, data(), logged, (), "m")

    return make


def test_rows_of_sqlite_are_pulled_and_the_log_says_so(counts, caplog):
    with caplog.at_level(logging.INFO):
        found = counts().count(MARCH, ANSWER)
    assert [profile.counts.tolist() for profile in found.values()] == [
        [0, 0, 0, 1, 0, 0, 0],
        [0, 0, 0, 0, 1, 0, 0],
    ]
    assert "the rows are pulled" in caplog.text
    assert counts().newest(MARCH.end) == datetime(2013, 3, 10, tzinfo=UTC)


def test_a_query_that_cannot_work_is_refused_with_the_readers_words(counts):
    with pytest.raises(DataUnusable, match="no such table"):
        counts(QUERY.replace("rows", "rowz")).count(MARCH, ANSWER)


@settings(deadline=None)
@given(
    zone=st.sampled_from(["America/New_York", "Australia/Lord_Howe", "Asia/Amman", "Europe/Dublin"]),
    wall=st.datetimes(datetime.fromisoformat("1890-01-01"), datetime.fromisoformat("2037-01-01")),
)
def test_a_clock_is_read_in_stretches_as_it_is_read_at_once(zone, wall):
    found = stretches(zone, wall - timedelta(days=400), wall + timedelta(days=3))
    at = [each for each in found if each.start <= wall][-1]
    read = utc(pa.array([wall], pa.timestamp("us")), zone)[0].as_py().replace(tzinfo=None)
    assert (at.instant or wall - at.offset) == read


@settings(deadline=None)
@given(edges=st.lists(st.floats(-5, 5), max_size=6).map(sorted), value=st.floats())
def test_how_many_thresholds_a_number_reaches_is_its_cell(edges, value):
    cells = Cells("x", "number", "double", edges=tuple(edges) if len(edges) > 1 else ())
    reached = sum(value >= each for each in thresholds(cells.edges))
    if value != value:
        name = "missing"
    elif abs(value) == float("inf"):
        name = f"{'+' if value > 0 else ''}{value}"
    elif not cells.edges or value > cells.edges[-1]:
        name = "above"
    elif value < cells.edges[0]:
        name = "below"
    else:
        bins = range(len(cells.edges) - 1)
        name = 3 + max((bin_ for bin_ in bins if value >= cells.edges[bin_]), default=0)
    assert reached == (cells.names.index(name) if isinstance(name, str) else name)
