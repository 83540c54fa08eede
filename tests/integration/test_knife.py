"""A part of what `make knife` does: calls cut off one at a time, and nothing lost.

The whole of it takes hours; this takes the ledger's operations and a few steps in a minute.
"""

from __future__ import annotations

import os

import pytest

from tests.knife import strace
from tests.knife.__main__ import table
from tests.knife.plan import Order, Part, worked


@pytest.fixture(scope="module", autouse=True)
def traced() -> None:
    """Skip where no process can be taken hold of; fail there when the environment variable CI is set."""
    why = strace.missing()
    if why is None:
        return
    if os.environ.get("CI"):
        pytest.fail(why)
    pytest.skip(why)


def check(parts: list[Part], least: int) -> None:
    tried = [one for part in parts for one in part.tried]
    assert not [one for one in tried if one.broken], table(parts, 1, 0)
    assert len(tried) >= least
    unmet = [one for one in tried if not one.met]
    assert len(unmet) <= len(tried) // 20, f"these cuts met nothing of ours: {unmet}"


@pytest.mark.timeout(600)
def test_an_append_killed_at_any_of_its_calls_loses_nothing(tmp_path):
    parts = worked(Order("ledger", "sqlite", tmp_path / "bench", ("acquire", "append"), ("kill",)))
    check(parts, 80)
    assert [part.points for part in parts] == [len(part.tried) for part in parts], "all of them"


@pytest.mark.timeout(600)
def test_taking_a_lease_on_a_disk_that_fails_at_any_call_is_tried_again_or_passes(tmp_path):
    parts = worked(Order("ledger", "sqlite", tmp_path / "bench", ("acquire",), ("eio",)))
    check(parts, 20)


@pytest.mark.timeout(600)
def test_ledger_operations_cut_off_at_some_of_their_calls_lose_nothing(tmp_path):
    asked = ("migrate", "append", "free", "note", "take_in", "claim")
    parts = worked(Order("ledger", "sqlite", tmp_path / "bench", asked, most=3))
    check(parts, 50)
    ended = {(one.cut, one.ended) for part in parts for one in part.tried}
    assert ended >= {("kill", "killed"), ("enospc", "failed"), ("eio", "failed")}


@pytest.mark.timeout(600)
@pytest.mark.needs_postgres
def test_appends_whose_connection_server_or_process_ends_around_a_commit_lose_nothing(tmp_path):
    parts = worked(Order("ledger", "postgres", tmp_path / "bench", ("append",), most=3))
    check(parts, 15)


@pytest.mark.timeout(600)
def test_steps_cut_off_at_some_of_their_calls_and_tried_again_end_as_if_never_cut(tmp_path):
    parts = worked(Order("retrain", "sqlite", tmp_path / "bench", ("resolve_window", "ingest"), most=4))
    check(parts, 20)
