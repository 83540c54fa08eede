"""What a database source does with bad queries, bad data and databases that are not there."""

from __future__ import annotations

import sqlite3
from datetime import timedelta

import pytest
import sqlalchemy as sa

from evergreen.adapters.sql_source import SqlRows
from evergreen.errors import BadConfiguration, DataUnusable, SourceUnavailable
from tests.contracts.data_source import MARCH, data, table_of

WINDOWED = "SELECT * FROM rows WHERE at >= :start AND at < :end"


@pytest.fixture
def warehouse(tmp_path):
    path = tmp_path / "warehouse.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE rows (id, at, late, x)")
    yield connection
    connection.close()


def fill(warehouse, *rows):
    warehouse.executemany("INSERT INTO rows VALUES (?, ?, ?, ?)", rows)
    warehouse.commit()


def read(tmp_path, query=WINDOWED, window=MARCH, **fields):
    source = SqlRows(
        sa.make_url(f"sqlite:///{tmp_path}/warehouse.db"), query, data(**fields), "m.yaml data.source"
    )
    return list(source.read(window))


def refused(tmp_path, query=WINDOWED, kind=DataUnusable, **fields):
    with pytest.raises(kind) as caught:
        read(tmp_path, query, **fields)
    assert "m.yaml data.source" in str(caught.value)
    assert caught.value.retryable is (kind is SourceUnavailable)
    return str(caught.value)


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("SELECT * FROM rowz WHERE at >= :start AND at < :end", "no such table: rowz"),
        ("SELECT nope FROM rows WHERE at >= :start AND at < :end", "no such column: nope"),
        ("SELEKT * FROM rows WHERE at >= :start AND at < :end", "SELEKT"),
        ("SELECT * FROM rows WHERE at >= :start AND AND at < :end", "syntax error"),
        ("SELECT * FROM rows WHERE at >= :start", "does not bind :end"),
        ("SELECT * FROM rows WHERE at >= :start AND at < :ende", "did you mean 'end'?"),
        ("SELECT 1 WHERE :start < :end; DROP TABLE rows", "second statement"),
    ],
)
def test_a_query_that_cannot_work_is_refused_and_not_tried_again(warehouse, tmp_path, query, said):
    fill(warehouse, (1, "2013-03-01", 0, 1))
    assert said in refused(tmp_path, query)
    assert warehouse.execute("SELECT count(*) FROM rows").fetchone() == (1,)


@pytest.mark.parametrize(
    "query",
    [
        f"{WINDOWED};",
        f"{WINDOWED} -- all of them",
        f"  /* all */ {WINDOWED} ;  ",
        "WITH r AS (SELECT * FROM rows) SELECT * FROM r WHERE at >= :start AND at < :end",
        "SELECT * FROM rows WHERE at >= :start AND at < :end ORDER BY x DESC LIMIT 10",
        "SELECT *, '100%' AS share FROM rows WHERE at >= :start AND at < :end",
    ],
)
def test_a_query_may_be_written_in_many_ways(warehouse, tmp_path, query):
    fill(warehouse, (2, "2013-03-02", 0, 1), (1, "2013-03-01", 0, 1), (3, "2013-02-28", 0, 1))
    assert table_of(read(tmp_path, query)).column("id").to_pylist() == [1, 2]


def test_a_query_cannot_write(warehouse, tmp_path):
    fill(warehouse, (1, "2013-03-01", 0, 1))
    query = "WITH r AS (SELECT :start, :end) DELETE FROM rows RETURNING *"
    refused(tmp_path, query)
    assert warehouse.execute("SELECT count(*) FROM rows").fetchone() == (1,)


def test_columns_are_quoted_from_the_databases_own_catalogue(tmp_path):
    odd = 'at"; DROP TABLE rows; --'
    quoted = odd.replace('"', '""')
    connection = sqlite3.connect(tmp_path / "warehouse.db")
    connection.execute(f'CREATE TABLE rows ("select" integer, "{quoted}" text, "late one" integer)')
    connection.execute("INSERT INTO rows VALUES (1, '2013-03-01', 0)")
    connection.commit()
    batches = read(
        tmp_path,
        f'SELECT * FROM rows WHERE "{quoted}" >= :start AND "{quoted}" < :end',
        time_column=odd,
        key="select",
        label={"column": "late one"},
    )
    assert batches[0].schema.names == ["select", odd, "late one"]
    assert connection.execute("SELECT count(*) FROM rows").fetchone() == (1,)
    connection.close()


def test_rows_outside_the_window_are_an_error_that_shows_some(warehouse, tmp_path):
    fill(warehouse, (1, "2013-03-01", 0, 1), (2, "2013-04-01", 0, 1))
    said = refused(tmp_path, "SELECT * FROM rows WHERE at >= :start OR at < :end")
    assert "outside the window" in said
    assert "2013-04-01T00:00:00Z" in said
    assert "row 2" in said


