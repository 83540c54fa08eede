"""Measures drift, loss and the health of the data."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from evergreen.ports import Duty
from evergreen.steps.watch.measure import measure
from evergreen_airflow.step_operator import Outcome, Run, StepOperator

if TYPE_CHECKING:
    from evergreen.workspace import Workspace


class MeasureOperator(StepOperator):
    """Measures how far the window lies from the baseline, what the champion loses, how the data is."""

    summary = "Measures distances, losses and the health of the data; decides nothing."
    duty: ClassVar[Duty] = "monitor"

    def run_step(self, workspace: Workspace, run: Run) -> Outcome:
        """Make or find the observation."""
        observation = measure(workspace, run.key)
        labelled = observation.loss.rows if observation.loss else 0
        return Outcome(
            observation,
            f"{observation.rows:,} rows of {observation.window} measured against version "
            f"{observation.version}: {len(observation.features)} features, {labelled:,} labelled rows",
        )
