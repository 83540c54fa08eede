"""Make the world follow what the ledger decided: alias, target, and the record that it was done.

The lease is checked before each write to the world, and the target refuses a writer older than the one
it last heard of. So a process that was stopped and wakes again cannot put an old version back.
"""

from __future__ import annotations

import logging
from contextlib import suppress

from evergreen.entry_keys import entry_key, run_key_of
from evergreen.errors import (
    ArtefactDamaged,
    ChampionMoved,
    LeaseLost,
    RegistryDisagrees,
    StoreUnavailable,
)
from evergreen.failpoints import failpoint
from evergreen.hand_questions import decided, unfinished_release
from evergreen.ports import Entry, Lease, Pointer
from evergreen.results import GivenUp, Release, Version, from_json
from evergreen.steps.eras import fence_of
from evergreen.steps.memory import recall, record
from evergreen.workspace import Workspace

log = logging.getLogger(__name__)


def settle(workspace: Workspace, model: str, lease: Lease) -> None:
    """Finish a release that was intended and not recorded as done; mend a target that went astray.

    Where the registry lost the version that was to be released, the release is given up.

    Raises:
        StoreUnavailable: the registry or the target did not take the version.
    """
    begun = unfinished_release(workspace.ledger, model)
    if begun is not None and not workspace.registry.holds(begun.version):
        _give_up(workspace, begun, lease)
        begun = None
    found = decided(workspace.ledger, model)
    if found is None:
        return
    entry, release = found
    if begun is not None:
        log.warning("finishing the release that run %s began", begun.run_key)
        finish(workspace, entry, lease)
    elif not serves(workspace, release):
        log.warning("the target does not serve the champion, version %d: mended", release.version.number)
        workspace.ledger.check(lease)
        workspace.deployer.deploy(release, fence_of(workspace.ledger, entry))


def _give_up(workspace: Workspace, begun: Release, lease: Lease) -> None:
    """Write down that a release is not carried out any more: the champion before it stays."""
    why = f"the registry does not hold version {begun.version.number} any more"
    log.error("the release that run %s began is given up: %s", begun.run_key, why)
    record(workspace, "release_given_up", begun.run_key, GivenUp(why, lease.holder), lease)
    failpoint("settle.given_up")


def finish(workspace: Workspace, intended: Entry, lease: Lease) -> Release:
    """Carry out an intent: move the alias, deploy, read back, record. Safe to repeat.

    The alias is read before the lease is checked, and moved from where it was read only. So a process
    that stops after the check, and wakes when others have released, moves nothing; and one that stopped
    before it took its lease finds its release done. Where the target heard of a later release than the
    ledger has (an old copy of it was put back), the alias is left alone, too.

    Raises:
        LeaseLost: another run took over, or the target heard of a later release; what it does stands.
        ArtefactDamaged: the release was given up, for the registry had lost the version.
        StoreUnavailable: the registry or the target did not take the version.
    """
    intent = from_json(Release, intended.body)
    alias = workspace.registry.champion(intent.name)
    workspace.ledger.check(lease)
    if workspace.ledger.find(entry_key("release", intent.run_key)) is not None:
        return intent
    _refuse_what_was_given_up(workspace, intent)
    fence = fence_of(workspace.ledger, intended)
    _refuse_what_is_out_of_date(workspace, intent, fence)
    if alias not in (intent.previous, intent.version.number):
        log.warning("the alias champion is at version %s; the ledger decides", alias)
    workspace.registry.move_champion(intent.version, alias)
    failpoint("release.champion_moved")
    try:
        workspace.ledger.check(lease)
    except LeaseLost:
        _take_back(workspace, intent.version)
        raise
    workspace.deployer.deploy(intent, fence)
    failpoint("release.deployed")
    served = _served(workspace, intent.name)
    if not _serves(served, intent):
        raise StoreUnavailable(
            "the target does not serve what was released",
            where=f"model {intent.name}, target {intent.target}",
            got=served,
            allowed=f"version {intent.version.number}, digest {intent.version.model.digest}",
            fix="look at the target; a retry deploys again",
        )
    if intent.restored is not None:
        # Before the release: whoever finishes what a killed rollback began leaves its deed, too.
        record(workspace, "hand", intent.run_key, intent.restored.deed, lease)
        failpoint("rollback.deed_recorded")
    record(workspace, "release", intent.run_key, intent, lease)
    log.info("champion=%d previous=%s", intent.version.number, intent.previous)
    return intent