@pytest.mark.parametrize("written", ["2013-03-01", "2013-03-01 00:00", "2013-03-01T00:00:00Z"])
def test_text_times_of_any_length_are_within_a_window_that_begins_with_them(
    warehouse, tmp_path, written
):
    fill(warehouse, (1, written, 0, 1))
    assert read(tmp_path)[0].column("at")[0].as_py() == MARCH.start


@pytest.mark.parametrize(
    ("first", "second", "said"),
    [
        (1, "one", "int 1 in row 1, str one in row 2"),
        (1.5, "x", "float 1.5 in row 1, str x in row 2"),
        ("x", b"\x00", "what no model can use"),
        (2**53 + 1, 0.5, "cannot"),
    ],
)
def test_mixed_types_are_refused_with_column_and_examples(warehouse, tmp_path, first, second, said):
    fill(warehouse, (1, "2013-03-01", 0, first), (2, "2013-03-02", 0, second))
    text = refused(tmp_path)
    assert "'x'" in text
    assert said in text


def test_mixed_types_far_apart_are_refused_as_well(warehouse, tmp_path):
    at = [
        (MARCH.start + timedelta(seconds=n)).replace(tzinfo=None).isoformat(" ") for n in range(20_000)
    ]
    fill(warehouse, *((n, at[n], 0, 5 if n < 16_384 else "five") for n in range(16_385)))
    assert "int64, such as 5, and string, such as five" in refused(tmp_path)


@pytest.mark.parametrize("at", [1_362_096_000, 1_362_096_000.5, "2013-03-01 morning", "2013-03-32"])
def test_times_that_cannot_be_read_are_refused_with_an_example(warehouse, tmp_path, at):
    fill(warehouse, (1, "2013-03-01", 0, 1), (2, at, 0, 1))
    query = "SELECT * FROM rows WHERE :start < :end"
    if not isinstance(at, str):
        warehouse.execute("DELETE FROM rows WHERE id = 1")
        warehouse.commit()
    said = refused(tmp_path, query)
    assert str(at) in said
    assert "'at'" in said
    assert "2013-04-01" in said


def test_a_row_without_a_time_is_refused_with_its_position(warehouse, tmp_path):
    fill(warehouse, (1, None, 0, 1), (2, "2013-03-01", 0, 1))
    assert "rows 1" in refused(tmp_path, "SELECT * FROM rows WHERE at IS NULL OR :start < :end")


def test_a_database_file_that_is_not_there_is_refused_and_not_created(tmp_path):
    assert "no such database file" in refused(tmp_path)
    assert not (tmp_path / "warehouse.db").exists()


def test_a_file_that_is_no_database_is_refused(tmp_path):
    (tmp_path / "warehouse.db").write_text("not a database " * 100)
    assert "not a database" in refused(tmp_path)


def test_a_locked_database_may_be_tried_again(warehouse, tmp_path):
    fill(warehouse, (1, "2013-03-01", 0, 1))
    warehouse.execute("PRAGMA locking_mode = EXCLUSIVE")
    warehouse.execute("BEGIN EXCLUSIVE")
    url = sa.make_url(f"sqlite:///{tmp_path}/warehouse.db").update_query_dict({"timeout": "0.01"})
    with pytest.raises(SourceUnavailable, match="locked"):
        list(SqlRows(url, WINDOWED, data(), "m").read(MARCH))


def test_a_server_that_does_not_answer_may_be_tried_again_and_its_password_is_not_shown():
    url = sa.make_url("postgresql+psycopg://bob:hunter22@127.0.0.1:1/x")
    with pytest.raises(SourceUnavailable) as caught:
        list(SqlRows(url, WINDOWED, data(), "m").read(MARCH))
    assert caught.value.retryable
    assert "hunter22" not in str(caught.value)


def test_a_missing_driver_is_named():
    with pytest.raises(BadConfiguration, match="mssql"):
        list(SqlRows(sa.make_url("mssql+pymssql://db/x"), WINDOWED, data(), "m").read(MARCH))


@pytest.mark.parametrize(
    ("driver", "limited"), [("psycopg", True), ("psycopg2", True), ("pg8000", False)]
)
def test_only_a_driver_that_knows_libpqs_arguments_is_given_them(monkeypatch, driver, limited):
    given = {}
    monkeypatch.setattr(sa, "create_engine", lambda url, **arguments: given.update(arguments))
    url = sa.make_url(f"postgresql+{driver}://db/x")
    SqlRows(url, "SELECT :start, :end", data(), "m")._session.engine()
    assert ("tcp_user_timeout" in given["connect_args"]) is limited
