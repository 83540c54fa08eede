"""The first task: pins the model file and the windows of the run in the ledger."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from evergreen import steps
from evergreen.errors import InvalidModelFile
from evergreen.results import PinnedModel, Retrain, RunReport
from evergreen.steps.memory import holding, recall
from evergreen_airflow.run_context import read_run_context
from evergreen_airflow.step_operator import Outcome, Run, StepOperator

if TYPE_CHECKING:
    from evergreen.workspace import Workspace


log = logging.getLogger(__name__)


class ResolveWindowOperator(StepOperator):
    """Reads model file, as-of, reason and release wish; no later task looks at them again."""

    summary = "Pins the model file and the windows of this run."

    def run_step(self, workspace: Workspace, run: Run) -> Outcome:
        """Pin the run; what is wrong with what was asked for is noted for `report`, too.

        A run that was woken for a request which another run has served is skipped.
        """
        with holding(workspace, run.key, "resolve_window"):
            asked = read_run_context(self.model, run.context["dag_run"], run.context["params"])
            model = self._model(workspace, run.key)
        retrain = steps.resolve_window(
            workspace,
            run_key=run.key,
            model=model,
            as_of=asked.as_of,
            reason=asked.reason,
            release=asked.release,
            serves=asked.serves,
            woken_by=asked.woken_by,
            triggered_by=asked.triggered_by,
        )
        if isinstance(retrain, RunReport):
            return Outcome(None, retrain.summary, skipped=True)
        windows = retrain.windows
        return Outcome(
            retrain,
            f"as of {windows.as_of.isoformat()}: train {windows.train}, test {windows.test}; "
            f"reason: {retrain.reason}; release: {retrain.release}",
        )

    def _model(self, workspace: Workspace, run_key: str) -> PinnedModel:
        """Return the model file as it stands; a run that has begun goes on even where it broke since."""
        from evergreen.loading import load_model

        try:
            return load_model(self.model_file)
        except InvalidModelFile:
            begun = recall(workspace, "run_started", run_key, Retrain)
            if begun is None:
                raise
            log.warning("the model file broke since the run began; it goes on as it began")
            return begun.model