def _refuse_what_was_given_up(workspace: Workspace, intent: Release) -> None:
    given_up = recall(workspace, "release_given_up", intent.run_key, GivenUp)
    if given_up is not None:
        raise ArtefactDamaged(
            "this release was given up",
            where=f"run {intent.run_key}",
            got=given_up.why,
            fix="nothing was changed; retrain",
        )


def _refuse_what_is_out_of_date(workspace: Workspace, intent: Release, fence: int) -> None:
    """Refuse before anything is moved what the target would refuse once the alias was moved."""
    served = _served(workspace, intent.name)
    if served is not None and served.fence > fence:
        raise LeaseLost(
            "the target heard of a later release than the ledger has; nothing was changed",
            where=f"model {intent.name}, target {intent.target}",
            got=f"ledger entry {fence}",
            allowed=f"at least ledger entry {served.fence}",
            fix="let the later release stand; was an older backup of the ledger restored?",
        )


def _take_back(workspace: Workspace, moved_to: Version) -> None:
    """Undo a move of the alias that came too late, unless it was moved since, or is about to be."""
    model = moved_to.name
    intended, released = (workspace.ledger.last(model, kind) for kind in ("release_intended", "release"))
    if intended is None or released is None or run_key_of(intended.key) != run_key_of(released.key):
        return
    champion = from_json(Release, released.body).version
    with suppress(ChampionMoved, StoreUnavailable):
        if champion != moved_to:
            workspace.registry.move_champion(champion, moved_to.number)


def put_alias_back(workspace: Workspace, model: str, lease: Lease) -> None:
    """Point the registry's alias at the champion that the ledger has, wherever it is. Safe to repeat.

    Raises:
        LeaseLost: another run took over; what it does stands.
        StoreUnavailable: the registry did not take it.
    """
    last = workspace.ledger.last(model, "release")
    if last is None:
        return
    version = from_json(Release, last.body).version
    alias = workspace.registry.champion(model)
    log.warning("the alias champion is at version %s; the ledger decides", alias)
    workspace.ledger.check(lease)
    workspace.registry.move_champion(version, alias)


def check_alias(workspace: Workspace, version: Version, champion: int | None) -> None:
    """Refuse to release over an alias that somebody moved by hand; nothing was begun yet.

    An alias that the registry lost with a version, or has again from before it, is in nobody's way.

    Raises:
        RegistryDisagrees: the alias is neither at the champion nor at the version.
        StoreUnavailable: the registry did not answer.
    """
    alias = workspace.registry.champion(version.name)
    if alias in (champion, version.number) or _lost_one(workspace, version.name):
        return
    raise RegistryDisagrees(
        "the registry's alias champion is not where the ledger has the champion; nothing was released",
        where=f"registered model {version.name}",
        got="no alias" if alias is None else f"version {alias}",
        allowed="no alias" if champion is None else f"version {champion}",
        fix=f"evergreen reconcile {version.name} puts it back (where there never was a release, "
        "remove it in the registry); then try again: clear the task",
    )


def _lost_one(workspace: Workspace, model: str) -> bool:
    """Return whether the registry lost the champion, or the version that was to become it."""
    newest = (workspace.ledger.last(model, kind) for kind in ("release", "release_intended"))
    versions = [from_json(Release, entry.body).version for entry in newest if entry is not None]
    return not all(workspace.registry.holds(version) for version in versions)


def serves(workspace: Workspace, release: Release) -> bool:
    """Return whether the target serves what was released.

    Raises:
        StoreUnavailable: the target did not answer.
    """
    return _serves(_served(workspace, release.name), release)


def _served(workspace: Workspace, model: str) -> Pointer | None:
    try:
        return workspace.deployer.serving(model)
    except ArtefactDamaged as exc:
        log.warning("what the target serves cannot be told: %s", exc)
        return None


def _serves(pointer: Pointer | None, release: Release) -> bool:
    return pointer is not None and pointer.model.digest == release.version.model.digest
