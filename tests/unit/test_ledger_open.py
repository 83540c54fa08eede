"""Opening a ledger: what is made, what is refused and what the refusal says."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
import traceback
from contextlib import closing

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from evergreen.errors import BadConfiguration, LedgerError, LedgerUnavailable
from evergreen.ledger import migrations, open_ledger
from evergreen.ledger.schema import metadata


@pytest.fixture
def path(tmp_path):
    return tmp_path / "ledger.db"


@pytest.fixture
def url(path):
    return f"sqlite:///{path}"


def test_the_parent_folder_is_made_and_opening_again_changes_nothing(tmp_path):
    path = tmp_path / "a b" / "c%d" / "ledger.db"
    open_ledger(f"sqlite:///{path}", 600).close()
    before = path.read_bytes()
    open_ledger(f"sqlite:///{path}", 600).close()
    assert path.read_bytes() == before


def test_a_new_file_is_durable_and_lets_readers_read_while_one_writes(url, path):
    ledger = open_ledger(url, 600)
    with ledger._database.reading() as connection:
        pragmas = ["journal_mode", "synchronous", "foreign_keys", "busy_timeout"]
        found = [connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in pragmas]
    ledger.close()
    assert found == ["wal", 2, 1, 10_000]


def test_the_known_revisions_are_those_of_the_migrations():
    config = Config()
    config.set_main_option("script_location", migrations.__path__[0])
    script = ScriptDirectory.from_config(config)
    assert tuple(r.revision for r in script.walk_revisions())[::-1] == migrations.REVISIONS
    assert script.get_heads() == [migrations.REVISIONS[-1]]


def test_the_migrations_make_the_tables_that_the_code_reads(url):
    ledger = open_ledger(url, 600)
    with ledger._database.reading() as connection:
        options = {"version_table": migrations.VERSION_TABLE, "compare_type": True}
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, metadata) == []
    ledger.close()


@pytest.mark.parametrize(
    ("which", "index"),
    [
        ("kind = 'event'", "entries_by_kind (kind=? AND seq>?)"),
        ("kind = 'event' AND model = 'churn'", "entries_by_model (model=? AND kind=? AND seq>?)"),
    ],
)
def test_entries_of_a_kind_are_found_by_an_index(url, which, index):
    ledger = open_ledger(url, 600)
    asked = f"EXPLAIN QUERY PLAN SELECT * FROM entries WHERE {which} AND seq > 0 ORDER BY seq LIMIT 9"
    with ledger._database.reading() as connection:
        (step,) = connection.exec_driver_sql(asked).all()
    ledger.close()
    assert step[-1] == f"SEARCH entries USING INDEX {index}"


def test_a_ledger_of_a_newer_evergreen_is_refused_and_left_alone(url, path):
    open_ledger(url, 600).close()
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE ledger_version SET version_num = '9999'")
    with pytest.raises(LedgerError, match=r"newer Evergreen.*9999.*upgrade"):
        open_ledger(url, 600)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT version_num FROM ledger_version").fetchall() == [("9999",)]


@pytest.mark.parametrize("content", [b"not a database, and long enough to look like one" * 100])
def test_a_file_that_is_no_database_is_refused_and_left_alone(url, path, content):
    path.write_bytes(content)
    with pytest.raises(LedgerError, match="damaged or is no ledger") as raised:
        open_ledger(url, 600)
    assert not raised.value.retryable
    assert path.read_bytes() == content


def test_a_database_of_something_else_with_a_table_of_our_name_is_left_alone(url, path):
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE entries (mine)")
    with pytest.raises(LedgerError, match="entries already exists"):
        open_ledger(url, 600)
    with closing(sqlite3.connect(path)) as connection:
        names = [name for (name,) in connection.execute("SELECT name FROM sqlite_master")]
    assert names == ["entries"]


def test_a_folder_in_the_place_of_the_file_is_a_clear_error(url, path):
    path.mkdir()
    with pytest.raises(LedgerError, match="unable to open"):
        open_ledger(url, 600, wait_seconds=0.1)


def test_a_parent_that_is_a_file_is_a_clear_error(path):
    path.write_text("")
    with pytest.raises(LedgerError, match="folder cannot be made"):
        open_ledger(f"sqlite:///{path}/ledger.db", 600)


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("sqlite://", "needs a file"),
        ("sqlite:///:memory:", "needs a file"),
        ("sqlite:///file:x?mode=memory&uri=true", "needs a file"),
        ("mysql://host/x", "allowed: sqlite, postgresql"),
        ("not a url", "cannot be read"),
        ("", "cannot be read"),
    ],
)
def test_a_url_that_names_no_place_for_a_ledger_is_refused(url, says):
    with pytest.raises(BadConfiguration, match=says) as raised:
        open_ledger(url, 600)
    assert "EVERGREEN_LEDGER" in str(raised.value)


def test_a_missing_driver_is_named_with_what_installs_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(BadConfiguration, match=r"airflow-provider-evergreen\[postgres\]"):
        open_ledger("postgresql://user@localhost/x", 600)


def test_a_locked_file_makes_writers_fail_after_a_while_and_readers_go_on(url, path):
    ledger = open_ledger(url, 600, wait_seconds=0.2)
    lease = ledger.acquire("m", "m/run")
    entry = ledger.append("snapshot", "one", {}, lease)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        with pytest.raises(LedgerUnavailable, match="locked") as raised:
            ledger.append("snapshot", "two", {}, lease)
        assert raised.value.retryable
        assert ledger.find("one") == entry
        connection.execute("ROLLBACK")
    assert ledger.append("snapshot", "two", {}, lease).seq == 2
    ledger.close()


def test_a_full_disk_fails_loudly_keeps_what_was_written_and_passes(url, path):
    ledger = open_ledger(url, 600)
    lease = ledger.acquire("m", "m/run")
    entry = ledger.append("snapshot", "one", {}, lease)
    with ledger._database.reading() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages + 2}")
    with pytest.raises(LedgerUnavailable, match="full"):
        ledger.append("snapshot", "two", {"text": "x" * 100_000}, lease)
    assert list(ledger.entries()) == [entry]
    with ledger._database.reading() as connection:
        connection.exec_driver_sql("PRAGMA max_page_count = 1000000")
    assert ledger.append("snapshot", "two", {"text": "x" * 100_000}, lease).seq == 2
    assert ledger.verify().ok
    ledger.close()


def test_a_lease_is_kept_through_an_unavailable_database_and_the_thread_ends(url, path, monkeypatch):
    monkeypatch.setattr("evergreen.ledger.lease.RENEWALS_PER_LEASE", 600 / 0.02)
    ledger = open_ledger(url, 600, wait_seconds=0.02)
    lease = ledger.acquire("m", "m/run")
    tried, failures = threading.Event(), []
    renew = ledger._renew

    def renew_and_tell(lease):
        try:
            return renew(lease)
        except LedgerUnavailable as error:
            failures.append(error)
            raise
        finally:
            tried.set()

    monkeypatch.setattr(ledger, "_renew", renew_and_tell)

    def expires_at():
        with closing(sqlite3.connect(path)) as connection:
            return connection.execute("SELECT expires_at FROM leases").fetchone()[0]

    with ledger.keep(lease):
        with closing(sqlite3.connect(path, isolation_level=None, timeout=30)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            while not failures:
                tried.wait(1)
            before = expires_at()
            connection.execute("ROLLBACK")
        while expires_at() == before:
            tried.wait(0.01)
    assert not [thread for thread in threading.enumerate() if "lease of" in thread.name]
    ledger.close()


def test_an_open_ledger_is_not_used_across_a_fork(url, monkeypatch):
    ledger = open_ledger(url, 600)
    monkeypatch.setattr("evergreen.ledger.engine.os.getpid", lambda: -1)
    with pytest.raises(LedgerError, match="another process"):
        ledger.find("key")
    monkeypatch.undo()
    ledger.close()


def test_importing_the_package_loads_no_database_library():
    code = "import sys, evergreen.ledger, evergreen.ledger.chain; print('sqlalchemy' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == "False\n"


def test_a_password_is_in_no_error_and_no_traceback():
    url = "postgresql://bob:s3cr%2Ft-word@127.0.0.1:1/x"
    with pytest.raises(LedgerUnavailable) as raised:
        open_ledger(url, 600, wait_seconds=0.1)
    text = "".join(traceback.format_exception(raised.value))
    assert "127.0.0.1" in text
    assert "s3cr" not in text


@pytest.mark.parametrize("form", ["mysql://bob:{}@host/x", "postgresql//bob:{}@host/x"])
def test_a_bad_url_with_a_password_is_reported_without_it(form):
    url = form.format("s3cret-word")
    with pytest.raises(BadConfiguration) as raised:
        open_ledger(url, 600)
    assert "s3cret" not in "".join(traceback.format_exception(raised.value))
