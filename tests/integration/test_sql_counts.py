"""Counting in PostgreSQL gives what counting the pulled rows gives, to the row."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import psycopg
import pyarrow as pa
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evergreen.adapters.logged_source import LoggedSource
from evergreen.adapters.sql_counts import SqlCounts, counting
from evergreen.adapters.sql_source import SqlRows
from evergreen.errors import DataUnusable
from evergreen.monitor_spec import LoggedPredictions
from evergreen.profiles.lay_out import lay_out
from evergreen.profiles.layout import Cells, Layout
from evergreen.profiles.profile import Profile, merged
from evergreen.results import ColumnType
from evergreen.window import Window
from tests.contracts.data_source import data

pytestmark = pytest.mark.needs_postgres

QUERY = "SELECT * FROM rows WHERE at >= :start AND at < :end"
ALL = "SELECT * FROM rows WHERE :start < :end"
WEEK = Window(datetime(2013, 3, 8, 5, tzinfo=UTC), datetime(2013, 3, 13, 17, tzinfo=UTC))
"""Not whole days, and New York's clocks change in it."""
SPAN = int((WEEK.end - WEEK.start) / timedelta(seconds=1))


class Watched(LoggedSource):
    """The rows pulled; it notes that they were."""

    pulls = 0

    def read(self, *asked, **named):
        self.pulls += 1
        return super().read(*asked, **named)


@dataclass
class Warehouse:
    """A database with a table `rows`."""

    url: sa.URL
    run: Any

    def put(self, types: Mapping[str, str], rows: Sequence[Sequence[Any]]) -> None:
        self.run("DROP TABLE IF EXISTS rows")
        names = ", ".join(f'"{name}" {kind}' for name, kind in types.items())
        self.run(f"CREATE TABLE rows ({names})")
        self.run(f"INSERT INTO rows VALUES ({', '.join(['%s'] * len(types))})", rows)

    def sources(
        self, query: str = QUERY, classes=(), named: Mapping[str, Any] | None = None, **fields: Any
    ) -> tuple[SqlCounts, Watched]:
        described = data(**fields)
        source = {"type": "sql", "connection": "w", "query": query}
        named = {"prediction": "answer", "version": "version"} if named is None else named
        logged = LoggedPredictions.model_validate({"source": source, **named})
        rows = SqlRows(self.url, query, described, "m", labelled=False)
        pulled = Watched(rows, described.time_column, logged, classes, "m")
        return SqlCounts(pulled, self.url, query, described, logged, classes, "m"), pulled

    def agree(
        self,
        layout: Layout,
        window: Window = WEEK,
        version: int | None = None,
        pulls: int = 0,
        **asked: Any,
    ) -> Mapping[date, Profile]:
        """Check that the database counts, or the rows are pulled, and that both count the same."""
        counts, pulled = self.sources(**asked)
        pushed = counts.count(window, layout, version)
        assert pulled.pulls == pulls
        wanted = pulled.count(window, layout, version)
        assert list(pushed) == list(wanted)
        for day, profile in wanted.items():
            assert pushed[day].rows == profile.rows, day
            assert pushed[day].problems == profile.problems, day
            assert pushed[day].unseen == profile.unseen, day
            for cells in layout.cells:
                same = pushed[day].of(cells.column).tolist() == profile.of(cells.column).tolist()
                assert same, (day, cells.column, pushed[day].of(cells.column), profile.of(cells.column))
        if wanted:
            columns = merged(wanted.values(), layout).columns
            assert merged(pushed.values(), layout).columns == columns
        return pushed


@pytest.fixture
def postgres(postgres_database):
    url = sa.make_url(postgres_database)
    plain = url.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(plain, autocommit=True) as connection:

        def run(statement, rows=None):
            with connection.cursor() as cursor:
                if rows is None:
                    cursor.execute(statement)
                else:
                    cursor.executemany(statement, rows)

        yield Warehouse(url, run)


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
ANSWER = Cells("evergreen__prediction", "number", "double", edges=(-1.0, 0.5, 0.7, 1.0))


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


COLUMNS = {"id": "bigint", "at": "timestamptz", "answer": "double precision", "version": "bigint"}


def one_row(warehouse, columns: Mapping[str, tuple[str, Any]], at: Any = "2013-03-09 12:00:00Z", **row):
    """Put rows that differ in their columns' values only: as many as the longest of these."""
    types = COLUMNS | {name: kind for name, (kind, _) in columns.items()}
    count = max((len(values) for _, values in columns.values()), default=1)
    plain = {"at": at, "answer": 0.5, "version": 1} | row
    warehouse.put(
        types,
        [
            (i, plain["at"], plain["answer"], plain["version"], *(v[i] for _, v in columns.values()))
            for i in range(count)
        ],
    )


def laid(*cells: Cells) -> Layout:
    return Layout((*cells, ANSWER))


def category(name: str, *names: str, whole: bool = True, kind: str = "string") -> Cells:
    return Cells(name, "category", kind, categories=names, whole=whole)


def test_texts_of_every_kind_are_counted_as_they_are_read(postgres):
    postgres.run("CREATE TYPE mood AS ENUM ('sad', 'glad')")
    postgres.run(
        "CREATE COLLATION nocase (provider = icu, locale = 'und-u-ks-level2', deterministic = false)"
    )
    one_row(
        postgres,
        {
            "padded": ("char(4)", ["x", "xy", None]),
            "mood": ("mood", ["sad", "glad", None]),
            "id2": ("uuid", ["00000000-0000-0000-0000-00000000000A", None, None]),
            "loose": ('text COLLATE "nocase"', ["a", "A", "b"]),
            "short": ("varchar(3)", ["Zür", "x ", None]),
        },
    )
    found = postgres.agree(
        laid(
            category("padded", "x", "x   "),
            category("mood", "glad"),
            category("id2", "00000000-0000-0000-0000-00000000000a"),
            category("loose", "a"),
            Cells("short", "text", "string", edges=(0.0, 2.0, 3.0)),
        )
    )
    (day,) = found.values()
    assert day.of("padded").tolist() == [1, 0, 1, 1]
    assert day.unseen == {"padded": ("xy  ",), "mood": ("sad",), "loose": ("A", "b")}


