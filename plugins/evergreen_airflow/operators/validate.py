"""Judges the snapshot; rejected data fails the task without a retry."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.sdk.exceptions import AirflowFailException

from evergreen import steps
from evergreen.errors import bounded
from evergreen.redaction import redact
from evergreen_airflow.step_operator import Outcome, Run, StepOperator

if TYPE_CHECKING:
    from evergreen.workspace import Workspace


class ValidateOperator(StepOperator):
    """Judges the snapshot against the model's expectations."""

    summary = "Judges the snapshot against the expectations."

    def run_step(self, workspace: Workspace, run: Run) -> Outcome:
        """Judge the snapshot.

        Raises:
            AirflowFailException: the data is rejected; the message lists the failed expectations.
        """
        report = steps.validate(workspace, run.key)
        counts = f"{len(report.outcomes)} expectations, {len(report.warnings)} warnings"
        if report.passed:
            return Outcome(report, f"the data is accepted: {report.rows} rows, {counts}")
        failed = "; ".join(
            f"{o.expectation} {bounded(o.arguments, 200)}: {o.observed}" for o in report.errors
        )
        where = f" Report: {report.report_uri}" if report.report_uri else ""
        message = f"the data is rejected by {len(report.errors)} expectations: {bounded(failed, 2000)}."
        raise AirflowFailException(redact(message + where))
