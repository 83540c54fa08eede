"""Writers are killed, stopped and raced: nothing acknowledged is lost, nothing is written twice."""

from __future__ import annotations

import os
import random
import shutil
import signal
import tempfile
import time
from pathlib import Path

import pytest
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

from evergreen.errors import LeaseHeld, LedgerUnavailable
from evergreen.ledger import open_ledger
from tests.integration import ledger_process as child

PATIENCE = 120


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.needs_postgres)])
def url(request, tmp_path):
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'ledger.db'}"
    return request.getfixturevalue("postgres_database")


@pytest.fixture
def told(tmp_path):
    return tmp_path / "told"


@pytest.fixture
def ledger(url):
    ledger = open_ledger(url, 600, wait_seconds=0.5)
    yield ledger
    ledger.close()


def ended(process):
    process.join(PATIENCE)
    assert process.exitcode is not None
    return process.exitcode


@pytest.mark.parametrize("writers", [2, 4])
def test_writers_at_once_make_one_chain_without_gaps(url, told, writers):
    processes = [child.start(child.write, url, f"m{n}", 0, 25, told) for n in range(writers)]
    assert [ended(process) for process in processes] == [0] * writers
    ledger = open_ledger(url, 600)
    audit = ledger.verify()
    assert (audit.ok, audit.count) == (True, 25 * writers)
    assert [entry.seq for entry in ledger.entries()] == list(range(1, 25 * writers + 1))
    ledger.close()


def test_what_was_acknowledged_before_a_kill_is_there_once_and_the_chain_verifies(url, told):
    rng = random.Random(7)
    open_ledger(url, 600).close()
    first = 0
    for round_ in range(15):
        heard = len(child.said(told))
        processes = [child.start(child.write, url, f"m{n}", first, 10_000, told) for n in (0, 1)]
        while len(child.said(told)) < heard + 4:
            assert all(process.is_alive() for process in processes)
            time.sleep(0.005)
        for process in processes:
            time.sleep(rng.random() * 0.03)
            os.kill(process.pid, signal.SIGKILL)
            assert ended(process) == -signal.SIGKILL
        first = (round_ + 1) * 10_000
    ledger = open_ledger(url, 600)
    audit = ledger.verify()
    stored = {(entry.seq, entry.key, entry.hash) for entry in ledger.entries()}
    acknowledged = {tuple(line) for line in child.said(told)}
    assert audit.ok
    assert audit.count == len(stored)
    assert len(acknowledged) >= 60
    assert acknowledged <= stored
    assert len(stored) <= len(acknowledged) + 30
    ledger.close()


def test_a_process_stopped_past_its_lease_and_woken_changes_nothing(url, told):
    lease_seconds = 0.5
    zombie = child.start(child.hold_a_short_lease_stop_and_append, url, lease_seconds, told)
    child.await_stopped(zombie)
    ledger = open_ledger(url, lease_seconds)
    until_expired = Retrying(
        retry=retry_if_exception_type(LeaseHeld),
        wait=wait_fixed(0.05),
        stop=stop_after_delay(PATIENCE),
        reraise=True,
    )
    lease = until_expired(ledger.acquire, "m", "m/successor")
    released = ledger.append("release", "release/successor", {}, lease, expected_release=None)
    os.kill(zombie.pid, signal.SIGCONT)
    assert ended(zombie) == 0
    assert child.said(told) == [["LeaseLost"]]
    assert list(ledger.entries()) == [released]
    assert ledger.verify().ok
    ledger.close()


def test_a_writer_stopped_inside_a_transaction_makes_others_fail_and_not_hang(url, ledger, told):
    stopped = child.start(child.append_once_stopping_before_commit, url, 10.0, told)
    child.await_stopped(stopped)
    began = time.monotonic()
    with pytest.raises(LedgerUnavailable):
        ledger.acquire("other", "other/run")
    assert ledger.find("snapshot/m/run") is None, "what is not committed is not seen"
    waited = time.monotonic() - began
    os.kill(stopped.pid, signal.SIGKILL)
    assert ended(stopped) == -signal.SIGKILL
    assert waited >= 0.4
    lease = retried(lambda: ledger.acquire("other", "other/run"))
    assert ledger.append("snapshot", "snapshot/other", {}, lease).seq == 1
    assert ledger.verify().ok


def retried(call):
    """Call again what the ledger says may pass, as Airflow's retries do."""
    again = Retrying(
        retry=retry_if_exception_type(LedgerUnavailable), stop=stop_after_delay(PATIENCE), reraise=True
    )
    return again(call)


@pytest.mark.parametrize(
    ("name", "there"), [("ledger.before_commit", False), ("ledger.after_commit", True)]
)
def test_a_kill_around_the_commit_leaves_the_entry_whole_or_absent(url, ledger, told, name, there):
    killed = child.start(child.append_once_dying_at, name, url, 10.0, told)
    assert ended(killed) == 137
    assert (ledger.find("snapshot/m/run") is not None) is there
    retry = child.start(child.append_once, url, 10.0, told)
    assert ended(retry) == 0
    assert child.said(told) == [["appended", 1]]
    audit = ledger.verify()
    assert (audit.ok, audit.count) == (True, 1)


def test_a_kill_within_a_migration_leaves_nothing_half_made(url, told):
    killed = child.start(child.append_once_dying_at, "ledger.before_migrated", url, 10.0, told)
    assert ended(killed) == 137
    retry = child.start(child.append_once, url, 10.0, told)
    assert ended(retry) == 0
    assert child.said(told) == [["appended", 1]]


def test_processes_opening_a_new_ledger_at_once_all_find_it_made(url, told):
    moment = time.time() + 0.5
    processes = [child.start(child.open_at, moment, url, told) for _ in range(4)]
    assert [ended(process) for process in processes] == [0] * 4
    assert child.said(told) == [["opened"]] * 4
    ledger = open_ledger(url, 600)
    assert ledger.verify().ok
    ledger.close()


def test_of_runs_racing_for_a_lease_one_gets_it(url, ledger, told):
    moment = time.time() + 0.5
    processes = [child.start(child.acquire_at, moment, url, f"m/{n}", told) for n in range(4)]
    assert [ended(process) for process in processes] == [0] * 4
    assert sorted(child.said(told)) == [["LeaseHeld"]] * 3 + [["acquired", 1]]


def test_retries_of_one_run_racing_for_its_lease_get_epochs_of_their_own(url, ledger, told):
    moment = time.time() + 0.5
    processes = [child.start(child.acquire_at, moment, url, "m/run", told) for _ in range(4)]
    assert [ended(process) for process in processes] == [0] * 4
    assert sorted(child.said(told)) == [["acquired", epoch] for epoch in range(1, 5)]


def test_a_ledger_that_its_user_may_not_write_is_a_clear_error_and_left_alone():
    folder = Path(tempfile.mkdtemp())
    try:
        path = folder / "ledger.db"
        open_ledger(f"sqlite:///{path}", 600).close()
        before = path.read_bytes()
        path.chmod(0o444)
        folder.chmod(0o555)
        ours, theirs = child.CONTEXT.Pipe()
        process = child.start(child.open_as_nobody, f"sqlite:///{path}", theirs)
        assert ended(process) == 0
        answer = ours.recv()
        assert answer.startswith("LedgerError")
        assert "give this user the right to write the ledger" in answer
        assert path.read_bytes() == before
    finally:
        folder.chmod(0o755)
        shutil.rmtree(folder)