def test_decimals_that_no_double_holds_are_counted_as_the_nearest(postgres):
    tall = ["1e400", "-1e400", "1e-400", "NaN", "Infinity", "0.1", "1.7976931348623157e308"]
    one_row(postgres, {"x": ("numeric", tall), "y": ("real", [0.1, 0.3, 0.7, 16777217, None, 0, 1])})
    edges = tuple(sorted({0.0, 0.1, 0.3, 0.7, 1.0}))
    postgres.agree(laid(*(Cells(name, "number", "double", edges=edges) for name in "xy")))


@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Australia/Lord_Howe", "Asia/Amman"])
def test_calendar_cells_and_days_are_those_of_utc_whatever_the_clock_does(postgres, zone):
    walls = [
        datetime.fromisoformat(text) + timedelta(minutes=minutes)
        for text in (
            "1900-01-01",
            "1952-11-02",
            "2013-03-10",
            "2013-03-28 21:00",
            "2013-10-06",
            "2013-11-03",
        )
        for minutes in range(0, 24 * 60, 29)
    ]
    rows = {
        "wall": ("timestamp", [*walls, None]),
        "instant": ("timestamptz", [*(wall.replace(tzinfo=UTC) for wall in walls), None]),
        "day": ("date", [*(wall.date() for wall in walls), None]),
        "flag": ("boolean", [*(wall.minute > 30 for wall in walls), None]),
    }
    one_row(postgres, rows)
    stamp, day = "timestamp[us, tz=UTC]", "date32[day]"
    postgres.agree(
        Layout(
            (
                *(_calendar(name, stamp) for name in ("wall", "instant")),
                Cells("flag", "category", "bool", categories=("false", "true")),
                _calendar("day", day),
            )
        ),
        time_zone=zone,
    )
    postgres.agree(
        Layout((_calendar("day", stamp), Cells("flag", "number", "double", edges=(0.0, 0.5))))
    )
    postgres.run("ALTER TABLE rows RENAME at TO entered; ALTER TABLE rows RENAME wall TO at")
    for year, month in ((1952, 11), (2013, 3), (2013, 10), (2013, 11)):
        start = datetime(year, month, 1, 3, 30, tzinfo=UTC)
        window = Window(start, start + timedelta(days=29))
        found = postgres.agree(Layout((_calendar("instant", stamp),)), window=window, time_zone=zone)
        assert sum(profile.rows for profile in found.values()) >= 40


def _calendar(name: str, kind: str) -> Cells:
    feature = ColumnType(name, kind)
    array = pa.array([], pa.date32() if kind.startswith("date") else pa.timestamp("us", "UTC"))
    return lay_out(pa.table({name: array}), [feature]).cells[0]


def test_columns_that_are_lost_new_or_changed_are_named_as_if_pulled(postgres):
    one_row(
        postgres, {"x": ("text", ["1", "2"]), "new": ("integer", [1, 2]), "empty": ("text", [None] * 2)}
    )
    found = postgres.agree(
        laid(
            Cells("x", "number", "double", edges=(0.0, 1.0)),
            Cells("gone", "number", "double", edges=(0.0, 1.0)),
            category("empty", "a"),
        )
    )
    (day,) = found.values()
    assert day.problems == {
        "gone": "lost: the rows have no such column",
        "x": "changed its type from double to string",
    }
    assert ColumnType("new", "int64") in day.columns


def test_more_columns_than_one_query_takes_and_odd_names_are_counted(postgres, monkeypatch):
    monkeypatch.setattr(counting, "COLUMNS_A_QUERY", 3)
    odd = ["select", "Two Words", "KÄSE", "a%b", "a:b", 'quo"te', "(x)", "k0"]
    real = "double precision"
    kinds = {name.replace('"', '""'): (real, [0.5, 2.5, None, 0.5]) for name in odd}
    one_row(postgres, kinds)
    found = postgres.agree(Layout(tuple(Cells(n, "number", "double", edges=(0.0, 1.0)) for n in odd)))
    (day,) = found.values()
    assert day.of("k0").tolist() == [1, 0, 0, 2, 1, 0]


def test_a_million_categories_give_the_first_ten_examples_of_each_day(postgres):
    names = [f"c{number:05d}" for number in range(30_000)]
    one_row(postgres, {"t": ("text", names)})
    found = postgres.agree(laid(category("t", "c00000", "c00002", "\0")))
    (day,) = found.values()
    assert day.unseen["t"] == ("c00001", *(f"c{n:05d}" for n in range(3, 12)))


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


@pytest.mark.parametrize("kind", ["jsonb", "interval", "integer[]"])
def test_a_column_of_a_type_that_is_not_known_is_left_to_the_reader(postgres, kind):
    one_row(postgres, {"odd": (kind, [None])})
    postgres.agree(Layout((ANSWER,)), pulls=1)


def test_a_time_that_no_calendar_holds_is_refused_as_if_pulled(postgres):
    one_row(postgres, {"when": ("timestamp", ["infinity"])})
    counts, _ = postgres.sources(time_zone="Asia/Tokyo")
    with pytest.raises(DataUnusable, match="timestamp too large"):
        counts.count(WEEK, Layout((_calendar("when", "timestamp[us, tz=UTC]"),)))


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
