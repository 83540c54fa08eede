"""Pins and pauses: what is written down, and how the steps respect it."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from evergreen import steps
from evergreen.approval_results import Answer, Answered, Asked, NotNeeded
from evergreen.errors import DataUnusable, LeaseLost, NotAllowed, Paused, StoreUnavailable
from evergreen.hand import Deed, HandAction, Pausable
from evergreen.hand_questions import standing
from evergreen.results import RunReport
from evergreen.steps import approve, requests
from evergreen.steps.hand import Done, do
from evergreen.steps.memory import holding
from evergreen.steps.requests import open_requests
from evergreen.steps.summary import summarise
from evergreen.steps.watch.profile import profile
from evergreen.watch_results import RetrainRequest
from tests.fakes.bench import APRIL, MARCH, MAY, Bench, pinned

DAY = timedelta(days=1)
WATCHED = pinned(
    score={"schedule": "@daily", "window": "1 day"},
    monitor={"schedule": "@daily", "window": "2 days", "report": False},
)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """Version 1 as of March serves."""
    bench = Bench(tmp_path)
    bench.whole("one", MARCH, 0.6)
    return bench


def done(
    bench: Bench,
    action: HandAction,
    only: Pausable | None = None,
    who: str = "ana",
    version: int | None = None,
) -> Done:
    return do(bench.workspace, "churn", Deed(action, who, "a campaign", version, only))


def won(bench: Bench, run: str, when: datetime = APRIL, tier: str = "medium") -> str:
    """Bring a run up to its release, which it has won."""
    key = bench.begin(run, when, pinned(tier=tier))
    bench.until_trained(key)
    bench.good(key, 0.9)
    assert steps.evaluate(bench.workspace, key).promote
    steps.register(bench.workspace, key)
    return key


def test_a_pin_is_on_the_champion_and_says_who_when_and_why(bench: Bench):
    stands = done(bench, "pin").standing
    assert stands.version == 1
    assert stands.pinned is not None
    assert (stands.pinned.who, stands.pinned.why) == ("ana", "a campaign")
    assert abs(stands.pinned.since - datetime.now(UTC)) < timedelta(minutes=5)
    assert bench.ledger.bodies("hand")[0]["version"] == 1
    assert bench.ledger.verify().ok


@pytest.mark.parametrize("action", ["pin", "pause"])
def test_what_stands_already_is_not_written_again_whoever_asks(bench: Bench, action: HandAction):
    assert done(bench, action).changed
    count = len(bench.ledger.rows)
    second = done(bench, action, who="bob")
    assert not second.changed
    assert "ana" in second.standing.lines()[0]
    assert len(bench.ledger.rows) == count


@pytest.mark.parametrize("action", ["unpin", "resume"])
def test_taking_back_what_does_not_stand_writes_nothing(bench: Bench, action: HandAction):
    count = len(bench.ledger.rows)
    assert not done(bench, action).changed
    assert len(bench.ledger.rows) == count


def test_a_pause_of_one_dag_is_widened_and_narrowed(bench: Bench):
    assert done(bench, "pause", "score").changed
    assert not done(bench, "pause", "score").changed
    assert done(bench, "pause", who="bob").changed
    assert not done(bench, "pause", "monitor").changed
    assert done(bench, "resume", "monitor").changed
    assert set(standing(bench.ledger, "churn").paused) == {"retrain", "score"}
    assert done(bench, "resume").changed
    assert standing(bench.ledger, "churn").lines() == ()


def test_a_model_without_a_champion_cannot_be_pinned_but_paused(tmp_path: Path):
    bench = Bench(tmp_path)
    with pytest.raises(NotAllowed, match="no champion yet"):
        done(bench, "pin")
    assert done(bench, "pause").changed


def test_only_the_champion_can_be_pinned(bench: Bench):
    with pytest.raises(NotAllowed, match=r"version 7.*allowed: version 1.*rollback churn --to 7"):
        done(bench, "pin", version=7)
    assert done(bench, "pin", version=1).changed


def test_pinning_another_version_than_the_pinned_one_is_refused_rather_than_called_done(bench: Bench):
    done(bench, "pin")
    with pytest.raises(NotAllowed, match="only the champion"):
        done(bench, "pin", version=7)
    assert not done(bench, "pin", version=1).changed


def test_a_retrain_at_work_is_not_in_the_way_of_a_deed(bench: Bench):
    bench.begin("two", APRIL)
    assert done(bench, "pin").changed
    assert done(bench, "pause").changed
    assert bench.ledger.holder("churn") == "churn/two"


def test_a_deed_whose_process_was_killed_keeps_nobody_waiting(bench: Bench):
    bench.ledger.acquire("churn", "churn/hand", "hand")
    assert done(bench, "pin").changed


def test_of_two_people_at_once_the_second_sees_what_the_first_did(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
):
    append = bench.ledger.append

    def after_bob(*arguments, **options):
        monkeypatch.undo()
        assert done(bench, "pin", who="bob").changed
        return append(*arguments, **options)

    monkeypatch.setattr(bench.ledger, "append", after_bob)
    second = done(bench, "pin")
    assert not second.changed
    assert second.standing.pinned is not None
    assert second.standing.pinned.who == "bob"
    assert len(bench.ledger.bodies("hand")) == 1


def test_who_is_overtaken_again_and_again_is_told_so(bench: Bench, monkeypatch: pytest.MonkeyPatch):
    def refuse(*arguments, **options):
        raise LeaseLost("taken over")

    monkeypatch.setattr(bench.ledger, "append", refuse)
    with pytest.raises(LeaseLost, match="others decide about this model"):
        done(bench, "pin")


@pytest.mark.parametrize(
    ("action", "words"), [("pin", "version 1 is pinned by ana"), ("pause", "the model is paused by ana")]
)
def test_a_run_that_won_releases_nothing_and_ends_kept_with_the_reason(
    bench: Bench, action: HandAction, words: str
):
    key = won(bench, "two")
    done(bench, action)
    assert steps.release(bench.workspace, key) is None
    report = steps.report(bench.workspace, key)
    assert (report.outcome, report.challenger, report.champion_before) == ("kept", 2, 1)
    assert words in report.summary
    assert report.summary.count("a campaign") == 1
    assert bench.serving() == 1
    assert bench.registry.champion("churn") == 1
    assert any(line.startswith(f"not released: {words}") for line in report.lines)


def test_a_pinned_model_is_still_trained_judged_and_registered(bench: Bench):
    done(bench, "pin")
    report = bench.whole("two", APRIL, 0.9)
    assert report.outcome == "kept"
    assert bench.ledger.bodies("comparison")[-1]["promote"]
    assert bench.ledger.bodies("version")[-1]["number"] == 2


def test_what_was_kept_for_another_reason_than_the_pin_says_that_reason(bench: Bench):
    done(bench, "pin")
    report = bench.whole("two", APRIL, 0.55)
    assert report.outcome == "kept"
    assert "pinned" not in report.summary


def test_the_report_stays_as_it_was_when_the_pin_is_taken_back_later(bench: Bench):
    done(bench, "pin")
    report = bench.whole("two", APRIL, 0.9)
    done(bench, "unpin")
    assert steps.report(bench.workspace, "churn/two") == report


def test_after_unpinning_the_next_run_releases(bench: Bench):
    done(bench, "pin")
    bench.whole("two", APRIL, 0.9)
    done(bench, "unpin")
    assert bench.whole("three", MAY, 0.95).outcome == "promoted"


def test_after_unpinning_a_cleared_release_goes_through_and_the_run_says_so(bench: Bench):
    done(bench, "pin")
    bench.whole("two", APRIL, 0.9)
    done(bench, "unpin")
    assert steps.release(bench.workspace, "churn/two") is not None
    assert steps.report(bench.workspace, "churn/two").outcome == "promoted"


def test_a_cleared_release_that_fails_after_unpinning_is_a_failure_not_a_pin(bench: Bench):
    done(bench, "pin")
    bench.whole("two", APRIL, 0.9)
    done(bench, "unpin")
    bench.registry.down = True
    with pytest.raises(StoreUnavailable):
        steps.release(bench.workspace, "churn/two")
    assert steps.report(bench.workspace, "churn/two").outcome == "failed"


def test_a_run_that_fails_and_is_tried_again_while_pinned_ends_kept(bench: Bench):
    done(bench, "pin")
    kept = bench.whole("two", APRIL, 0.9)
    with pytest.raises(DataUnusable), holding(bench.workspace, "churn/two", "evaluate"):
        raise DataUnusable("a column is gone")
    assert steps.report(bench.workspace, "churn/two").outcome == "failed"
    assert steps.release(bench.workspace, "churn/two") is None
    assert steps.report(bench.workspace, "churn/two").summary == kept.summary


def test_a_question_put_after_unpinning_waits_and_its_release_is_not_called_withheld(bench: Bench):
    done(bench, "pin")
    key = won(bench, "two", tier="high")
    steps.release(bench.workspace, key)
    assert "is pinned" in steps.report(bench.workspace, key).summary
    done(bench, "unpin")
    assert isinstance(approve.ask(bench.workspace, key), Asked)
    assert summarise(bench.workspace, key).outcome == "waiting"
    approve.answer(bench.ledger, key, Answer("approve", "alice", "airflow", datetime.now(UTC)))
    steps.release(bench.workspace, key)
    report = steps.report(bench.workspace, key)
    assert report.outcome == "promoted"
    assert "not released" not in " ".join(report.lines)


def test_a_run_that_was_pinned_while_it_waited_is_not_told_to_wait_still(bench: Bench):
    key = won(bench, "two", tier="high")
    approve.ask(bench.workspace, key)
    done(bench, "pin")
    assert isinstance(approve.ask(bench.workspace, key), NotNeeded)
    steps.release(bench.workspace, key)
    assert "waits" not in " ".join(steps.report(bench.workspace, key).lines)


def test_a_run_that_was_rejected_before_the_pin_ends_with_the_rejection(bench: Bench):
    key = won(bench, "two", tier="high")
    approve.ask(bench.workspace, key)
    approve.answer(
        bench.ledger, key, Answer("reject", "bo", "airflow", datetime.now(UTC), "too few rows")
    )
    done(bench, "pin")
    assert isinstance(approve.ask(bench.workspace, key), Answered)
    assert "rejected by bo: too few rows" in steps.report(bench.workspace, key).summary


def test_a_run_that_asks_for_no_release_ends_registered_pinned_or_not(bench: Bench):
    done(bench, "pin")
    key = bench.begin("two", APRIL, release="never")
    bench.until_trained(key)
    bench.good(key, 0.9)
    assert bench.finish(key).outcome == "registered"


def test_a_release_decided_before_the_pin_is_carried_out_and_the_pin_is_on_it(bench: Bench):
    key = won(bench, "two")
    bench.deployer.unavailable = True
    with pytest.raises(StoreUnavailable):
        steps.release(bench.workspace, key)
    stands = done(bench, "pin").standing
    assert stands.version == 2, "it is decided, though not yet done"
    bench.deployer.unavailable = False
    assert steps.release(bench.workspace, key) is not None
    assert bench.serving() == 2


def test_a_pin_that_comes_between_the_look_and_the_release_stops_it(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
):
    key = won(bench, "two")
    look = sys.modules["evergreen.steps.release"].standing
    looked: list[None] = []

    def standing_then_pinned(ledger, model):
        found = look(ledger, model)
        if not looked:
            looked.append(None)
            done(bench, "pin")
        return found

    monkeypatch.setattr(sys.modules["evergreen.steps.release"], "standing", standing_then_pinned)
    assert steps.release(bench.workspace, key) is None
    assert bench.serving() == 1
    assert len(bench.ledger.bodies("release_intended")) == 1


def test_a_paused_model_begins_no_retrain_and_the_run_is_skipped_with_the_reason(bench: Bench):
    done(bench, "pause", "retrain")
    key = "churn/two"
    result = steps.resolve_window(
        bench.workspace, run_key=key, model=pinned(), as_of=APRIL, reason="test", release="auto"
    )
    assert isinstance(result, RunReport)
    assert result.outcome == "skipped"
    assert "paused by ana since" in result.summary
    assert steps.report(bench.workspace, key) == result
    assert bench.ledger.holder("churn") is None
    assert len(bench.ledger.bodies("run_started")) == 1


def test_after_resuming_the_skipped_run_may_be_tried_again(bench: Bench):
    done(bench, "pause")
    steps.resolve_window(
        bench.workspace, run_key="churn/two", model=pinned(), as_of=APRIL, reason="t", release="auto"
    )
    steps.report(bench.workspace, "churn/two")
    done(bench, "resume")
    assert bench.whole("two", APRIL, 0.9).outcome == "promoted"


def test_a_request_of_the_watch_waits_for_the_end_of_a_pause(bench: Bench):
    lease = bench.ledger.acquire("churn", "churn/monitor/1", "monitor")
    requests.ask(bench.workspace, RetrainRequest("churn/monitor/1", APRIL, "x moved", "watch"), lease)
    done(bench, "pause")

    def wake(run: str):
        return steps.resolve_window(
            bench.workspace,
            run_key=f"churn/{run}",
            model=pinned(),
            as_of=MAY,
            reason="woken",
            release="auto",
            serves="newest",
        )

    assert isinstance(wake("asset 1"), RunReport)
    steps.report(bench.workspace, "churn/asset 1")
    assert len(open_requests(bench.workspace, "churn")) == 1
    done(bench, "resume")
    begun = wake("asset 2")
    assert not isinstance(begun, RunReport)
    assert (begun.windows.as_of, begun.reason) == (APRIL, "request of the watch: x moved")


def test_a_run_that_had_begun_when_the_model_was_paused_goes_on(bench: Bench):
    key = bench.begin("two", APRIL)
    done(bench, "pause")
    assert bench.begin("two", APRIL) == key
    bench.until_trained(key)
    bench.good(key, 0.9)
    assert bench.finish(key).outcome == "kept"


def test_a_pause_of_scoring_alone_stops_scoring_alone(bench: Bench):
    done(bench, "pause", "score")
    with pytest.raises(Paused, match=r"paused by ana since.*evergreen resume churn"):
        steps.score(bench.workspace, "churn/score/1", WATCHED, MARCH + DAY, "test")
    assert bench.ledger.bodies("scored") == []
    assert bench.ledger.bodies("step_failed") == [], "a pause is no failure"
    profile(bench.workspace, "churn/monitor/1", WATCHED, MARCH + 2 * DAY, "test")
    assert bench.whole("two", APRIL, 0.9).outcome == "promoted"


def test_a_pause_of_the_watch_alone_stops_the_watch_alone(bench: Bench):
    done(bench, "pause", "monitor")
    with pytest.raises(Paused, match="paused by ana"):
        profile(bench.workspace, "churn/monitor/1", WATCHED, MARCH + 2 * DAY, "test")
    assert bench.ledger.bodies("check_started") == []
    assert bench.ledger.bodies("step_failed") == []
    assert steps.score(bench.workspace, "churn/score/1", WATCHED, MARCH + DAY, "test").rows


def test_a_check_that_had_begun_goes_on(bench: Bench):
    first = profile(bench.workspace, "churn/monitor/1", WATCHED, MARCH + 2 * DAY, "test")
    done(bench, "pause")
    assert profile(bench.workspace, "churn/monitor/1", WATCHED, MARCH + 2 * DAY, "test") == first


def test_what_was_scored_before_the_pause_is_found_again(bench: Bench):
    first = steps.score(bench.workspace, "churn/score/1", WATCHED, MARCH + DAY, "test")
    done(bench, "pause")
    assert steps.score(bench.workspace, "churn/score/1", WATCHED, MARCH + DAY, "test") == first
