"""What tasks of Airflow and people do to an installation: Evergreen's own steps, called as they are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from evergreen import steps
from evergreen.approval_questions import standing
from evergreen.approval_results import Answer, AnswerWord
from evergreen.reconcile_results import Reconciliation
from evergreen.results import PinnedModel, ReleaseWish
from evergreen.steps import approve
from evergreen.steps.memory import recall, record
from evergreen.steps.reconcile import Circumstances, reconcile
from evergreen.steps.requests import Serves
from evergreen.steps.rollback import planned, rollback
from evergreen.steps.watch.begin import begin, checking
from evergreen.steps.watch.request import request
from evergreen.watch_results import RetrainDecision, RetrainRequest, Verdict
from evergreen.window import Window
from evergreen.workspace import Workspace

TASKS = (
    "resolve_window",
    "ingest",
    "validate",
    "train",
    "evaluate",
    "register",
    "approve",
    "release",
    "report",
)
"""The tasks of a retrain in their order; models of the simulation are not refitted."""


@dataclass(frozen=True, slots=True)
class Run:
    """A run as Airflow starts it."""

    key: str
    model: PinnedModel
    as_of: datetime
    serves: Serves = "none"
    release: ReleaseWish = "auto"
    woken_by: tuple[str, ...] = ()
    triggered_by: str | None = None


def task(workspace: Workspace, run: Run, name: str, failure: str | None = None) -> Any:
    """Do one task of a run; `failure` is what Airflow knows when `report` runs."""
    if name == "resolve_window":
        return steps.resolve_window(
            workspace,
            run_key=run.key,
            model=run.model,
            as_of=run.as_of,
            reason="simulated",
            release=run.release,
            serves=run.serves,
            woken_by=run.woken_by,
            triggered_by=run.triggered_by,
        )
    if name == "report":
        return steps.report(workspace, run.key, failure)
    if name == "approve":
        return approve.ask(workspace, run.key)
    step: Callable[[Workspace, str], Any] = getattr(steps, name)
    return step(workspace, run.key)


def look(
    workspace: Workspace, key: str, model: PinnedModel, as_of: datetime, *, alarm: bool
) -> RetrainDecision:
    """Do a check of the watch: what it measures is given, what follows is Evergreen's to decide."""
    with checking(workspace, key, "profile") as lease:
        check = begin(workspace, key, model, as_of, "simulated", lease)
        if recall(workspace, "verdict", key, Verdict) is None:
            record(workspace, "verdict", key, _verdict(key, check.window, check.version, alarm), lease)
    return request(workspace, key)


def _verdict(key: str, window: Window, version: int | None, alarm: bool) -> Verdict:
    answer: Any = "not enough data" if version is None else "alarm" if alarm else "quiet"
    levels: Any = (("loss", answer),)
    return Verdict(key, window.end, window, version, answer, None, levels, (), ("drawn",))


def answer(workspace: Workspace, run_key: str, word: AnswerWord) -> None:
    """Let a person answer the run's newest question; what does not count raises."""
    told = standing(workspace.ledger, run_key)
    evidence = None if told is None else told.asked.evidence
    given = Answer(word, "ana", "airflow", workspace.now(), "because", evidence, "ana")
    approve.answer(workspace.ledger, run_key, given)


def roll_back(workspace: Workspace, model: str, to: int | None) -> Any:
    """Let a person look and roll back."""
    return rollback(workspace, planned(workspace, model, to), "ana", "it is wrong")


def pass_over(
    workspace: Workspace,
    model: str,
    run_ended: Callable[[str], bool | None],
    wake: Callable[[RetrainRequest, str], None],
) -> Reconciliation:
    """Make one pass of `evergreen reconcile` over a model."""
    known = Circumstances(workspace.now(), timedelta(hours=1), run_ended=run_ended, wake=wake)
    return reconcile(workspace, [model], known)
