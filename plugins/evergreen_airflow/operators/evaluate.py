"""Compares challenger and champion; the answer is a value, never an error."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from evergreen import steps
from evergreen.evidence.words import sentences
from evergreen.redaction import redact
from evergreen_airflow.step_operator import Outcome, Run, StepOperator

if TYPE_CHECKING:
    from evergreen.workspace import Workspace

log = logging.getLogger(__name__)


class EvaluateOperator(StepOperator):
    """Compares the challenger with the champion on the same rows."""

    summary = "Compares challenger and champion on the same rows."

    def run_step(self, workspace: Workspace, run: Run) -> Outcome:
        """Compare; the log tells the reasoning in the words that `report` and `explain` use."""
        comparison = steps.evaluate(workspace, run.key)
        answer, *why = sentences(comparison)
        for sentence in why:
            log.info("%s", redact(sentence))
        return Outcome(comparison, answer)
