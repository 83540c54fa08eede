"""Requests for a retrain: each ends, is served, or is told to people as stuck."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from evergreen.entry_keys import entry_key
from evergreen.hand_questions import standing
from evergreen.ports import Lease
from evergreen.reconcile_results import Finding
from evergreen.retraining import PastRequest
from evergreen.steps.reconcile.circumstances import Circumstances
from evergreen.steps.reconcile.runs import unended
from evergreen.steps.requests import close, open_requests, outcome_of, waits_for_people
from evergreen.workspace import Workspace


def look(workspace: Workspace, model: str, circumstances: Circumstances) -> Iterator[Finding]:
    """Yield requests that their run did not close, and the newest that no run serves."""
    waiting = open_requests(workspace, model)
    at_work = unended(workspace.ledger, model) if any(past.taken_by for past in waiting) else ()
    unserved: PastRequest | None = None
    for past in waiting:
        if past.taken_by is None:
            unserved = past
        elif past.taken_by not in at_work and not waits_for_people(workspace, past):
            outcome = outcome_of(workspace, past)
            if outcome is None:
                unserved = past
            else:
                yield Finding(
                    model,
                    "unended_request",
                    f"{past.request.key}/{past.taken_by}",
                    f"run {past.taken_by} ended and did not close the request as of "
                    f"{past.request.as_of:%Y-%m-%d %H:%M} that it served",
                    f"the request is closed: {outcome}",
                    command=f"evergreen history {model} --watch",
                )
    if unserved is not None:
        yield from _unserved(workspace, model, unserved, circumstances)


def stuck(workspace: Workspace, model: str, circumstances: Circumstances) -> Iterator[Finding]:
    """Yield the requests that are older than any should become; one that waits for people is not."""
    for past in open_requests(workspace, model):
        since = _asked_at(workspace, past)
        if circumstances.now < since + circumstances.stuck_after or waits_for_people(workspace, past):
            continue
        held = standing(workspace.ledger, model).paused.get("retrain")
        why = "no run took it" if past.taken_by is None else f"run {past.taken_by} took it"
        if held is not None:
            why = f"the retrain is paused {held}"
        yield Finding(
            model,
            "stuck_request",
            past.request.key,
            f"the {past.request.asked_by}'s request for a retrain as of "
            f"{past.request.as_of:%Y-%m-%d %H:%M} UTC waits since {since:%Y-%m-%d %H:%M} UTC: {why}",
            "see why no retrain serves it (a paused DAG, no scheduler, no free slot), or run it by hand",
            mends=False,
            command=f"evergreen run {model} --requested",
        )


def mend(workspace: Workspace, finding: Finding, lease: Lease) -> None:
    """Close what a run that ended left open. Safe to repeat.

    Raises:
        LeaseLost: another run took over.
    """
    for past in open_requests(workspace, finding.model):
        if past.taken_by and finding.refers_to == f"{past.request.key}/{past.taken_by}":
            outcome = outcome_of(workspace, past)
            if outcome is not None:
                close(workspace, past.taken_by, outcome, lease)


def wake(workspace: Workspace, finding: Finding, circumstances: Circumstances) -> None:
    """Wake the retrain that is to serve a request; one more time does no harm."""
    for past in open_requests(workspace, finding.model):
        if past.request.key == finding.refers_to and circumstances.wake is not None:
            circumstances.wake(past.request, finding.model)


def _unserved(
    workspace: Workspace, model: str, past: PastRequest, circumstances: Circumstances
) -> Iterator[Finding]:
    if circumstances.now < _asked_at(workspace, past) + circumstances.wake_after:
        return
    if standing(workspace.ledger, model).paused.get("retrain") is not None or circumstances.begins(
        model
    ):
        return
    wakes = circumstances.wake is not None
    yield Finding(
        model,
        "unserved_request",
        past.request.key,
        f"no run serves the {past.request.asked_by}'s request for a retrain as of "
        f"{past.request.as_of:%Y-%m-%d %H:%M} UTC",
        "the retrain is woken again" if wakes else "evergreen__reconcile wakes the retrain, or run it",
        mends=wakes,
        command=f"evergreen run {model} --requested",
    )


def _asked_at(workspace: Workspace, past: PastRequest) -> datetime:
    entry = workspace.ledger.find(entry_key("retrain_requested", past.request.key))
    if entry is None:
        raise AssertionError("a request is an entry")
    return entry.at
