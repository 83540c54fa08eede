"""Compares challenger and champion; the answer is a value, never an error."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evergreen import steps
from evergreen_airflow.step_operator import Outcome, Run, StepOperator

if TYPE_CHECKING:
    from evergreen.workspace import Workspace


class EvaluateOperator(StepOperator):
    """Compares the challenger with the champion on the same rows."""

    summary = "Compares challenger and champion on the same rows."

    def run_step(self, workspace: Workspace, run: Run) -> Outcome:
        """Compare."""
        comparison = steps.evaluate(workspace, run.key)
        answer = "promote" if comparison.promote else "keep the champion"
        return Outcome(comparison, f"{answer}: {'; '.join(comparison.reasons)}")
