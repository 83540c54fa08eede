"""A pass has waiting requests served, ends those whose run is over, and tells of those stuck."""

from __future__ import annotations

from datetime import timedelta

import pytest

from evergreen import steps
from evergreen.hand import Deed
from evergreen.reconcile_results import WAKE_AFTER
from evergreen.steps import hand, memory, requests
from evergreen.steps.reconcile.circumstances import STUCK_AFTER
from evergreen.watch_results import RequestTaken, RetrainRequest
from tests.fakes.bench import APRIL, MARCH
from tests.unit.reconcile_bench import (
    GRACE,
    MINUTE,
    ask,
    bench,
    came,
    clock,
    once,
    outcomes,
    request,
    serve,
    silent,
)

__all__ = ["bench", "clock"]


def test_a_request_whose_run_ended_and_did_not_close_it_is_closed_as_the_run_ended(bench, monkeypatch):
    ask(bench, request())
    key = serve(bench)
    with monkeypatch.context() as patched:
        patched.setattr(requests, "close", lambda *_: None)
        steps.report(bench.workspace, key, "the node died")
    assert outcomes(bench) == [None]
    assert came(once(bench)) == [("unended_request", "mended")]
    assert outcomes(bench) == ["failed"]
    silent(bench)


def test_a_request_that_no_run_serves_wakes_the_retrain_until_one_does_and_is_written_once(bench, clock):
    ask(bench, request(MARCH), request(APRIL))
    woken: list[RetrainRequest] = []
    silent(bench, wake=lambda one, _: woken.append(one))
    clock.wait(WAKE_AFTER)
    for _ in range(3):
        assert came(once(bench, wake=lambda one, _: woken.append(one))) == [
            ("unserved_request", "mended")
        ]
    assert woken == [request(APRIL)] * 3
    assert len(bench.ledger.bodies("reconciled")) == 1
    serve(bench)
    silent(bench, wake=lambda one, _: woken.append(one))


def test_where_nobody_can_be_woken_the_command_is_said_and_nothing_is_written(bench, clock):
    ask(bench, request())
    clock.wait(WAKE_AFTER)
    before = len(bench.ledger.rows)
    done = once(bench)
    assert came(done) == [("unserved_request", "left")]
    assert done.dealt[0].finding.command == "evergreen run churn --requested"
    assert len(bench.ledger.rows) == before


def test_a_paused_retrain_is_not_woken(bench, clock):
    ask(bench, request())
    hand.do(bench.workspace, "churn", Deed("pause", "bob", "holidays", only="retrain"))
    clock.wait(WAKE_AFTER)
    silent(bench, wake=lambda *_: pytest.fail("it is paused"))


def test_a_request_of_abandoned_runs_is_served_anew_thrice_and_then_failed(bench, clock):
    ask(bench, request())
    woken: list[RetrainRequest] = []
    for number in (1, 2):
        serve(bench, f"run {number}")
        clock.wait(GRACE + MINUTE)
        done = once(bench, wake=lambda one, _: woken.append(one), stuck_after=timedelta(days=9))
        assert came(done) == [("abandoned_run", "mended"), ("unserved_request", "mended")]
        assert outcomes(bench) == [None]
    serve(bench, "run 3")
    clock.wait(GRACE + MINUTE)
    assert came(once(bench, wake=lambda one, _: woken.append(one))) == [("abandoned_run", "mended")]
    assert outcomes(bench) == ["failed"]
    assert len(woken) == 2


def test_a_run_killed_right_after_it_took_a_request_is_closed_and_the_request_served_anew(bench, clock):
    ask(bench, request())
    lease = bench.ledger.acquire("churn", "churn/woken")
    taken = RequestTaken(request().key, "churn/woken")
    memory.record_next(bench.workspace, "request_taken", "churn/woken", taken, lease)
    clock.wait(GRACE + MINUTE)
    woken: list[RetrainRequest] = []
    assert came(once(bench, wake=lambda one, _: woken.append(one)))[0] == ("abandoned_run", "mended")
    assert woken == [request()]


def test_a_request_older_than_any_should_become_is_told_once_whoever_is_at_work(bench, clock):
    ask(bench, request())
    serve(bench)
    clock.wait(STUCK_AFTER)
    bench.ledger.acquire("churn", "churn/woken")
    for _ in range(2):
        done = once(bench)
        assert came(done) == [("stuck_request", "told")]
        assert "run churn/woken took it" in done.dealt[0].finding.words
    (told,) = bench.ledger.bodies("reconciled")
    assert told["command"] == "evergreen run churn --requested"


def test_a_stuck_request_of_a_paused_model_says_who_paused_it(bench, clock):
    ask(bench, request())
    hand.do(bench.workspace, "churn", Deed("pause", "bob", "holidays", only="retrain"))
    clock.wait(STUCK_AFTER)
    (one,) = once(bench).dealt
    assert one.finding.kind == "stuck_request"
    assert "paused by bob" in one.finding.words


def test_a_request_of_a_run_that_was_killed_and_then_paused_is_served_anew_once_that_is_over(
    bench, clock
):
    ask(bench, request())
    lease = bench.ledger.acquire("churn", "churn/woken")
    taken = RequestTaken(request().key, "churn/woken")
    memory.record_next(bench.workspace, "request_taken", "churn/woken", taken, lease)
    hand.do(bench.workspace, "churn", Deed("pause", "bob", "holidays", only="retrain"))
    with pytest.raises(AssertionError):
        serve(bench)  # it is skipped
    assert steps.report(bench.workspace, "churn/woken").outcome == "skipped"
    clock.wait(GRACE + MINUTE)
    silent(bench, wake=lambda *_: pytest.fail("it is paused"))
    hand.do(bench.workspace, "churn", Deed("resume", "bob", "back"))
    woken: list[RetrainRequest] = []
    assert came(once(bench, wake=lambda one, _: woken.append(one))) == [("unserved_request", "mended")]
    assert woken == [request()]
