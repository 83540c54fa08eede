"""The queue of retrain requests: rows of the ledger, of which every one ends, and none is served twice.

    asked ── taken by a run ── closed with that run's outcome
       └──── superseded by a request of a later as-of, closed with the outcome of the run that took that

The ledger's rows are the truth; an event in Airflow is only a wake-up. What is taken or closed is
written under the model's lease for retraining: while that is ours no other run is at work, so whoever
took a request and did not end was killed, and the request is open again. Unless the ledger knows what
that run came to all the same; then the request is closed with that first. An entry's key is made of the
request's key, but for `request_taken`, which counts per run.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime
from typing import Literal

from evergreen.approval_questions import waits
from evergreen.entry_keys import entry_key
from evergreen.failpoints import failpoint
from evergreen.ports import Lease
from evergreen.results import Outcome, RunReport, from_json, to_json
from evergreen.retraining import PastRequest
from evergreen.steps.memory import last_entry, model_of, recall, record_next
from evergreen.steps.summary import summarise
from evergreen.watch_questions import past_requests
from evergreen.watch_results import RequestClosed, RequestOutcome, RequestTaken, RetrainRequest
from evergreen.workspace import Workspace

log = logging.getLogger(__name__)

Serves = Literal["none", "earlier", "newest"]
"""Which requests a run serves.

    none     none: it fills in history, or only registers
    earlier  of those with an as-of up to its own the newest, for it trains on later rows than asked for
    newest   the newest: it was woken for it, takes its as-of, and without one has nothing to do
"""

MOST_RUNS = 3
"""How many runs may be abandoned on one request before it counts as failed."""

_ENDS: dict[Outcome, RequestOutcome] = {
    "promoted": "promoted",
    "kept": "kept",
    "registered": "registered",
    "rejected": "rejected",
    "failed": "failed",
}


def ask(workspace: Workspace, request: RetrainRequest, lease: Lease) -> RetrainRequest:
    """Put a request into the queue and return it; one of the same key stands as it was asked first.

    Args:
        workspace: The ports.
        request: Its key is the run key of the check that asks, so a check asks once.
        lease: The check's.

    Raises:
        LeaseLost: the check's lease was taken over.
    """
    key = entry_key("retrain_requested", request.key)
    standing = workspace.ledger.find(key)
    if standing is not None:
        return from_json(RetrainRequest, standing.body)
    workspace.ledger.append("retrain_requested", key, to_json(request), lease)
    failpoint("requests.asked")
    log.info("asked for a retrain as of %s: %s", request.as_of, request.reason)
    return request


def open_requests(workspace: Workspace, model: str) -> list[PastRequest]:
    """Return the requests that have not ended, by as-of; those that a run is serving are among them."""
    return [past for past in past_requests(workspace.ledger, model) if past.open]


def take(
    workspace: Workspace, run_key: str, lease: Lease, up_to: datetime | None = None
) -> RetrainRequest | None:
    """Return the request that this run serves: the newest open one by as-of, or None.

    Safe to repeat: a run that took one before is given that again, unless another run took it since.

    Args:
        workspace: The ports.
        run_key: The retrain.
        lease: The model's lease for retraining.
        up_to: Only requests with an as-of up to this one; None: any.

    Raises:
        LeaseLost: another run took over.
    """
    workspace.ledger.check(lease)
    _end_those_of_ended_runs(workspace, run_key, lease)
    requests = past_requests(workspace.ledger, lease.model)
    mine = _served_by(run_key, requests)
    if mine is not None:
        return mine.request
    fitting = [
        past.request
        for past in requests
        if past.open
        and (up_to is None or past.request.as_of <= up_to)
        and not waits_for_people(workspace, past)
    ]
    if not fitting:
        return None
    request = fitting[-1]
    record_next(workspace, "request_taken", run_key, RequestTaken(request.key, run_key), lease)
    failpoint("requests.taken")
    log.info("serves the request of %s as of %s", request.key, request.as_of)
    return request


def close(workspace: Workspace, run_key: str, outcome: Outcome, lease: Lease) -> None:
    """End the request that a run took with the run's outcome, and with it the older ones still open.

    Safe to repeat; a run that was cleared and came to something else ends them with that anew.

    Raises:
        LeaseLost: another run took over.
    """
    requests = past_requests(workspace.ledger, model_of(run_key))
    served = _served_by(run_key, requests)
    if served is None or outcome not in _ENDS:
        return
    key, end = served.request.key, _ENDS[outcome]
    for past in requests:
        ours = past.open or (past.taken_by == run_key and past.superseded_by == key)
        if past is not served and ours and past.request.as_of <= served.request.as_of:
            _end(workspace, RequestClosed(past.request.key, run_key, end, key), lease)
    # The one that was taken comes last: until it is closed, the next run knows that something is left.
    _end(workspace, RequestClosed(key, run_key, end), lease)


def outcome_of(workspace: Workspace, past: PastRequest) -> Outcome | None:
    """Return what the run came to that took a request, is not at work, and did not close it.

    None: it did not end, was abandoned before it came to anything, or found its model paused when it was
    tried again; the request is open again.
    """
    run_key = str(past.taken_by)
    outcome = summarise(workspace, run_key).outcome
    if outcome == "skipped":
        return None
    if outcome != "failed":
        return outcome
    said = recall(workspace, "run_finished", run_key, RunReport)
    if said is None or said.outcome != "failed":
        return None
    return outcome if not said.abandoned or gives_up(workspace, run_key) else None


def gives_up(workspace: Workspace, run_key: str) -> bool:
    """Return whether the request that a run took has cost as many runs as one may."""
    taken = [
        from_json(RequestTaken, entry.body)
        for entry in workspace.ledger.entries(model=model_of(run_key), kind="request_taken")
    ]
    mine = {taking.key for taking in taken if taking.run_key == run_key}
    return any(
        len({taking.run_key for taking in taken if taking.key == key}) >= MOST_RUNS for key in mine
    )


def _served_by(run_key: str, requests: Sequence[PastRequest]) -> PastRequest | None:
    """Return the request that a run took and that no other run took, or superseded, since."""
    mine = (past for past in requests if past.taken_by == run_key and past.superseded_by is None)
    return next(mine, None)


def waits_for_people(workspace: Workspace, past: PastRequest) -> bool:
    """Return whether the run that took a request won and waits for approval; it keeps the request."""
    taken_by = past.taken_by
    return taken_by is not None and waits(workspace.ledger, taken_by, workspace.now()) is not None


def _end_those_of_ended_runs(workspace: Workspace, run_key: str, lease: Lease) -> None:
    """Close what other runs served that were killed before they could say so."""
    for past in past_requests(workspace.ledger, lease.model):
        if past.open and past.taken_by not in (None, run_key):
            taken_by = str(past.taken_by)
            outcome = outcome_of(workspace, past)
            if outcome is None:
                log.warning("run %s did not end; its request is open again", taken_by)
            else:
                close(workspace, taken_by, outcome, lease)


def _end(workspace: Workspace, end: RequestClosed, lease: Lease) -> None:
    last = last_entry(workspace, "request_closed", end.key)
    if last is None or from_json(RequestClosed, last.body) != end:
        record_next(workspace, "request_closed", end.key, end, lease)
        failpoint("requests.closed")
        log.info("request %s: %s", end.key, end.outcome)
