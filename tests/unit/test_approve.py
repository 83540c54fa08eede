"""The step that asks people, and what becomes of their answers, when things go wrong."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from evergreen import steps
from evergreen.approval_questions import TIME_TO_TAKE_A_FORM, standing, waiting
from evergreen.approval_results import Answer, Answered, AnswerWord, Asked, NotNeeded
from evergreen.errors import AnswerRefused, ApprovalMissing, LeaseHeld, StoreUnavailable
from evergreen.ledger.questions import as_of, history, reasoning
from evergreen.results import Release, from_json
from evergreen.steps import approve, memory, requests
from evergreen.watch_questions import past_requests
from evergreen.watch_results import RetrainRequest
from tests.fakes.bench import APRIL, MARCH, MAY, Bench, pinned

NAMED = {"approval": {"approvers": ["alice", "bob"], "timeout": "2 days"}}


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def won(
    bench: Bench,
    run: str = "one",
    as_of: datetime = MARCH,
    certainty: float = 0.9,
    wish: Any = "auto",
    triggered_by: str | None = None,
    **changes: Any,
) -> str:
    """Bring a run to where it asks."""
    key = f"churn/{run}"
    model = pinned(**(changes or {"tier": "high"}))
    steps.resolve_window(
        bench.workspace,
        run_key=key,
        model=model,
        as_of=as_of,
        reason="test",
        release=wish,
        triggered_by=triggered_by,
    )
    bench.until_trained(key)
    bench.good(key, certainty)
    steps.evaluate(bench.workspace, key)
    steps.register(bench.workspace, key)
    return key


def ask(bench: Bench, key: str, now: datetime | None = None) -> Asked:
    asked = approve.ask(bench.workspace, key, now)
    assert isinstance(asked, Asked)
    return asked


def say(
    bench: Bench, key: str, word: AnswerWord = "approve", who: str = "alice", **given: Any
) -> Answered:
    given = {"how": "airflow", "at": datetime.now(UTC)} | given
    return approve.answer(bench.ledger, key, Answer(word, who, **given))


def ended(bench: Bench, key: str) -> Any:
    steps.release(bench.workspace, key)
    return steps.report(bench.workspace, key)


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


@pytest.mark.parametrize("word", ["reject", "more_data"])
def test_a_no_keeps_the_champion_with_who_and_why_and_stands_for_the_run(bench: Bench, word: AnswerWord):
    bench.whole("one", MARCH, 0.7)
    key = won(bench, "two", APRIL, 0.9)
    ask(bench, key)
    say(bench, key, word, "bob", reason="JFK\nis\x1b[31m worse")
    told = approve.ask(bench.workspace, key)
    assert isinstance(told, Answered)
    assert told.answer == word
    report = ended(bench, key)
    assert report.outcome == "kept"
    assert "by bob: JFK is[31m worse" in report.summary
    assert bench.serving() == 1
    assert approve.ask(bench.workspace, key) == told, "a cleared task finds the answer"
    with pytest.raises(AnswerRefused, match="answered already"):
        say(bench, key)


def test_silence_keeps_the_champion_at_the_deadline(bench: Bench):
    key = won(bench)
    asked = ask(bench, key)
    with pytest.raises(AnswerRefused, match=r"too late.*the champion is kept"):
        say(bench, key, at=asked.deadline)
    assert ask(bench, key, asked.deadline - timedelta(seconds=1)) == asked
    told = approve.ask(bench.workspace, key, asked.deadline)
    assert isinstance(told, Answered)
    assert (told.answer, told.who, told.how) == ("timeout", None, "scheduler")
    report = ended(bench, key)
    assert (report.outcome, bench.serving()) == ("kept", None)
    assert "nobody answered in time" in report.summary


def test_silence_releases_where_the_model_file_says_so(bench: Bench):
    key = won(bench, release={"approval": {"on_timeout": "release"}})
    approve.ask(bench.workspace, key, ask(bench, key).deadline)
    assert ended(bench, key).outcome == "promoted"


@pytest.mark.parametrize(
    ("who", "given", "words"),
    [
        ("mallory", {}, "not one of the approvers"),
        ("bob", {}, "who started the run"),
        ("os:bob", {"how": "cli"}, "who started the run"),
        ("alice", {"at": datetime(2100, 1, 1, tzinfo=UTC)}, "too late"),
        ("alice", {"evidence": "0" * 64}, "other evidence"),
        ("alice", {"word": "reject"}, "needs a reason"),
    ],
)
def test_an_answer_that_does_not_count_is_an_error_and_writes_nothing(
    bench: Bench, who: str, given: dict[str, Any], words: str
):
    key = won(bench, triggered_by="bob", release=NAMED)
    asked = ask(bench, key)
    before = len(bench.ledger.rows)
    with pytest.raises(AnswerRefused, match=words):
        say(bench, key, who=who, **given)
    assert len(bench.ledger.rows) == before
    assert ask(bench, key) == asked
    assert waiting(bench.ledger, datetime.now(UTC)) == [asked]
    with pytest.raises(ApprovalMissing, match="still waits"):
        steps.release(bench.workspace, key)


def test_a_second_answer_is_refused_and_the_first_stands(bench: Bench):
    key = won(bench)
    ask(bench, key)
    first = say(bench, key, "reject", reason="no")
    with pytest.raises(AnswerRefused, match=r"answered already.*reject by alice"):
        say(bench, key, who="bob")
    assert standing(bench.ledger, key).answered == first


def test_of_two_who_answer_at_once_one_counts_and_the_other_is_told(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
):
    key = won(bench)
    ask(bench, key)
    append, raced = bench.ledger.append, []

    def beaten(kind: str, *args: Any, **kwargs: Any) -> Any:
        if kind == "approval_answered" and not raced:
            raced.append(kind)
            say(bench, key, "reject", "bob", reason="no")
        return append(kind, *args, **kwargs)

    monkeypatch.setattr(bench.ledger, "append", beaten)
    with pytest.raises(AnswerRefused, match="answered already"):
        say(bench, key)
    assert [body["who"] for body in bench.ledger.bodies("approval_answered")] == ["bob"]


@pytest.mark.parametrize("key", ["churn/never", "churn/one", "nothing/at-all"])
def test_a_run_that_asked_nothing_or_is_unknown_takes_no_answer(bench: Bench, key: str):
    bench.whole("one", MARCH, 0.7)
    with pytest.raises(AnswerRefused, match=r"asked nothing|no such run"):
        say(bench, key)


def test_a_run_that_is_over_takes_no_answer_until_it_is_cleared(bench: Bench):
    key = won(bench)
    ask(bench, key)
    steps.report(bench.workspace, key, "failed task: approve")
    assert waiting(bench.ledger, datetime.now(UTC)) == []
    with pytest.raises(AnswerRefused, match="the run is over"):
        say(bench, key)
    second = ask(bench, key, datetime.now(UTC) + timedelta(days=30))
    assert (second.number, waiting(bench.ledger, datetime.now(UTC))) == (2, [second])
    assert ask(bench, key) == second
    say(bench, key)
    assert ended(bench, key).outcome == "promoted"


def test_a_run_that_ends_twice_in_the_same_way_waits_for_nothing_the_second_time_either(bench: Bench):
    key = won(bench)
    for number in (1, 2):
        assert ask(bench, key).number == number
        steps.report(bench.workspace, key, "failed task: approve")
        assert waiting(bench.ledger, datetime.now(UTC)) == []


def test_a_release_that_nobody_was_asked_about_is_an_error_that_says_what_to_do(bench: Bench):
    key = won(bench)
    with pytest.raises(ApprovalMissing, match=r"nobody was asked.*clear the run's task approve"):
        steps.release(bench.workspace, key)
    assert bench.serving() is None
    assert bench.ledger.bodies("release_intended") == []
    assert steps.report(bench.workspace, key).outcome == "failed"


def test_where_the_champion_moved_while_a_run_waited_it_asks_anew_about_the_new_comparison(bench: Bench):
    bench.whole("one", MARCH, 0.6)
    key = won(bench, "two", MAY, 0.95)
    first = ask(bench, key)
    assert bench.whole("between", APRIL, 0.7).outcome == "promoted"
    say(bench, key)
    second = ask(bench, key)
    assert (first.champion_version, second.champion_version) == (1, 3)
    assert (first.number, second.number) == (1, 2)
    assert first.evidence != second.evidence
    with pytest.raises(ApprovalMissing, match="still waits"):
        steps.release(bench.workspace, key)
    with pytest.raises(AnswerRefused, match="other evidence"):
        say(bench, key, evidence=first.evidence)
    say(bench, key, "approve", "bob", evidence=second.evidence[:12])
    report = ended(bench, key)
    assert (report.outcome, bench.serving()) == ("promoted", 2)
    said = [line for line in report.lines if "approved by" in line]
    assert len(said) == 2


def test_where_the_champion_that_moved_is_better_nobody_is_asked_again(bench: Bench):
    bench.whole("one", MARCH, 0.6)
    key = won(bench, "two", MAY, 0.8)
    ask(bench, key)
    bench.whole("between", APRIL, 0.95)
    say(bench, key)
    told = approve.ask(bench.workspace, key)
    assert isinstance(told, NotNeeded)
    assert not told.goes_on
    assert ended(bench, key).outcome == "kept"
    assert len(bench.ledger.bodies("approval_asked")) == 1
    assert bench.serving() == 3


def test_an_approval_is_void_where_the_champion_moved_after_it(bench: Bench):
    bench.whole("one", MARCH, 0.6)
    key = won(bench, "two", MAY, 0.95)
    ask(bench, key)
    say(bench, key)
    approve.ask(bench.workspace, key)
    bench.ledger.free(bench.ledger.acquire("churn", key))  # as if its lease had expired
    bench.whole("between", APRIL, 0.7)
    with pytest.raises(ApprovalMissing, match="void"):
        steps.release(bench.workspace, key)
    assert bench.serving() == 3
    ask(bench, key)
    say(bench, key, who="bob")
    assert ended(bench, key).outcome == "promoted"


def test_an_approval_that_was_not_used_in_time_expires_and_is_asked_for_anew(bench: Bench):
    key = won(bench)
    long_ago = datetime.now(UTC) - timedelta(days=7)
    ask(bench, key, long_ago)
    say(bench, key, at=long_ago + timedelta(days=1))
    with pytest.raises(ApprovalMissing, match="expired"):
        steps.release(bench.workspace, key)
    assert bench.serving() is None
    assert ask(bench, key).number == 2
    say(bench, key, evidence=ask(bench, key).evidence)
    assert ended(bench, key).outcome == "promoted"


def test_an_answer_whose_number_is_another_questions_allows_nothing(bench: Bench):
    key = won(bench)
    lease = bench.ledger.acquire("churn", "x", "approval")
    copied = {**_answered(ask(bench, key)), "run_key": key, "number": 2}
    bench.ledger.append("approval_answered", f"approval_answered/{key}", copied, lease)
    assert steps.release(bench.workspace, key) is None
    assert bench.serving() is None


def _answered(asked: Asked) -> dict[str, Any]:
    return {
        "answer": "approve",
        "who": "alice",
        "how": "airflow",
        "at": "2026-01-01T00:00:00Z",
        "reason": "",
        "evidence": asked.evidence,
    }


def test_a_release_that_was_begun_is_finished_without_asking_again(bench: Bench):
    key = won(bench)
    ask(bench, key)
    say(bench, key)
    approve.ask(bench.workspace, key)
    bench.deployer.unavailable = True
    with pytest.raises(StoreUnavailable):
        steps.release(bench.workspace, key)
    bench.deployer.unavailable = False
    told = approve.ask(bench.workspace, key)
    assert isinstance(told, NotNeeded)
    assert told.goes_on
    assert ended(bench, key).outcome == "promoted"


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


@pytest.mark.parametrize(("run", "late"), [("cli/one", timedelta()), ("one", TIME_TO_TAKE_A_FORM)])
def test_silence_is_written_down_once_even_where_the_run_is_never_gone_on_with(
    bench: Bench, run: str, late: timedelta
):
    key = won(bench, run)
    asked = ask(bench, key)
    assert approve.end_overdue(bench.ledger, asked.deadline + late - timedelta(seconds=1)) == []
    (ended,) = approve.end_overdue(bench.ledger, asked.deadline + late)
    assert (ended.run_key, ended.answer, ended.number) == (key, "timeout", 1)
    assert approve.end_overdue(bench.ledger, asked.deadline + late) == []
    assert steps.release(bench.workspace, key) is None
    assert steps.report(bench.workspace, key).outcome == "kept"


def test_a_no_in_time_that_airflows_task_brings_late_is_not_overtaken_by_silence(bench: Bench):
    key = won(bench, release={"approval": {"on_timeout": "release"}})
    asked = ask(bench, key)
    assert approve.end_overdue(bench.ledger, asked.deadline + timedelta(days=30)) == []
    say(bench, key, "reject", reason="no", at=asked.deadline - timedelta(seconds=1))
    assert ended(bench, key).outcome == "kept"


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
