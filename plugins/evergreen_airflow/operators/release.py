"""Puts the version before its traffic; skipped where nothing is to be released."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evergreen import steps
from evergreen.steps.memory import retrain_of
from evergreen.steps.summary import summarise
from evergreen_airflow.step_operator import Outcome, Run, StepOperator

if TYPE_CHECKING:
    from evergreen.workspace import Workspace


class ReleaseOperator(StepOperator):
    """Releases the version."""

    summary = "Makes the new version the champion."

    def run_step(self, workspace: Workspace, run: Run) -> Outcome:
        """Release, or find the release."""
        released = steps.release(workspace, run.key)
        if released is None:
            asked = retrain_of(workspace, run.key).release == "never"
            why = "as was asked" if asked else summarise(workspace, run.key).summary
            return Outcome(None, f"nothing was released, {why}", skipped=True)
        before = "nothing" if released.previous is None else f"version {released.previous}"
        line = f"version {released.version.number} serves on {released.target}; before it: {before}"
        return Outcome(released, line)
