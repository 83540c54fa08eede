"""What people decide over the heads of the runs: written down, and respected by the steps.

A deed is written under the model's lease for deeds, which everybody takes over from everybody at once:
it is held for the moment of one entry, so nobody waits, and of two people at once the second one sees
what the first one did. A retrain at work is not in the way.

A pause takes effect where a run begins. A run that has begun goes on to its end, and releases nothing:
neither a pinned model nor one whose retrain is paused has anything released, but by a rollback. What had
been decided before (an intent in the ledger) is carried out all the same.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

from evergreen.entry_keys import entry_key
from evergreen.errors import NotAllowed, Paused
from evergreen.failpoints import failpoint
from evergreen.hand import PAUSABLE, Deed, Pausable, Standing
from evergreen.hand_questions import RolledBack, decided, rolled_back, standing
from evergreen.ports import Lease
from evergreen.results import Candidate, Release, Retrain, Withheld, from_json, to_json
from evergreen.steps.brief_lease import briefly
from evergreen.steps.memory import last_entry, model_of, need, record_next
from evergreen.steps.witness import refuse_behind
from evergreen.text import plain
from evergreen.workspace import Workspace

log = logging.getLogger(__name__)

GOES_ON_WITH = ("comparison", "approval_asked", "release_intended", "step_failed")
"""What a run whose release was withheld writes where it is cleared and comes further than that."""


@dataclass(frozen=True, slots=True)
class Done:
    """What stands after a deed; `changed` is False where that stood before and nothing was written."""

    standing: Standing
    changed: bool


def do(workspace: Workspace, model: str, deed: Deed) -> Done:
    """Write a deed down, unless what it asks for stands already. Safe to repeat.

    Args:
        workspace: The ports.
        model: The model.
        deed: Anything but a rollback, which `rollback.py` does. The version of a pin is found here.

    Raises:
        NotAllowed: a pin of a model without a champion, or on a version that is not the champion.
        LeaseLost: others decided about the model again and again at the same time.
        LedgerBehind: a checkpoint contradicts the ledger; nothing was written.
    """
    refuse_behind(workspace.ledger, workspace.checkpoints)
    return briefly(workspace.ledger, model, "hand", lambda lease: _do(workspace, lease, deed))


def _do(workspace: Workspace, lease: Lease, deed: Deed) -> Done:
    model = lease.model
    before = standing(workspace.ledger, model)
    if deed.action == "pin" and (before.pinned is None or deed.version is not None):
        deed = _on_the_champion(workspace, model, deed)
    if not _needed(before, deed):
        return Done(before, changed=False)
    key = entry_key("hand", f"{model}/hand/{lease.epoch}")  # of this duty and model, there is one
    entry = workspace.ledger.append("hand", key, to_json(deed), lease)
    failpoint("hand.recorded")
    log.info("%s of %s by %s: %s", deed.action, model, deed.who, deed.why)
    return Done(before.after(deed, entry.at, entry.seq), changed=True)


def _needed(before: Standing, deed: Deed) -> bool:
    duties = PAUSABLE if deed.only is None else (deed.only,)
    match deed.action:
        case "pin":
            return before.pinned is None
        case "unpin":
            return before.pinned is not None
        case "pause":
            return any(duty not in before.paused for duty in duties)
        case "resume":
            return any(duty in before.paused for duty in duties)
        case "rollback":
            raise AssertionError("a rollback is more than a deed")


def _on_the_champion(workspace: Workspace, model: str, deed: Deed) -> Deed:
    """Return the pin with its version: the champion, or the one that is being released by now."""
    champion = decided_champion(workspace, model)
    if champion is None:
        raise NotAllowed(
            "the model has no champion yet: there is nothing to pin",
            where=model,
            fix="to keep it from being retrained: evergreen pause",
        )
    if deed.version not in (None, champion.version.number):
        raise NotAllowed(
            "only the champion can be pinned",
            where=model,
            got=f"version {deed.version}",
            allowed=f"version {champion.version.number}",
            fix=f'make it champion first: evergreen rollback {model} --to {deed.version} --why "…"',
        )
    return Deed(deed.action, deed.who, deed.why, champion.version.number)


def decided_champion(workspace: Workspace, model: str) -> Release | None:
    """Return whom the ledger decided on last, whether or not the world has followed yet."""
    found = decided(workspace.ledger, model)
    return None if found is None else found[1]


def refuse_paused(workspace: Workspace, run_key: str, duty: Pausable) -> None:
    """Refuse to begin a run of a duty that somebody paused; a run that has begun goes on.

    Raises:
        Paused: somebody did.
    """
    if last_entry(workspace, _BEGINS_WITH[duty], run_key) is not None:
        return
    model = model_of(run_key)
    said = standing(workspace.ledger, model).paused.get(duty)
    if said is not None:
        raise Paused(
            f"paused {said}",
            where=f"{model}, {duty}",
            fix=f'nothing was begun; to go on: evergreen resume {model} --why "…"',
        )


_BEGINS_WITH: dict[Pausable, str] = {
    "retrain": "run_started",
    "score": "scored",
    "monitor": "check_started",
}


def withhold(workspace: Workspace, run_key: str, now: Standing, lease: Lease) -> str | None:
    """Return why a run that won may release nothing, noted for its report; None where it may."""
    why = now.withheld
    if why is not None and withheld(workspace, run_key) != why:
        record_next(workspace, "release_withheld", run_key, Withheld(why), lease)
        failpoint("hand.withheld")
        log.warning("nothing is released: %s", why)
    return why


def withheld(workspace: Workspace, run_key: str) -> str | None:
    """Return why a person's word keeps a run from releasing; None where it went on or failed since."""
    entry = last_entry(workspace, "release_withheld", run_key)
    if entry is None:
        return None
    others = (last_entry(workspace, kind, run_key) for kind in GOES_ON_WITH)
    if any(other is not None and other.seq > entry.seq for other in others):
        return None
    return from_json(Withheld, entry.body).why


def forbidden_by_hand(workspace: Workspace, retrain: Retrain, champion: Release | None) -> str | None:
    """Return why a run may not replace a champion that a person chose, or None where it may.

    It may not where it made again what was rolled back, nor where it knows less than the person did.
    """
    candidate = need(workspace, "candidate", retrain.run_key, Candidate)
    gone = rolled_back(workspace.ledger, retrain.model.spec.name).get(candidate.key)
    if gone is not None:
        return _again(gone)
    if champion is None or champion.restored is None or champion.as_of <= retrain.windows.as_of:
        return None
    deed = champion.restored.deed
    return (
        f"kept: {plain(deed.who, 100)} brought version {champion.version.number} back as of "
        f"{champion.as_of:%Y-%m-%d %H:%M}, after this run's as-of; a later as-of is free to win"
    )


def _again(gone: RolledBack) -> str:
    who, why = plain(gone.said.who, 100), plain(gone.said.why, 150)
    when = f"{gone.said.since:%Y-%m-%d %H:%M} UTC"
    return f"kept: this made version {gone.version} again, which {who} rolled back on {when}: {why}"
