"""Trains the winner once more on all rows; only in the DAG of a model file that asks for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evergreen import steps
from evergreen.comparison import Comparison
from evergreen.evidence.headline import headline
from evergreen.steps.memory import need
from evergreen_airflow.step_operator import Outcome, Run, StepOperator

if TYPE_CHECKING:
    from evergreen.workspace import Workspace


class RefitOperator(StepOperator):
    """Trains the challenger that won once more, on train and test window together."""

    summary = "Trains the winner once more, on train and test window together."

    def run_step(self, workspace: Workspace, run: Run) -> Outcome:
        """Refit, or find what an earlier try refitted."""
        comparison = need(workspace, "comparison", run.key, Comparison)
        if not comparison.promote:
            return Outcome(None, f"the champion is kept: {headline(comparison)}", skipped=True)
        refitted = steps.refit(workspace, run.key)
        if refitted is None:  # the file asks for it since this run began; a skip would skip the release
            return Outcome(None, "not asked for by the model file that this run began with")
        return Outcome(refitted, refitted.words)
