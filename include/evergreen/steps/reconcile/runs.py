"""Runs that began, are at work no more, and never said what they came to.

Such a run is closed with what the ledger says of it: a run that released, and was killed before its
report, is promoted. Where that is nothing, it failed: abandoned. A run that comes back all the same goes
on where it stopped, and says at its end what it came to then.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime

from evergreen.approval import expired, lets_release
from evergreen.approval_questions import TIME_TO_TAKE_A_FORM, standing
from evergreen.approval_results import Asked
from evergreen.entry_keys import run_key_of
from evergreen.failpoints import failpoint
from evergreen.hand_questions import unfinished_release
from evergreen.ports import Entry, Lease, Ledger
from evergreen.reconcile_results import Finding
from evergreen.results import RunReport
from evergreen.run_keys import is_retrain
from evergreen.steps.memory import last_entry, model_of
from evergreen.steps.reconcile.circumstances import Circumstances
from evergreen.steps.report import BEGINNINGS, conclude
from evergreen.steps.summary import RESULT_OF, summarise
from evergreen.workspace import Workspace

SIGNS = (*RESULT_OF.values(), "request_taken", "step_failed", "release_intended", "approval_answered")
"""By what a run is seen to be alive, beside its lease."""


def look(workspace: Workspace, model: str, circumstances: Circumstances) -> Iterator[Finding]:
    """Yield the runs that are gone, and that nothing is heard of any more."""
    for run_key in unended(workspace.ledger, model):
        if _may_come_back(workspace, run_key, circumstances):
            continue
        outcome = summarise(workspace, run_key).outcome
        if outcome == "waiting":
            continue
        yield Finding(
            model,
            "abandoned_run",
            f"{run_key}/{_last_sign(workspace, run_key).seq}",
            f"run {run_key} began and never said what it came to; the last that was heard of it is of "
            f"{_heard(workspace, run_key):%Y-%m-%d %H:%M} UTC",
            "it is closed with what becomes of its release"
            if is_to_release(workspace, run_key)
            else f"it is closed as {outcome}",
            command=f"evergreen history {model}",
        )


def mend(workspace: Workspace, finding: Finding, lease: Lease) -> None:
    """Close the run with what it came to, and its request with it. Safe to repeat.

    A request of a run that was abandoned is served anew, unless it has cost too many runs already.

    Raises:
        LeaseLost: another run took over.
    """
    run_key = run_of(finding)
    result = summarise(workspace, run_key)
    if result.outcome == "failed":
        result = _abandoned(result, finding.words)
    conclude(workspace, run_key, result, lease)
    failpoint("reconcile.run_ended")


def run_of(finding: Finding) -> str:
    """Return the key of the run that a finding of this area is about."""
    return finding.refers_to.rpartition("/")[0]


def unended(ledger: Ledger, model: str) -> list[str]:
    """Return the keys of the retrains that did not end, in the order in which they last began."""
    newest: dict[str, Entry] = {}
    for kind in BEGINNINGS:
        for entry in ledger.entries(model=model, kind=kind):
            run_key = run_key_of(entry.key)
            if is_retrain(run_key) and (run_key not in newest or newest[run_key].seq < entry.seq):
                newest[run_key] = entry
    for entry in ledger.entries(model=model, kind="run_finished"):
        run_key = run_key_of(entry.key)
        if run_key in newest and newest[run_key].seq < entry.seq:
            del newest[run_key]
    return sorted(newest, key=lambda run_key: newest[run_key].seq)


def _may_come_back(workspace: Workspace, run_key: str, circumstances: Circumstances) -> bool:
    ended = circumstances.run_ended(run_key)
    if ended is not None:
        return not ended
    if circumstances.now < _heard(workspace, run_key) + circumstances.grace:
        return True
    told = standing(workspace.ledger, run_key)
    if told is None:
        return False
    if told.answered is None:
        return not _forgotten(told.asked, circumstances)  # it is closed once its question is
    if not lets_release(told.asked, told.answered):
        return False
    return not expired(told.asked, told.answered, circumstances.now)


def _forgotten(asked: Asked, circumstances: Circumstances) -> bool:
    """Return whether a question will never end: the scheduler has no such run, and its time is over."""
    late = asked.deadline + TIME_TO_TAKE_A_FORM + circumstances.grace
    return circumstances.wake is not None and late <= circumstances.now


def is_to_release(workspace: Workspace, run_key: str) -> bool:
    """Return whether a run's release was decided last of its model's, and is not carried out."""
    begun = unfinished_release(workspace.ledger, model_of(run_key))
    return begun is not None and begun.run_key == run_key


def _heard(workspace: Workspace, run_key: str) -> datetime:
    return _last_sign(workspace, run_key).at


def _last_sign(workspace: Workspace, run_key: str) -> Entry:
    found = [one for kind in SIGNS if (one := last_entry(workspace, kind, run_key)) is not None]
    by_somebody = (one for one in found if one.body.get("answer") != "timeout")
    return max(by_somebody, key=lambda one: one.seq)


def _abandoned(result: RunReport, words: str) -> RunReport:
    """Return the report of a run that failed without a word, with the words that are said for it."""
    *before, reason = result.lines or ("",)
    name, _, _ = result.summary.partition(":")
    lines = tuple(filter(None, (*before, reason, f"abandoned: {words}")))
    return replace(result, summary=f"{name}: failed (abandoned: {words})", lines=lines, abandoned=True)
