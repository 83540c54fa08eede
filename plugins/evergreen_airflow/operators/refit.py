"""Trains the winner once more on all rows; only in the DAG of a model file that asks for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evergreen import steps
from evergreen_airflow.step_operator import Outcome, Run, StepOperator

if TYPE_CHECKING:
    from evergreen.workspace import Workspace


class RefitOperator(StepOperator):
    """Trains the challenger that won once more, on train and test window together."""

    summary = "Trains the winner once more, on train and test window together."

    def run_step(self, workspace: Workspace, run: Run) -> Outcome:
        """Refit, or find what an earlier try refitted."""
        refitted = steps.refit(workspace, run.key)
        if refitted is None:
            return Outcome(None, "the champion is kept: there is nothing to refit", skipped=True)
        return Outcome(refitted, refitted.words)
