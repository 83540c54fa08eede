"""A question whose time is over: nobody answered, or what they said comes late."""

from __future__ import annotations

from datetime import timedelta

import pytest

from evergreen import steps
from evergreen.approval_questions import TIME_TO_TAKE_A_FORM
from evergreen.approval_results import Answered
from evergreen.errors import AnswerRefused
from evergreen.steps import approve
from tests.fakes.bench import Bench
from tests.unit.approve_bench import ask, bench, ended, say, won

__all__ = ["bench"]


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
