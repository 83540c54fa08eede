"""Accept a ledger that its checkpoints contradict: what people do after restoring an older backup.

What the world heard from the lost past stays behind: every lease is taken away, and lease epochs and
release fences go on above all that were ever given out (see `checkpoints.PER_ERA`).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from evergreen.checkpoints import LEDGER, PER_ERA, Adoption, Checkpoint, held_against
from evergreen.entry_keys import entry_key
from evergreen.errors import NotAllowed
from evergreen.failpoints import failpoint
from evergreen.ports import Entry, Ledger, Registered, Registry
from evergreen.results import Version, from_json, to_json
from evergreen.steps.eras import adoptions, era_of
from evergreen.steps.witness import witness_quietly
from evergreen.text import plain
from evergreen.witness_ports import CheckpointPlace

log = logging.getLogger(__name__)

MOST_LISTED = 50


@dataclass(frozen=True, slots=True)
class Loss:
    """What adopting a ledger would give up.

    `agreed` is the last entry that a checkpoint vouches for, `head` the ledger's newest one, `newest`
    the newest checkpoint that it contradicts, `since` the lowest `seq` of those. `unknown` lists the
    registry's versions that the ledger does not know.
    """

    head: Entry | None
    agreed: int
    newest: Checkpoint
    since: int
    era: int
    unknown: tuple[str, ...]


def loss(ledger: Ledger, places: Sequence[CheckpointPlace], registry: Registry) -> Loss | None:
    """Return what adopting the ledger would give up; None where no checkpoint contradicts it.

    Only reads, every checkpoint of every place.

    Raises:
        StoreUnavailable: a place or the registry did not answer: what is lost cannot be told.
    """
    head = ledger.newest()
    kept = [one for place in places for _, one in place.found() if one is not None]
    held = held_against(kept, ledger.at, head.seq if head else 0, adoptions(ledger))
    if not held.contradictions:
        return None
    wrong = [one.checkpoint for one in held.contradictions]
    return Loss(
        head=head,
        agreed=held.agreed,
        newest=max(wrong, key=lambda one: one.place_in_time),
        since=wrong[0].seq,
        era=max(era_of(ledger), *(one.era for one in kept)) + 1,
        unknown=unknown_versions(ledger, registry),
    )


def adopt(
    ledger: Ledger, places: Sequence[CheckpointPlace], found: Loss, who: str, why: str
) -> Adoption:
    """Write down that the ledger is accepted as it is. Safe to repeat.

    Args:
        ledger: The ledger; its own chain must verify.
        places: Where the checkpoint of the new era is kept at once, as far as they answer.
        found: What `loss` said.
        who: The person.
        why: Their reason.

    Raises:
        LeaseLost: the ledger grew since `found`; a person should look again.
        NotAllowed: the loss was made up of another ledger.
    """
    if found.era <= era_of(ledger):
        raise NotAllowed("the ledger was adopted meanwhile; nothing was changed", where="ledger")
    left = len(found.unknown) - MOST_LISTED
    unknown = (*found.unknown[:MOST_LISTED], *([f"and {left} more"] if left > 0 else []))
    adoption = Adoption(found.era, found.since, found.newest.text(), who, why, unknown)
    key = entry_key("adopted", f"{LEDGER}/{found.era}")
    ledger.adopt(key, to_json(adoption), after=found.head, epochs_above=found.era * PER_ERA)
    failpoint("adopt.recorded")
    witness_quietly(ledger, places)
    log.warning("the ledger was adopted by %s, era %d: %s", who, found.era, why)
    return adoption


def unknown_versions(ledger: Ledger, registry: Registry) -> tuple[str, ...]:
    """Return, in words, the versions that Evergreen registered and the ledger does not know.

    Raises:
        StoreUnavailable: the registry did not answer.
    """
    known = {
        (version.name, version.number): version.candidate_key
        for version in (from_json(Version, entry.body) for entry in ledger.entries(kind="version"))
    }
    return tuple(
        _words(one)
        for one in registry.registered()
        if known.get((one.name, one.number)) != one.candidate_key
    )


def _words(one: Registered) -> str:
    aliases = f" ({', '.join(one.aliases)})" if one.aliases else ""
    run = f", of run {one.run_key}" if one.run_key else ""
    return plain(
        f"{one.name} version {one.number}{aliases}: candidate {one.candidate_key[:12]}{run}", 300
    )
