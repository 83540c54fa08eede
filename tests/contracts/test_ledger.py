"""The fake and both databases keep the same promises."""

from __future__ import annotations

import sqlite3
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime

import psycopg
import pytest
from sqlalchemy import make_url

from evergreen.ledger import open_ledger
from tests.contracts.ledger import LedgerContract
from tests.fakes.ledger import FakeLedger

LONG_AGO = "2000-01-01T00:00:00.000000Z"
RENEWED_EVERY = 0.05


class TestFakeLedger(LedgerContract):
    @pytest.fixture
    def ledger(self):
        return FakeLedger()

    def expire(self, ledger, model):
        held = ledger.leases[model, "retrain"]
        ledger.leases[model, "retrain"] = replace(held, expires_at=datetime(2000, 1, 1, tzinfo=UTC))

    def expires_at(self, ledger, model):
        return ledger.leases[model, "retrain"].expires_at.isoformat()


class SqlLedgerContract(LedgerContract):
    """Both databases; a lease is long, and the thread that renews one is made to hurry."""

    @pytest.fixture
    def url(self):
        raise NotImplementedError

    @pytest.fixture
    def ledger(self, url, monkeypatch):
        monkeypatch.setattr("evergreen.ledger.lease.RENEWALS_PER_LEASE", 600 / RENEWED_EVERY)
        ledger = open_ledger(url, 600)
        yield ledger
        ledger.close()
        assert not [thread for thread in threading.enumerate() if "lease of" in thread.name]

    def query(self, ledger, sql, *values):
        """Run raw SQL in a connection of its own, round the ledger's code."""
        raise NotImplementedError

    def expire(self, ledger, model):
        self.query(ledger, f"UPDATE leases SET expires_at = '{LONG_AGO}' WHERE model = '{model}'")

    def expires_at(self, ledger, model):
        rows = self.query(ledger, f"SELECT expires_at FROM leases WHERE model = '{model}'")
        return rows[0][0]

    def await_renewal(self, ledger, before):
        while self.expires_at(ledger, "m") <= before:
            time.sleep(RENEWED_EVERY / 5)

    def let_it_renew(self):
        time.sleep(4 * RENEWED_EVERY)

    @pytest.mark.parametrize(
        "sql",
        [
            "UPDATE entries SET body = '{}'",
            "UPDATE entries SET seq = 7",
            "DELETE FROM entries",
            "UPDATE head SET seq = 0",
            "DELETE FROM head",
            "UPDATE leases SET epoch = 0",
            "DELETE FROM leases",
        ],
    )
    def test_the_database_itself_refuses_to_rewrite_the_past(self, ledger, lease, sql):
        ledger.append("snapshot", "key", {"a": 1}, lease)
        with pytest.raises((sqlite3.IntegrityError, psycopg.errors.RestrictViolation)):
            self.query(ledger, sql)
        assert ledger.verify().ok

    def test_another_opening_of_the_ledger_sees_what_was_written(self, ledger, lease, url):
        entry = ledger.append("snapshot", "key", {"a": 1}, lease)
        again = open_ledger(url, 600)
        assert again.find("key") == entry
        again.close()

    def test_a_conflict_names_what_differs_and_is_bounded(self, ledger, lease):
        ledger.append("snapshot", "key", {"same": 1, "deep": {"x": [1]}, "gone": 0}, lease)
        body = {"same": 1, "deep": {"x": [2]}, **{f"new{n}": "v" * 1000 for n in range(1000)}}
        with pytest.raises(Exception, match=r"deep\.x") as raised:
            ledger.append("snapshot", "key", body, lease)
        assert "gone" in str(raised.value)
        assert len(str(raised.value)) < 2000

    def test_a_wrong_clock_of_the_process_changes_nothing(self, ledger, lease, monkeypatch):
        monkeypatch.setattr(time, "time", lambda: 0.0)
        monkeypatch.setattr(time, "monotonic", lambda: 0.0)
        entry = ledger.append("snapshot", "key", {}, lease)
        assert entry.at.year > 2000
        with pytest.raises(Exception, match="at work"):
            ledger.acquire("m", "m/other")


class TestSqliteLedger(SqlLedgerContract):
    @pytest.fixture
    def url(self, tmp_path):
        return f"sqlite:///{tmp_path / 'new folder' / 'ledger.db'}"

    def query(self, ledger, sql):
        path = ledger._database.url.database
        connection = sqlite3.connect(path, isolation_level=None, timeout=30)
        try:
            return connection.execute(sql).fetchall()
        finally:
            connection.close()

    @pytest.mark.parametrize("mode", ["REPLACE", "IGNORE"])
    def test_an_entry_cannot_be_replaced_by_an_insert(self, ledger, lease, mode):
        ledger.append("snapshot", "key", {"a": 1}, lease)
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            self.query(
                ledger,
                f"INSERT OR {mode} INTO entries SELECT seq, at, model, kind, key, '{{}}', "
                "previous_hash, hash FROM entries",
            )
        assert ledger.verify().ok


@pytest.mark.needs_postgres
class TestPostgresLedger(SqlLedgerContract):
    @pytest.fixture
    def url(self, postgres_database):
        return postgres_database

    def query(self, ledger, sql):
        url = ledger._database.url.set(drivername="postgresql")
        with psycopg.connect(make_url(url).render_as_string(hide_password=False)) as connection:
            cursor = connection.execute(sql)
            return cursor.fetchall() if cursor.description else []

    @pytest.mark.parametrize("table", ["entries", "head", "leases"])
    def test_a_table_cannot_be_truncated(self, ledger, lease, table):
        ledger.append("snapshot", "key", {"a": 1}, lease)
        with pytest.raises(psycopg.errors.RestrictViolation):
            self.query(ledger, f"TRUNCATE {table}")
        assert ledger.verify().ok
