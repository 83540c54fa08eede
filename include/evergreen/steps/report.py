"""Say what the run came to and why, end its request, and give the model's lease back.

Runs however the run went, and leaves a checkpoint of the ledger.
"""

from __future__ import annotations

import logging

from evergreen.errors import LeaseHeld, LeaseLost, LedgerBehind
from evergreen.failpoints import failpoint
from evergreen.ports import Lease
from evergreen.results import RunReport, StepFailure, from_json
from evergreen.run_keys import is_retrain
from evergreen.steps import requests
from evergreen.steps.memory import last_entry, recall, record_next
from evergreen.steps.summary import summarise
from evergreen.steps.witness import refuse_behind, witness_quietly
from evergreen.workspace import Workspace

log = logging.getLogger(__name__)

BEGINNINGS = ("run_started", "request_taken", "step_failed", "approval_asked", "release")
"""What a run may write last before it is to say what it came to, or anew once it had."""


def report(workspace: Workspace, run_key: str, failure: str | None = None) -> RunReport:
    """Return what the run came to, record it as the run's end, and end the request that it served.

    Args:
        workspace: The ports.
        run_key: The run.
        failure: What the caller knows of a failure that no step could write down (a killed task).

    Raises:
        LeaseHeld: something that takes a moment holds the lease; try again.
    """
    result = summarise(workspace, run_key, failure)
    try:
        refuse_behind(workspace.ledger, workspace.checkpoints)
    except LedgerBehind as exc:
        log.error("not recorded: %s", exc)
        return result
    try:
        lease = workspace.ledger.acquire(result.model, run_key)
    except LeaseHeld as exc:
        holder = workspace.ledger.holder(result.model)
        if holder is None or not is_retrain(holder):
            raise  # for a moment only: a pass that looks for crashes, or a rollback
        log.warning("not recorded, another run holds the lease: %s", exc)
        return result
    try:
        # Told again under the lease: a try that was taken for dead may have done something since.
        result = summarise(workspace, run_key, failure)
        conclude(workspace, run_key, result, lease)
    except LeaseLost as exc:
        log.warning("not recorded, another run took the lease over: %s", exc)
    finally:
        workspace.ledger.free(lease)
    witness_quietly(workspace.ledger, workspace.checkpoints)
    log.info("outcome=%s %s", result.outcome, result.summary)
    return result


def conclude(workspace: Workspace, run_key: str, result: RunReport, lease: Lease) -> None:
    """Record what a run came to as its end, and end the request that it served. Safe to repeat.

    The request of a run that was abandoned stays open for another, unless it has cost enough runs.

    Raises:
        LeaseLost: another run took over.
    """
    record_end(workspace, run_key, result, lease)
    if not result.abandoned or requests.gives_up(workspace, run_key):
        requests.close(workspace, run_key, result.outcome, lease)


def record_end(workspace: Workspace, run_key: str, result: RunReport, lease: Lease) -> None:
    """Record what a run came to as its end, unless that is the last that it said. Safe to repeat.

    Raises:
        LeaseLost: another run took over.
    """
    if not _said_already(workspace, run_key, result):
        record_next(workspace, "run_finished", run_key, result, lease)
        failpoint("report.recorded")


def failed_for_good(workspace: Workspace, run_key: str) -> bool:
    """Return whether a run has ended without a decision, and trying it again cannot mend that."""
    ended = recall(workspace, "run_finished", run_key, RunReport)
    if ended is None or ended.outcome != "failed":
        return ended is not None and ended.outcome == "rejected"
    noted = recall(workspace, "step_failed", run_key, StepFailure)
    return noted is not None and not noted.retryable


def _said_already(workspace: Workspace, run_key: str, result: RunReport) -> bool:
    """Return whether a run ended so before, and has not begun anything since."""
    last = last_entry(workspace, "run_finished", run_key)
    if last is None or from_json(RunReport, last.body) != result:
        return False
    begun = (last_entry(workspace, kind, run_key) for kind in BEGINNINGS)
    return all(one is None or one.seq < last.seq for one in begun)
