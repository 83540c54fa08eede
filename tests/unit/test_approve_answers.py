"""What people answer: what of it counts, once, and what becomes of the run."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from evergreen import steps
from evergreen.approval_questions import standing, waiting
from evergreen.approval_results import Answered, AnswerWord, Asked
from evergreen.errors import AnswerRefused, ApprovalMissing
from evergreen.steps import approve
from tests.fakes.bench import APRIL, MARCH, Bench
from tests.unit.approve_bench import NAMED, ask, bench, ended, say, won

__all__ = ["bench"]


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
