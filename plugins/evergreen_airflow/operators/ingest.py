"""Reads the run's window once and keeps it as an immutable snapshot."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evergreen import steps
from evergreen_airflow.step_operator import Outcome, Run, StepOperator

if TYPE_CHECKING:
    from evergreen.workspace import Workspace


class IngestOperator(StepOperator):
    """Reads the rows of the run's window into a snapshot."""

    summary = "Reads the window's rows into an immutable snapshot."

    def run_step(self, workspace: Workspace, run: Run) -> Outcome:
        """Make or find the snapshot."""
        snapshot = steps.ingest(workspace, run.key)
        return Outcome(
            snapshot,
            f"{snapshot.rows} rows of {snapshot.window} at {snapshot.uri}, digest {snapshot.digest}",
        )
