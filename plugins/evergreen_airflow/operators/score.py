"""Scores the window's rows with the champion; skipped where there is no champion yet."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from evergreen import steps
from evergreen.errors import InvalidModelFile, Paused
from evergreen.steps.memory import recall
from evergreen.watch_results import Scored
from evergreen_airflow.run_context import read_run_context
from evergreen_airflow.step_operator import Outcome, Run, StepOperator

if TYPE_CHECKING:
    from evergreen.workspace import Workspace

log = logging.getLogger(__name__)


class ScoreOperator(StepOperator):
    """Scores rows and puts them into the prediction log, in place of what the window held."""

    summary = "Scores the window's rows with the champion."
    duty = "score"

    def run_step(self, workspace: Workspace, run: Run) -> Outcome:
        """Score, or find what an earlier try scored; skipped where a person paused that."""
        try:
            scored = self._scored(workspace, run)
        except Paused as exc:
            return Outcome(None, str(exc), skipped=True)
        if scored.version is None:
            return Outcome(scored, scored.note, skipped=True)
        return Outcome(
            scored,
            f"{scored.rows} rows of {scored.window} scored by version {scored.version}, "
            f"in the log at {scored.log_uri}",
        )

    def _scored(self, workspace: Workspace, run: Run) -> Scored:
        from evergreen.loading import load_model

        try:
            model = load_model(self.model_file)
        except InvalidModelFile:
            done = recall(workspace, "scored", run.key, Scored)
            if done is None:
                raise
            log.warning("the model file broke since this run scored")
            return done
        asked = read_run_context(self.model, run.context["dag_run"], run.context["params"])
        return steps.score(workspace, run.key, model, asked.as_of, asked.reason)
