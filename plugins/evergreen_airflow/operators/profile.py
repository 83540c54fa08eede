"""Begins a check and counts its window's rows; the first task of the monitor's DAG."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, ClassVar

from evergreen.errors import InvalidModelFile, Paused
from evergreen.ports import Duty
from evergreen.results import PinnedModel
from evergreen.steps.memory import recall
from evergreen.steps.watch.profile import profile
from evergreen.watch_results import Check
from evergreen_airflow.run_context import read_run_context
from evergreen_airflow.step_operator import Outcome, Run, StepOperator

if TYPE_CHECKING:
    from evergreen.workspace import Workspace

log = logging.getLogger(__name__)


class ProfileOperator(StepOperator):
    """Reads model file and as-of, and counts the window's rows in the cells of the baseline."""

    summary = "Counts the window's rows in the cells of the champion's baseline."
    duty: ClassVar[Duty] = "monitor"

    def run_step(self, workspace: Workspace, run: Run) -> Outcome:
        """Make or find the profiles; skipped, with what follows, where a person paused the watch."""
        asked = read_run_context(self.model, run.context["dag_run"], run.context["params"])
        model = self._model(workspace, run.key)
        try:
            profiled = profile(workspace, run.key, model, asked.as_of, asked.reason)
        except Paused as exc:
            return Outcome(None, str(exc), skipped=True)
        if profiled.problem is not None:
            return Outcome(profiled, f"not profiled: {profiled.problem}")
        return Outcome(profiled, f"{profiled.rows:,} rows of {profiled.days} days counted")

    def _model(self, workspace: Workspace, run_key: str) -> PinnedModel:
        """Return the model file as it stands; a check that has begun goes on as it began."""
        from evergreen.loading import load_model

        try:
            return load_model(self.model_file)
        except InvalidModelFile:
            begun = recall(workspace, "check_started", run_key, Check)
            if begun is None:
                raise
            log.warning("the model file broke since the check began; it goes on as it began")
            return begun.model
