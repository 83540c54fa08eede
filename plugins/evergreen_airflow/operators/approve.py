"""Asks people before a release; the task waits without a slot, and goes on with their answer.

Airflow's form is one way to the ledger's question: what it hands over is a hint, judged by the
library's rules. Airflow keeps one form per task of a run and never changes its text, so an answer names
the evidence that it is about, and one about an earlier question does not count.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow.sdk.execution_time.hitl import upsert_hitl_detail

from evergreen import airflow_answers, approval_form
from evergreen.approval import lets_release
from evergreen.approval_questions import standing
from evergreen.approval_results import Answer, Asked, NotNeeded
from evergreen.approval_words import of_answer, of_question
from evergreen.comparison import Comparison
from evergreen.errors import AnswerRefused
from evergreen.redaction import redact
from evergreen.results import Candidate
from evergreen.steps import approve
from evergreen.steps.memory import need, retrain_of
from evergreen_airflow.run_note import write_note
from evergreen_airflow.step_operator import Outcome, Run, StepOperator
from evergreen_airflow.waiting import until_answered

if TYPE_CHECKING:
    from airflow.sdk import Context

    from evergreen.workspace import Workspace

log = logging.getLogger(__name__)


class ApproveOperator(StepOperator):
    """Asks, and waits until somebody who may has answered or the time is over."""

    ui_color = "#fef7e0"
    summary = "Asks people whether the new version may be released."
    tells = True

    def execute_complete(self, context: Context, event: Mapping[str, Any]) -> dict[str, Any] | None:
        """Go on with what Airflow says of the form: an answer, or that the time is over."""
        self._event = event
        return self.take_step(context)

    def run_step(self, workspace: Workspace, run: Run) -> Outcome:
        """Take what answer there is, look whether it still holds, and ask where none does.

        Raises:
            waiting.SIGNAL: the question waits.
        """
        self._take(workspace, run)
        now = datetime.now(UTC)
        told = approve.ask(workspace, run.key, now)
        if isinstance(told, Asked):
            raise self._parked(workspace, run, told, now)
        if isinstance(told, NotNeeded):
            return Outcome(None, told.why, skipped=not told.goes_on)
        found = standing(workspace.ledger, run.key)
        if found is None:
            raise AssertionError("what was answered was asked")
        return Outcome(told, of_answer(found), skipped=not lets_release(found.asked, told))

    def _take(self, workspace: Workspace, run: Run) -> None:
        """Write the answer down before anything else: whatever fails later, it is not lost."""
        found = standing(workspace.ledger, run.key)
        if found is None or found.answered is not None:
            return
        given = _answer(self._response(run), found.asked)
        if given is None:
            return
        try:
            approve.answer(workspace.ledger, run.key, given)
        except AnswerRefused as exc:
            log.warning("this answer does not count, the question stays open: %s", redact(str(exc)))

    def _response(self, run: Run) -> Mapping[str, Any]:
        """Return what the form holds: handed over by Airflow, or left by a try that was ended."""
        event = getattr(self, "_event", None)
        return event if event is not None else _left_behind(run)

    def _parked(self, workspace: Workspace, run: Run, asked: Asked, now: datetime) -> BaseException:
        """Put the form up and return the signal that parks the task."""
        comparison = need(workspace, "comparison", run.key, Comparison)
        tested = need(workspace, "candidate", run.key, Candidate)
        retrain = retrain_of(workspace, run.key)
        ti_id, options = run.context["ti"].id, list(approval_form.OPTIONS)
        upsert_hitl_detail(
            ti_id=ti_id,
            options=options,
            subject=redact(approval_form.subject(asked)),
            body=redact(approval_form.body(asked, retrain, comparison, tested)),
            params=approval_form.fields(asked),
            assigned_users=[{"id": u["id"], "name": u["name"]} for u in approval_form.users(asked)],
        )
        line = of_question(asked)
        log.info("%s: %s", run.key, redact(line))
        write_note(run.context["dag_run"], (line, asked.headline))
        return until_answered(ti_id, options, approval_form.fields(asked), asked.deadline, now)


def _left_behind(run: Run) -> Mapping[str, Any]:
    """Return the answer in the form of a try that was ended before it took it; empty: there is none.

    Airflow gives a task no other way to see it than the public API. Without a connection to that, the
    question is simply open again.
    """
    from evergreen_airflow.configuration import settings_from_airflow
    from evergreen_airflow.connections import from_airflow

    connection_id = settings_from_airflow().airflow_connection
    if connection_id is None:
        return {}
    dag_run = run.context["dag_run"]
    try:
        return airflow_answers.given(from_airflow(connection_id), dag_run.dag_id, dag_run.run_id)
    except Exception as exc:  # noqa: BLE001 - whatever it is, the question is asked again
        log.warning("the form was not read: %s: %s", type(exc).__name__, redact(str(exc)))
        return {}


def _answer(response: Mapping[str, Any], asked: Asked) -> Answer | None:
    """Return what the form says, or None: nothing that could be an answer."""
    if response.get("error_type") == "timeout":
        return Answer("timeout", None, "scheduler", datetime.now(UTC))
    chosen = approval_form.OPTIONS.get(next(iter(response.get("chosen_options") or ()), ""))
    user = response.get("responded_by_user")
    if chosen is None or not user:
        return None
    entered = response.get("params_input") or {}
    evidence = entered.get(approval_form.EVIDENCE)
    if not evidence and asked.number > 1:
        evidence = "none given"  # the form may show an earlier question
    return Answer(
        chosen,
        str(user["name"] or user["id"]),
        "airflow",
        response["responded_at"],
        reason=str(entered.get(approval_form.REASON) or ""),
        evidence=str(evidence) if evidence else None,
        who_id=str(user["id"]),
    )
