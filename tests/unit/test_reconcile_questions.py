"""A pass closes a question whose time is over, and leaves a run alone that waits for people."""

from __future__ import annotations

from datetime import timedelta

from evergreen import steps
from evergreen.approval_results import Answer
from evergreen.steps.approve import answer
from tests.fakes.bench import Bench, pinned
from tests.unit.reconcile_bench import bench, came, clock, once, silent

__all__ = ["bench", "clock"]


def waiting(bench: Bench, run: str = "cli/one", **approval: object) -> str:
    model = pinned(release={"approval": {"timeout": "1 day", "approvers": ["bob"], **approval}})
    key = bench.begin(run, model=model)
    bench.until_trained(key)
    bench.good(key)
    steps.approve.ask(bench.workspace, key)
    return key


def test_a_run_that_waits_for_people_or_was_just_approved_is_left_alone(bench, clock):
    key = waiting(bench)
    clock.wait(timedelta(hours=20))
    silent(bench)
    answer(bench.ledger, key, Answer("approve", "bob", "cli", clock(), "fine"))
    clock.wait(timedelta(hours=20))
    silent(bench)
    clock.wait(timedelta(hours=20))
    assert came(once(bench)) == [("abandoned_run", "mended")]


def test_a_question_whose_time_is_over_is_closed_and_its_run_with_it(bench, clock):
    waiting(bench)
    clock.wait(timedelta(days=2))
    done = once(bench)
    assert came(done) == [("overdue_question", "mended"), ("abandoned_run", "mended")]
    assert done.dealt[1].finding.does == "it is closed as kept"
    (answered,) = bench.ledger.bodies("approval_answered")
    assert answered["answer"] == "timeout"
    (report,) = bench.ledger.bodies("run_finished")
    assert (report["outcome"], report["abandoned"]) == ("kept", False)


def test_a_run_that_was_over_and_asked_anew_is_closed_with_what_came_of_that(bench, clock):
    key = waiting(bench)
    steps.report(bench.workspace, key, "it failed")
    steps.approve.ask(bench.workspace, key)
    clock.wait(timedelta(days=2))
    assert came(once(bench)) == [("overdue_question", "mended"), ("abandoned_run", "mended")]
    assert [one["outcome"] for one in bench.ledger.bodies("run_finished")][-1] == "kept"
    silent(bench)


def test_a_question_that_silence_answers_ends_with_its_run_once_airflow_has_no_such_run(bench, clock):
    key = waiting(bench, "scheduled__1", on_timeout="release")
    clock.wait(timedelta(days=2))
    silent(bench)
    silent(bench, wake=nobody, run_ended=lambda run_key: False)
    assert came(once(bench, wake=nobody)) == [("abandoned_run", "mended")]
    (report,) = bench.ledger.bodies("run_finished")
    assert (report["run_key"], report["outcome"]) == (key, "failed")
    assert bench.ledger.bodies("release_intended") == []
    silent(bench, wake=nobody)


def nobody(*_: object) -> None:
    raise AssertionError("there is nobody to wake")
