"""The last task: always runs, says what was decided and why, and fails where the run failed."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from airflow.sdk import TaskInstanceState
from airflow.sdk.exceptions import AirflowFailException

from evergreen import steps
from evergreen.redaction import redact
from evergreen_airflow.step_operator import Outcome, StepOperator

if TYPE_CHECKING:
    from airflow.sdk import Context

    from evergreen.workspace import Workspace


log = logging.getLogger(__name__)

FAILED_OUTCOMES = frozenset({"failed", "rejected"})


class ReportOperator(StepOperator):
    """Tells the outcome. It fails after telling where the run came to nothing, so that Airflow shows it."""

    summary = "Says what was decided and why."

    def run_step(self, workspace: Workspace, run_key: str, context: Context) -> Outcome:
        """Report.

        Raises:
            AirflowFailException: a task failed or the data was rejected; the report is in the ledger.
        """

        failed = failed_tasks(context)
        failure = f"failed task: {', '.join(failed)}" if failed else None
        told = steps.report(workspace, run_key, failure)
        for line in told.lines:
            log.info("%s", redact(line))
        if failed or told.outcome in FAILED_OUTCOMES:
            raise AirflowFailException(redact(told.summary))
        return Outcome(told, f"{told.outcome}: {told.summary}")


def failed_tasks(context: Context) -> tuple[str, ...]:
    """Return the tasks of this run that failed by themselves, in order of the run."""
    run = context["dag_run"]
    states = context["ti"].get_task_states(dag_id=run.dag_id, run_ids=[run.run_id]).get(run.run_id, {})
    return tuple(name for name in steps.STEPS if states.get(name) == TaskInstanceState.FAILED)
