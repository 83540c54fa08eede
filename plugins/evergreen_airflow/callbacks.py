"""What Airflow calls when a task or a run of a model's DAGs fails.

A task's callback runs in the task's own process, where the exception is known. A DAG's runs in a child
of the dag-processor and is for what no task could tell: a run that timed out, or whose report was
killed. Both write the same notice under the same key, so people hear of a failed run once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from evergreen.names import model_of_dag_id
from evergreen.redaction import redact
from evergreen.text import plain
from evergreen_airflow.step_operator import UNEXPECTED

if TYPE_CHECKING:
    from airflow.sdk import Context

    from evergreen.ports import Duty

LONGEST_LINE = 300
_LEFT_TO_REPORT = frozenset({"validate", "report"})
"""Rejected data, and a run that came to nothing: the ledger knows, and the report's entry is told."""


def task_failed(context: Context) -> None:
    """Tell that a task failed for good, and why."""
    task: Any = context["task"]
    exception = context.get("exception")
    if task.task_id in _LEFT_TO_REPORT and _meant(exception):
        return
    why, values = _words_of(exception)
    kind = type(exception).__name__ if exception else "ended"
    line = f"Task {task.task_id} failed: {why}"
    _tell(task.model, task.duty, context["dag_run"], line, f"{task.task_id}/{kind}", values)


def _words_of(exception: object) -> tuple[str, tuple[str, ...]]:
    """Return what is told of an exception to everybody, and what only where data may be quoted."""
    if exception is None:
        return "it was ended from outside", ()
    text = str(exception)
    if text.startswith(UNEXPECTED):
        return ": ".join(text.split(": ", 2)[:2]), (text,)
    if _meant(exception):
        return text, ()
    name = type(exception).__name__
    return name, (f"{name}: {text}",)


def run_failed(context: Context) -> None:
    """Tell that a run failed, where none of its tasks could."""
    from evergreen_airflow.dag_kinds import KINDS

    dag_run: Any = context["dag_run"]
    model = model_of_dag_id(dag_run.dag_id)
    kind = next((kind for kind in KINDS if model and kind.dag_id(model) == dag_run.dag_id), None)
    if model is not None and kind is not None:
        reason = context.get("reason") or "a task failed"
        _tell(model, kind.duty, dag_run, f"Airflow ended the run: {reason}", f"run/{reason}")


def _meant(exception: object) -> bool:
    """Return whether a task failed by its own decision, rather than by an error or from outside."""
    return type(exception).__name__ == "AirflowFailException"


def _tell(
    model: str, duty: Duty, dag_run: Any, line: str, signature: str, values: Sequence[str] = ()
) -> None:
    """Tell it; a failure with the signature of the one before is counted, not told again.

    `values` may quote the data, as the message of an exception of any library may.
    """
    from evergreen.alerts.event import Notice
    from evergreen_airflow.people import note_and_tell
    from evergreen_airflow.run_context import run_key_of

    run_key = run_key_of(model, dag_run, duty)
    what = {"retrain": "retrain", "score": "scoring", "monitor": "check"}.get(duty, duty)
    notice = Notice(
        "failed",
        "medium",
        f"The {what} of {model} failed.",
        (redact(plain(line, LONGEST_LINE)),),
        tuple(redact(plain(value, LONGEST_LINE)) for value in values),
        cause=duty,
        signature=signature,
        run_key=run_key,
        command=f"evergreen {'explain' if duty == 'retrain' else 'watch'} {model}",
    )
    note_and_tell(model, f"failed/{run_key}", notice)
