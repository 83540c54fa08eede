"""Makes a version of a challenger that may be promoted; skipped where the champion is kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evergreen import steps
from evergreen.comparison import Comparison
from evergreen.evidence.headline import headline
from evergreen.results import Refit
from evergreen.steps.memory import need, recall
from evergreen_airflow.step_operator import Outcome, Run, StepOperator

if TYPE_CHECKING:
    from evergreen.workspace import Workspace


class RegisterOperator(StepOperator):
    """Registers the challenger as a version."""

    summary = "Registers the challenger, if it may be promoted."

    def run_step(self, workspace: Workspace, run: Run) -> Outcome:
        """Make or find the version."""
        version = steps.register(workspace, run.key)
        if version is None:
            refitted = recall(workspace, "refit", run.key, Refit)
            comparison = need(workspace, "comparison", run.key, Comparison)
            return Outcome(None, refitted.words if refitted else headline(comparison), skipped=True)
        return Outcome(version, f"version {version.number} of {version.name}")
