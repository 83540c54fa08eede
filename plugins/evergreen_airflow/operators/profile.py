"""Begins a check and counts its window's rows; the first task of the monitor's DAG."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evergreen.loading import load_model
from evergreen.steps.watch.profile import profile
from evergreen_airflow.run_context import read_run_context
from evergreen_airflow.step_operator import Outcome, Run, StepOperator

if TYPE_CHECKING:
    from evergreen.workspace import Workspace


class ProfileOperator(StepOperator):
    """Reads model file and as-of, and counts the window's rows in the cells of the baseline."""

    summary = "Counts the window's rows in the cells of the champion's baseline."
    duty = "monitor"

    def run_step(self, workspace: Workspace, run: Run) -> Outcome:
        """Make or find the profiles."""
        asked = read_run_context(self.model, run.context["dag_run"], run.context["params"])
        model = load_model(self.model_file)
        profiled = profile(workspace, run.key, model, asked.as_of, asked.reason)
        if profiled.problem is not None:
            return Outcome(profiled, f"not profiled: {profiled.problem}")
        return Outcome(profiled, f"{profiled.rows:,} rows of {profiled.days} days counted")
