"""PostgreSQL's own ways to fail: connections lost around a commit, sessions ended, no answer."""

from __future__ import annotations

import os
import random
import re
import signal
import socket
import threading
import time
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import make_url, text
from sqlalchemy.exc import DBAPIError
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

from evergreen.errors import LeaseHeld, LedgerError, LedgerUnavailable
from evergreen.ledger import migrations, open_ledger
from tests.integration import ledger_process as child

pytestmark = pytest.mark.needs_postgres

PATIENCE = 120


@pytest.fixture
def url(postgres_database):
    return postgres_database


def admin(url):
    libpq = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    return psycopg.connect(libpq, autocommit=True)


class Proxy:
    """Forwards bytes to the server; drops the connection around the next COMMIT where asked to."""

    def __init__(self, url):
        parsed = make_url(url)
        self._target = (parsed.host, parsed.port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = parsed.set(port=self._listener.getsockname()[1]).render_as_string(False)
        self.drop = None
        self.dropped = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        self._listener.close()

    def _accept(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(self._target)
            threading.Thread(target=self._to_server, args=(client, server), daemon=True).start()
            threading.Thread(target=self._to_client, args=(server, client), daemon=True).start()

    def _to_server(self, client, server):
        with client, server:
            while data := self._received(client):
                if b"COMMIT" in data and self.drop:
                    when, self.drop = self.drop, None
                    self.dropped += 1
                    if when == "before":
                        break
                    client.shutdown(socket.SHUT_WR)  # the server's answer finds nobody
                    server.sendall(data)
                    time.sleep(0.2)
                    break
                server.sendall(data)

    def _to_client(self, server, client):
        while data := self._received(server):
            try:
                client.sendall(data)
            except OSError:
                return

    @staticmethod
    def _received(sender):
        try:
            return sender.recv(65536)
        except OSError:
            return b""


@pytest.mark.parametrize("when", ["before", "after"])
def test_an_entry_is_written_once_where_the_connection_is_lost_around_its_commit(url, when):
    with closing(Proxy(url)) as proxy:
        ledger = open_ledger(proxy.url, 600)
        lease = ledger.acquire("m", "m/run")
        proxy.drop = when
        entry = ledger.append("release", "release/m", {"v": 1}, lease, expected_release=None)
        assert proxy.dropped == 1
        ledger.close()
    direct = open_ledger(url, 600)
    assert list(direct.entries()) == [entry]
    assert direct.verify().ok
    direct.close()


def test_a_lease_is_had_where_the_connection_is_lost_around_its_commit(url):
    with closing(Proxy(url)) as proxy:
        ledger = open_ledger(proxy.url, 600)
        proxy.drop = "after"
        lease = ledger.acquire("m", "m/run")
        assert proxy.dropped == 1
        assert ledger.append("snapshot", "key", {}, lease).seq == 1
        ledger.close()


def end_sessions(connection):
    connection.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )


def test_a_writer_whose_sessions_are_ended_again_and_again_loses_and_doubles_nothing(url):
    ledger = open_ledger(url, 600)
    lease = ledger.acquire("m", "m/run")
    rng = random.Random(7)
    written = threading.Semaphore(0)

    def end_sessions_now_and_then():
        with admin(url) as connection:
            for _ in range(20):
                written.acquire()
                time.sleep(rng.random() * 0.004)
                end_sessions(connection)

    thread = threading.Thread(target=end_sessions_now_and_then, daemon=True)
    thread.start()
    for number in range(60):
        ledger.append("snapshot", f"s/{number}", {"n": number}, lease)
        written.release()
    thread.join()
    assert [entry.body["n"] for entry in ledger.entries()] == list(range(60))
    assert ledger.verify().ok
    ledger.close()


def test_a_session_ended_by_a_restart_is_replaced_without_a_word(url):
    ledger = open_ledger(url, 600)
    lease = ledger.acquire("m", "m/run")
    with admin(url) as connection:
        end_sessions(connection)
    assert ledger.append("snapshot", "key", {}, lease).seq == 1
    ledger.close()


def test_the_server_frees_the_ledger_of_a_writer_that_stopped_and_the_writer_goes_on_later(
    url, tmp_path
):
    told = tmp_path / "told"
    stopped = child.start(child.append_once_stopping_before_commit, url, 0.2, told)
    child.await_stopped(stopped)
    ledger = open_ledger(url, 600)
    lease = ledger.acquire("other", "other/run")
    assert ledger.append("snapshot", "snapshot/other", {}, lease).seq == 1
    os.kill(stopped.pid, signal.SIGCONT)
    stopped.join(PATIENCE)
    assert child.said(told) == [["appended", 2]]
    assert [entry.key for entry in ledger.entries()] == ["snapshot/other", "snapshot/m/run"]
    assert ledger.verify().ok
    ledger.close()


def test_a_lease_expires_by_the_clock_of_the_database(url):
    ledger = open_ledger(url, 0.2)
    ledger.acquire("m", "m/run")
    until_expired = Retrying(
        retry=retry_if_exception_type(LeaseHeld),
        wait=wait_fixed(0.05),
        stop=stop_after_delay(PATIENCE),
        reraise=True,
    )
    assert until_expired(ledger.acquire, "m", "m/other").epoch == 2
    ledger.close()


def test_a_wrong_password_or_database_is_unavailable_without_showing_the_password(url):
    parsed = make_url(url)
    for wrong in (parsed.set(password="not-the-password"), parsed.set(database="nowhere")):
        with pytest.raises(LedgerUnavailable, match=r"authentication failed|does not exist") as raised:
            open_ledger(wrong.render_as_string(hide_password=False), 600, wait_seconds=0.1)
        assert str(wrong.password) not in str(raised.value)


def test_a_server_that_accepts_and_never_answers_is_unavailable_and_not_a_hang(url):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        mute = make_url(url).set(host="127.0.0.1", port=silent.getsockname()[1])
        with pytest.raises(LedgerUnavailable, match="timeout"):
            open_ledger(mute.render_as_string(hide_password=False), 600, wait_seconds=0.1)


@pytest.fixture
def grants():
    """The rights that the documentation says a writer needs, one statement each."""
    page = Path(__file__).parents[2] / "docs" / "explanation" / "ledger.md"
    (block,) = re.findall(r"```sql\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    return block.strip().splitlines()


@contextmanager
def role_with(url, grants):
    """Make a role with these rights only; give the ledger's URL for it."""
    open_ledger(url, 600).close()
    parsed = make_url(url)
    role = f"role_{parsed.database}"
    with admin(url) as connection:
        connection.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'its-password'")
        for grant in grants:
            connection.execute(grant.replace("TO evergreen;", f"TO {role}"))
    try:
        own = parsed.set(username=role, password="its-password")
        yield own.render_as_string(hide_password=False)
    finally:
        with admin(url) as connection:
            connection.execute(f"DROP OWNED BY {role}")
            connection.execute(f"DROP ROLE {role}")


def test_the_documented_rights_are_enough_to_write(url, grants):
    with role_with(url, grants) as own:
        ledger = open_ledger(own, 600)
        lease = ledger.acquire("m", "m/run")
        ledger.append("release", "release/m", {}, lease, expected_release=None)
        ledger.free(lease)
        assert ledger.verify().count == 1
        ledger.close()


def test_an_auditors_rights_are_enough_to_verify_and_a_write_says_what_is_missing(url, grants):
    with role_with(url, grants[:1]) as own:
        ledger = open_ledger(own, 600)
        assert ledger.verify().ok
        with pytest.raises(LedgerError, match="give this user the right") as raised:
            ledger.acquire("m", "m/run")
        assert not raised.value.retryable
        ledger.close()


def test_options_of_the_url_are_kept_beside_ours(url):
    own = make_url(url).update_query_dict({"options": "-c application_name=mine"})
    ledger = open_ledger(own.render_as_string(hide_password=False), 600)
    with ledger._database.reading() as connection:
        names = ("application_name", "lock_timeout", "synchronous_commit")
        found = [connection.exec_driver_sql(f"SHOW {name}").scalar() for name in names]
    ledger.close()
    assert found == ["mine", "10s", "on"]


def test_a_migration_may_take_longer_than_any_other_statement(url, monkeypatch):
    """An index over millions of entries does."""
    real = migrations.upgrade

    def slow(connection):
        connection.execute(text("SELECT pg_sleep(1)"))
        real(connection)

    monkeypatch.setattr(migrations, "upgrade", slow)
    ledger = open_ledger(url, 600, wait_seconds=0.1)
    lease = ledger.acquire("m", "m/run")
    assert ledger.append("snapshot", "snapshot/m", {}, lease).seq == 1
    with ledger._database.reading() as connection, pytest.raises(DBAPIError, match="timeout"):
        connection.execute(text("SELECT pg_sleep(1)"))
    ledger.close()
