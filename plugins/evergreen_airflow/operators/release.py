"""Puts the version before its traffic; skipped where nothing is to be released."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evergreen import steps
from evergreen.results import Withheld
from evergreen.steps.memory import recall, retrain_of
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
            return Outcome(None, f"nothing was released, {_why(workspace, run.key)}", skipped=True)
        before = "nothing" if released.previous is None else f"version {released.previous}"
        line = f"version {released.version.number} serves on {released.target}; before it: {before}"
        return Outcome(released, line)


def _why(workspace: Workspace, run_key: str) -> str:
    withheld = recall(workspace, "release_withheld", run_key, Withheld)
    if withheld is not None:
        return f"for {withheld.why}"
    asked = retrain_of(workspace, run_key).release == "never"
    return "as was asked" if asked else "the champion moved and is now kept"
