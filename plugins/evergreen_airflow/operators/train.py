"""Trains the challenger, or finds the one an earlier try trained."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evergreen import steps
from evergreen_airflow.step_operator import Outcome, Run, StepOperator

if TYPE_CHECKING:
    from evergreen.workspace import Workspace


class TrainOperator(StepOperator):
    """Trains the challenger on the snapshot."""

    summary = "Trains the challenger."

    def run_step(self, workspace: Workspace, run: Run) -> Outcome:
        """Make or find the candidate."""
        candidate = steps.train(workspace, run.key)
        metrics = ", ".join(f"{name} {value:.6g}" for name, value in sorted(candidate.metrics.items()))
        return Outcome(
            candidate,
            f"run {candidate.run_id}: {candidate.rows_trained} rows trained, "
            f"{candidate.rows_tested} rows tested; {metrics}",
        )
