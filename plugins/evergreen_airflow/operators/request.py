"""Decides on a retrain, and wakes the retrain DAG where one is asked for and not yet served."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, ClassVar

from evergreen.ports import Duty
from evergreen.redaction import redact
from evergreen.steps.watch.request import request
from evergreen_airflow.assets import retrain_request
from evergreen_airflow.run_note import write_note
from evergreen_airflow.step_operator import Outcome, Run, StepOperator

if TYPE_CHECKING:
    from evergreen.workspace import Workspace

log = logging.getLogger(__name__)


class RequestOperator(StepOperator):
    """Writes a request where the policy says so, and emits the event that wakes `NAME__retrain`.

    The event is only a wake-up: it is emitted at every check for as long as a request stands open, so
    that a lost one costs one check's time. The request itself is a row of the ledger.
    """

    summary = "Decides on a retrain; wakes the retrain DAG while a request stands open."
    duty: ClassVar[Duty] = "monitor"
    tells = True

    def __init__(self, *, model: str, **kwargs: Any) -> None:
        super().__init__(model=model, outlets=[retrain_request(model)], **kwargs)

    def run_step(self, workspace: Workspace, run: Run) -> Outcome:
        """Decide; without an open request the task is skipped, and a skipped task emits no event."""
        decision = request(workspace, run.key)
        for line in decision.reasons:
            log.info("%s", redact(line))
        write_note(
            run.context["dag_run"], (f"{decision.action}: {decision.reasons[0]}", *decision.reasons[1:])
        )
        line = f"{decision.action}: {'; '.join(decision.reasons)}"
        if not decision.open_requests:
            return Outcome(decision, line, skipped=True)
        event = run.context["outlet_events"][retrain_request(self.model)]
        reason = decision.request.reason if decision.request else "a request stands open"
        event.extra = {"request": decision.open_requests[-1], "reason": redact(reason)[:300]}
        return Outcome(decision, line)
