"""A bench on which runs come to where they ask people, and what people say to them."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from evergreen import steps
from evergreen.approval_results import Answer, Answered, AnswerWord, Asked
from evergreen.steps import approve
from tests.fakes.bench import MARCH, Bench, pinned

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
