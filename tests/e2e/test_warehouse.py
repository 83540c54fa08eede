"""The demo's data: complete, made once, never half there, and without a look into the future."""

import re
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from evergreen.demo import flights
from evergreen.errors import BadConfiguration

QUERIES = sorted((Path(__file__).parents[2] / "dags" / "models" / "sql").glob("*.sql"))


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory):
    return flights.load_warehouse(tmp_path_factory.mktemp("warehouse") / "flights.db")


def ask(path, query, **binds):
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(query, binds).fetchall()


@pytest.mark.parametrize(
    ("table", "rows", "key"),
    [
        ("flights", 336_776, "flight_id"),
        ("weather", 26_115, "origin || hour_utc"),
        ("planes", 3_322, "tail_number"),
    ],
)
def test_every_row_is_there_under_a_key_of_its_own(warehouse, table, rows, key):
    assert ask(warehouse, f"SELECT count(*), count(DISTINCT {key}) FROM {table}") == [(rows, rows)]


def test_times_are_utc_and_late_means_more_than_fifteen_minutes(warehouse):
    first = ask(
        warehouse,
        "SELECT scheduled_departure, local_minute_of_day, late FROM flights WHERE flight_id = 1",
    )
    assert first == [("2013-01-01 10:15:00", 315, 0)]
    assert ask(warehouse, "SELECT min(arrival_delay) FROM flights WHERE late = 1") == [(16.0,)]
    assert ask(warehouse, "SELECT max(arrival_delay) FROM flights WHERE late = 0") == [(15.0,)]
    assert ask(warehouse, "SELECT count(*) FROM flights WHERE late IS NULL") == [(9_430,)]


def test_a_second_load_changes_nothing(warehouse):
    before = warehouse.stat()
    flights.load_warehouse(warehouse)
    assert warehouse.stat().st_mtime_ns == before.st_mtime_ns


def test_a_load_that_fails_midway_leaves_no_file(tmp_path, monkeypatch):
    def breaks(folder):
        raise OSError("disk full")

    monkeypatch.setattr(flights, "_TABLES", {"airports": flights._airports, "planes": breaks})
    with pytest.raises(OSError, match="disk full"):
        flights.load_warehouse(tmp_path / "flights.db")
    assert list(tmp_path.iterdir()) == []


def test_a_warehouse_of_an_older_version_is_made_again(tmp_path, monkeypatch):
    path = tmp_path / "flights.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE old (a)")
    monkeypatch.setattr(flights, "_TABLES", {"airports": flights._airports})
    monkeypatch.setattr(flights, "_INDEXES", ())
    monkeypatch.setattr(flights, "_AIRPORT_HOURS", "SELECT :late_after")
    flights.load_warehouse(path)
    assert ask(path, "SELECT name FROM sqlite_master WHERE name IN ('old', 'airports')") == [
        ("airports",)
    ]
    assert flights._is_complete(path)


def test_a_foreign_file_is_not_taken_for_the_warehouse(tmp_path):
    path = tmp_path / "flights.db"
    path.write_text("not a database")
    assert not flights._is_complete(path)


def test_missing_data_is_told_with_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr(flights.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(BadConfiguration, match="install the extra"):
        flights.load_warehouse(tmp_path / "flights.db")


@pytest.mark.parametrize("query", QUERIES, ids=lambda path: path.stem)
def test_a_query_selects_nothing_that_is_known_only_after_departure(query):
    text = re.sub(r"--.*", "", query.read_text())
    label = {"flight_delay": "late", "flight_arrival": "arrival_delay"}[query.stem]
    selected = text[: text.index("FROM flights")]
    for outcome in {"late", "arrival_delay", "departure_delay"} - {label}:
        assert not re.search(rf"\bf\.{outcome}\b", selected)


@pytest.mark.parametrize("query", QUERIES, ids=lambda path: path.stem)
def test_rows_do_not_change_when_everything_from_an_hour_before_departure_on_is_unknown(
    query, warehouse, tmp_path
):
    """The future is overwritten: features of flights that are yet to leave must stay as they were."""
    now = "2013-05-15 18:00:00"
    binds = {"start": "2013-05-15 19:00:00", "end": "2013-05-15 20:00:00"}
    blind = tmp_path / "blind.db"
    shutil.copyfile(warehouse, blind)
    text = query.read_text()
    label = {"flight_delay": 2, "flight_arrival": 2}[query.stem]
    with closing(sqlite3.connect(blind)) as connection, connection:
        # Not known at `now`: outcomes of flights due less than 15 minutes before, and later weather.
        connection.execute(
            "UPDATE flights SET departure_delay = 999, arrival_delay = 999, late = 1 "
            "WHERE scheduled_departure > datetime(?, '-15 minutes') AND arrival_delay IS NOT NULL",
            (now,),
        )
        connection.execute(
            "UPDATE weather SET humidity_percent = -1, wind_speed_mph = -1, precipitation_inches = -1, "
            "visibility_miles = -1 WHERE hour_utc > ?",
            (now,),
        )
        connection.execute("DROP TABLE airport_hours")
        connection.execute(flights._AIRPORT_HOURS, {"late_after": flights.LATE_AFTER_MINUTES})
    seen, unseen = ask(warehouse, text, **binds), ask(blind, text, **binds)
    assert len(seen) > 20

    def features(rows):
        return sorted([*row[:label], *row[label + 1 :]] for row in rows)

    assert str(features(seen)) == str(features(unseen))
