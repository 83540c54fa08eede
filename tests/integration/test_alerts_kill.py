"""Whoever writes, takes in and delivers is killed again and again: nothing is lost or told twice."""

from __future__ import annotations

import os

import pytest

from evergreen.failpoints import EXIT_CODE
from evergreen.ledger import open_ledger
from tests.contracts.web_server import web_server
from tests.integration import alerts_process as child
from tests.integration.ledger_process import CONTEXT, said

ROUNDS = 12


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.needs_postgres)])
def url(request, tmp_path):
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'ledger.db'}"
    return request.getfixturevalue("postgres_database")


@pytest.mark.timeout(300)
def test_nothing_is_lost_or_doubled_however_often_somebody_is_killed(url, tmp_path):
    came = child.rounds_of(url, ROUNDS, tmp_path / "written")
    assert came.killed >= ROUNDS / 3
    assert came.notices >= ROUNDS / 2
    assert (came.lost, came.doubled, came.unheard, came.chain_ok) == (0, 0, 0, True)


def fail_at(name, url, port, written):
    os.environ["EVERGREEN_FAIL"] = name
    child.tell(url, port, 1, 0, written)


@pytest.mark.parametrize(
    ("name", "arrived_before"),
    [("deliver.claimed", 0), ("deliver.sent", 1), ("outbox.before_commit", 0)],
)
def test_a_kill_at_a_named_place_leaves_the_message_to_the_next(url, tmp_path, name, arrived_before):
    ledger = open_ledger(url, 600)
    with web_server() as server:
        arguments = (name, url, server.port, tmp_path / "written")
        process = CONTEXT.Process(target=fail_at, args=arguments, daemon=True)
        process.start()
        process.join(child.PATIENCE_SECONDS)
        assert process.exitcode == EXIT_CODE
        assert len(server.requests) == arrived_before
        assert len(said(tmp_path / "written")) == child.NOTICES
        assert list(ledger.entries(kind="told")) == []
        child.finish(ledger, server)
        keys = {(one.path, one.headers["webhook-id"]) for one in server.requests}
        assert len(keys) == 2 * child.NOTICES
        assert len(server.requests) == len(keys) + arrived_before
    assert len(list(ledger.entries(kind="told"))) == 2 * child.NOTICES
    ledger.close()
