"""The step that asks people: whether it asks, what it holds meanwhile, and where that is told."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from evergreen import steps
from evergreen.approval_questions import standing
from evergreen.approval_results import Answered, NotNeeded
from evergreen.errors import ApprovalMissing, LeaseHeld
from evergreen.ledger.questions import as_of, history, reasoning
from evergreen.results import Release, from_json
from evergreen.steps import approve, memory, requests
from evergreen.watch_questions import past_requests
from evergreen.watch_results import RetrainRequest
from tests.fakes.bench import APRIL, MARCH, Bench, pinned
from tests.unit.approve_bench import NAMED, ask, bench, ended, say, won

__all__ = ["bench"]


def test_a_version_is_released_once_somebody_has_agreed_and_the_report_names_them(bench: Bench):
    key = won(bench, triggered_by="carol", release=NAMED)
    asked = ask(bench, key)
    assert (asked.number, asked.version, asked.champion_version) == (1, 1, None)
    assert asked.approvers == ("alice", "bob")
    assert asked.triggered_by == "carol"
    assert asked.deadline - asked.asked_at == timedelta(days=2)
    assert bench.serving() is None
    answered = say(bench, key, reason="good")
    assert approve.ask(bench.workspace, key) == answered
    report = ended(bench, key)
    assert report.outcome == "promoted"
    assert any("approved by alice: good" in line for line in report.lines)
    assert bench.serving() == 1


def test_the_lease_is_given_back_while_a_run_waits_and_taken_again_after(bench: Bench):
    key = won(bench)
    assert bench.ledger.holder("churn") == key
    ask(bench, key)
    assert bench.ledger.holder("churn") is None
    other = won(bench, "two", APRIL, 0.95, tier="medium")
    say(bench, key)
    with pytest.raises(LeaseHeld):
        approve.ask(bench.workspace, key)
    ended(bench, other)
    assert standing(bench.ledger, key).answered is not None, "the answer was not lost meanwhile"
    approve.ask(bench.workspace, key)


@pytest.mark.parametrize("model", [{"tier": "medium"}, {"tier": "low"}])
def test_a_model_that_asks_for_no_approval_is_released_without(bench: Bench, model: dict[str, Any]):
    key = won(bench, **model)
    told = approve.ask(bench.workspace, key)
    assert isinstance(told, NotNeeded)
    assert told.goes_on
    assert ended(bench, key).outcome == "promoted"


def test_nobody_is_asked_where_nothing_is_to_be_released(bench: Bench):
    key = won(bench, wish="never")
    told = approve.ask(bench.workspace, key)
    assert isinstance(told, NotNeeded)
    assert not told.goes_on
    assert ended(bench, key).outcome == "registered"
    assert bench.ledger.bodies("approval_asked") == []


def test_an_unopposed_run_is_asked_about_all_the_same(bench: Bench):
    bench.whole("one", MARCH, 0.9)
    key = won(bench, "two", APRIL, 0.8, wish="unopposed")
    assert ask(bench, key).champion_version == 1


def test_nobody_is_asked_where_the_champion_is_kept(bench: Bench):
    bench.whole("one", MARCH, 0.9)
    key = won(bench, "two", APRIL, 0.6)
    told = approve.ask(bench.workspace, key)
    assert isinstance(told, NotNeeded)
    assert not told.goes_on
    assert ended(bench, key).outcome == "kept"


def test_a_release_that_nobody_was_asked_about_is_an_error_that_says_what_to_do(bench: Bench):
    key = won(bench)
    with pytest.raises(ApprovalMissing, match=r"nobody was asked.*clear the run's task approve"):
        steps.release(bench.workspace, key)
    assert bench.serving() is None
    assert bench.ledger.bodies("release_intended") == []
    assert steps.report(bench.workspace, key).outcome == "failed"


def test_a_waiting_run_keeps_the_request_that_it_serves(bench: Bench):
    request = RetrainRequest("churn/monitor/1", MARCH, "x drifted", "watch")
    requests.ask(bench.workspace, request, bench.ledger.acquire("churn", request.key, "monitor"))
    key = "churn/one"
    steps.resolve_window(
        bench.workspace,
        run_key=key,
        model=pinned(tier="high"),
        as_of=MARCH,
        reason="woken",
        release="auto",
        serves="newest",
    )
    bench.until_trained(key)
    bench.good(key)
    asked = ask(bench, key)
    woken = steps.resolve_window(
        bench.workspace,
        run_key="churn/two",
        model=pinned(tier="high"),
        as_of=APRIL,
        reason="woken again",
        release="auto",
        serves="newest",
    )
    assert woken.outcome == "skipped"
    steps.report(bench.workspace, "churn/two")
    approve.ask(bench.workspace, key, asked.deadline)
    ended(bench, key)
    (past,) = past_requests(bench.ledger, "churn")
    assert (past.taken_by, past.outcome) == (key, "kept")


def test_history_explain_and_as_of_tell_who_agreed(bench: Bench):
    key = won(bench)
    ask(bench, key)
    (run,) = history(bench.ledger, "churn")
    assert run.decision == "unfinished"
    assert run.asked is not None
    assert run.answered is None
    say(bench, key, reason="good")
    ended(bench, key)
    (run,) = history(bench.ledger, "churn")
    assert run.answered is not None
    assert (run.decision, run.answered.who) == ("promoted", "alice")
    then = as_of(bench.ledger, "churn", datetime.now(UTC))
    assert then is not None
    assert then.approval is not None
    assert from_json(Answered, then.approval.body).who == "alice"
    found = reasoning(bench.ledger, "churn")
    assert found.approval == then.approval
    assert memory.need(bench.workspace, "release", key, Release).version.number == 1


def test_a_summary_of_a_run_that_waits_says_whom_it_asks_and_how_to_answer(bench: Bench):
    from evergreen.steps.summary import summarise

    key = won(bench, triggered_by="carol", release=NAMED)
    asked = ask(bench, key)
    told = summarise(bench.workspace, key)
    assert told.outcome == "waiting"
    assert "waits for the approval of alice or bob (not carol)" in told.summary
    assert told.summary.endswith(f"evidence {asked.evidence[:12]}): evergreen approve {key})")


@pytest.mark.parametrize("approval", [{}, {"approvers": ["alice"]}])
def test_a_replay_takes_the_word_of_people_as_given(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, approval: dict[str, Any]
):
    from evergreen.replay.retrain import retrain

    train = steps.train

    def train_well(workspace: Any, key: str) -> Any:
        trained = train(workspace, key)
        bench.good(key)
        return trained

    monkeypatch.setattr(steps, "train", train_well)
    model = pinned(tier="high", release={"approval": approval})
    told = retrain(bench.workspace, model, MARCH, "schedule", "monthly")
    assert (told.outcome, told.version) == ("promoted", 1)
    (answered,) = bench.ledger.bodies("approval_answered")
    assert answered["how"] == "replay"
