"""Columns of every kind are counted in PostgreSQL as they are when pulled."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest

from evergreen.adapters.sql_counts import counting
from evergreen.errors import DataUnusable
from evergreen.profiles.lay_out import lay_out
from evergreen.profiles.layout import Cells, Layout
from evergreen.results import ColumnType
from evergreen.window import Window
from tests.integration.warehouse import ANSWER, WEEK, one_row, postgres

__all__ = ["postgres"]

pytestmark = pytest.mark.needs_postgres


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


@pytest.mark.parametrize("kind", ["jsonb", "interval", "integer[]"])
def test_a_column_of_a_type_that_is_not_known_is_left_to_the_reader(postgres, kind):
    one_row(postgres, {"odd": (kind, [None])})
    postgres.agree(Layout((ANSWER,)), pulls=1)


def test_a_time_that_no_calendar_holds_is_refused_as_if_pulled(postgres):
    one_row(postgres, {"when": ("timestamp", ["infinity"])})
    counts, _ = postgres.sources(time_zone="Asia/Tokyo")
    with pytest.raises(DataUnusable, match="timestamp too large"):
        counts.count(WEEK, Layout((_calendar("when", "timestamp[us, tz=UTC]"),)))
