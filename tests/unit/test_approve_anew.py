"""A question asked anew: where the champion moved, an approval expired, or the run comes back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from evergreen import steps
from evergreen.approval_questions import waiting
from evergreen.approval_results import NotNeeded
from evergreen.errors import AnswerRefused, ApprovalMissing, StoreUnavailable
from evergreen.steps import approve
from tests.fakes.bench import APRIL, MARCH, MAY, Bench
from tests.unit.approve_bench import ask, bench, ended, say, won

__all__ = ["bench"]


def test_a_run_that_ends_twice_in_the_same_way_waits_for_nothing_the_second_time_either(bench: Bench):
    key = won(bench)
    for number in (1, 2):
        assert ask(bench, key).number == number
        steps.report(bench.workspace, key, "failed task: approve")
        assert waiting(bench.ledger, datetime.now(UTC)) == []


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
