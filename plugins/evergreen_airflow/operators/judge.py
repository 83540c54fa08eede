"""Judges what was measured: quiet, alarm, or not enough data."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, ClassVar

from evergreen.ports import Duty
from evergreen.redaction import redact
from evergreen.steps.watch.judge import judge
from evergreen_airflow.step_operator import Outcome, Run, StepOperator

if TYPE_CHECKING:
    from evergreen.workspace import Workspace

log = logging.getLogger(__name__)


class JudgeOperator(StepOperator):
    """Holds what was measured against the owner's budget of false alarms."""

    summary = "Holds what was measured against the budget of false alarms."
    duty: ClassVar[Duty] = "monitor"

    def run_step(self, workspace: Workspace, run: Run) -> Outcome:
        """Make or find the verdict; an alarm is told in the log, and is no failure."""
        verdict = judge(workspace, run.key)
        for line in verdict.words:
            log.info("%s", redact(line))
        spoke = f" ({verdict.spoke})" if verdict.spoke else ""
        return Outcome(verdict, f"{verdict.answer}{spoke}: {'; '.join(verdict.words[:1])}")
