"""What a warehouse answers beside its columns: predictions, why it cannot count, its newest row."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from evergreen.adapters.logged_source import LoggedSource
from evergreen.errors import DataUnusable
from evergreen.profiles.layout import Cells, Layout
from tests.integration.warehouse import ANSWER, COLUMNS, QUERY, WEEK, one_row, postgres

__all__ = ["postgres"]

pytestmark = pytest.mark.needs_postgres

ALL = "SELECT * FROM rows WHERE :start < :end"


@pytest.mark.parametrize(
    ("classes", "named"),
    [
        (("a", "b"), {"prediction": "answer"}),
        (("a", "b"), {"probabilities": {"a": "answer"}}),
        (("a", "b"), {"probabilities": {"a": "answer", "b": "rest"}}),
        (("a", "b", "c"), {"probabilities": {"a": "answer", "b": "rest", "c": "more"}}),
        ((), {"prediction": "answer", "version": "version"}),
    ],
)
def test_predictions_are_counted_under_their_classes(postgres, classes, named):
    columns = {"rest": ("double precision", [0.3, 0.7]), "more": ("double precision", [0.1, None])}
    one_row(postgres, columns, answer=0.3)
    names = [f"evergreen__p__{name}" for name in classes] or ["evergreen__prediction"]
    cells = [Cells(name, "number", "double", edges=(0.0, 0.3, 0.7, 1.0)) for name in names]
    postgres.agree(Layout(tuple(cells)), classes=classes, named=named)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"query": ALL}, "outside the window"),
        ({"query": QUERY.replace("rows", "rowz")}, "does not exist"),
        (
            {"query": QUERY.replace("*", "id, at, version, 1 / (id - id) AS answer")},
            "division",
        ),
        ({"named": {"prediction": "nope"}}, "'nope'"),
        ({"named": {"prediction": "at"}}, "no predictions"),
        ({"classes": ("a", "b"), "named": {"prediction": "version"}}, "no probabilities"),
        ({"time_column": "id"}, "holds no times"),
        ({"time_column": "later"}, "no column 'later'"),
        ({"key": "nokey"}, "no column 'nokey'"),
    ],
)
def test_rows_that_cannot_be_pulled_cannot_be_counted_either_and_the_reason_is_told(
    postgres, change, said
):
    one_row(postgres, {}, version=7)
    if "outside" in said:
        postgres.run("INSERT INTO rows VALUES (2, '2013-05-01', 0.5, 7)")
    counts, _ = postgres.sources(**change)
    with pytest.raises(DataUnusable, match=said):
        counts.count(WEEK, Layout((ANSWER,)))


def test_a_window_without_rows_has_no_days(postgres):
    postgres.put(COLUMNS, [])
    assert postgres.agree(Layout((ANSWER,))) == {}


@pytest.mark.parametrize("kind", ["timestamptz", "timestamp"])
def test_the_newest_row_is_found_by_the_database(postgres, kind):
    postgres.put(
        COLUMNS | {"at": kind},
        [(i, datetime(2013, 3, day, 12, tzinfo=UTC), 0.5, 1) for i, day in enumerate((1, 9, 20))],
    )
    counts, pulled = postgres.sources(time_zone="America/New_York")
    for day in (1, 2, 10, 20, 21, 30):
        before = datetime(2013, 3, day, 12, tzinfo=UTC)
        found, pulled.pulls = counts.newest(before), 0
        assert found == LoggedSource.newest(pulled, before)
        assert pulled.pulls == 0
    assert counts.newest(datetime(2013, 3, 30, tzinfo=UTC)).day == 20
    assert counts.newest(datetime(1, 1, 2, tzinfo=UTC)) is None


def test_rows_are_read_by_the_reader(postgres):
    one_row(postgres, {})
    counts, _ = postgres.sources()
    (batch,) = counts.read(WEEK, ["id", "evergreen__version"])
    assert batch.to_pydict() == {"id": [0], "evergreen__version": [1]}
