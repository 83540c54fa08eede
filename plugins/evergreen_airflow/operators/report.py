"""The last task: always runs, says what was decided and why, and fails where the run failed."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from airflow.sdk import TaskInstanceState
from airflow.sdk.exceptions import AirflowFailException

from evergreen import steps
from evergreen.redaction import redact
from evergreen_airflow.run_note import write_note
from evergreen_airflow.step_operator import Outcome, Run, StepOperator

if TYPE_CHECKING:
    from airflow.sdk import Context

    from evergreen.workspace import Workspace


log = logging.getLogger(__name__)

FAILED_OUTCOMES = frozenset({"failed", "rejected"})


class ReportOperator(StepOperator):
    """Tells the outcome; it fails after telling where the run came to nothing, for Airflow to show."""

    summary = "Says what was decided and why."
    tells = True

    def run_step(self, workspace: Workspace, run: Run) -> Outcome:
        """Report.

        Raises:
            AirflowFailException: a task failed or the data was rejected; the report is in the ledger.
        """
        failed = failed_tasks(run.context)
        failure = f"failed task: {', '.join(failed)}" if failed else None
        told = steps.report(workspace, run.key, failure)
        for line in told.lines:
            log.info("%s", redact(line))
        write_note(run.context["dag_run"], (told.summary, *told.lines))
        if failed or told.outcome in FAILED_OUTCOMES:
            message = "; ".join(filter(None, [told.summary, failure]))
            raise AirflowFailException(redact(message))
        return Outcome(told, f"{told.outcome}: {told.summary}")


def failed_tasks(context: Context) -> tuple[str, ...]:
    """Return the tasks of this run that failed by themselves, in order of the run."""
    run = context["dag_run"]
    states = context["ti"].get_task_states(dag_id=run.dag_id, run_ids=[run.run_id]).get(run.run_id, {})
    return tuple(name for name in steps.STEPS if states.get(name) == TaskInstanceState.FAILED)
