"""Which era the ledger is in, and the fences that follow: they grow over a restored backup, too."""

from __future__ import annotations

from collections.abc import Sequence

from evergreen.checkpoints import LEDGER, PER_ERA, Adoption
from evergreen.errors import ChainBroken
from evergreen.ports import Entry, Ledger
from evergreen.results import from_json


def era_of(ledger: Ledger) -> int:
    """Return how many times the ledger was adopted, counted over all that the world has seen of it."""
    newest = ledger.last(LEDGER, "adopted")
    return 0 if newest is None else _adoption(newest).era


def adoptions(ledger: Ledger) -> Sequence[Adoption]:
    """Return every adoption, the first one first."""
    return [_adoption(entry) for entry in ledger.entries(model=LEDGER, kind="adopted")]


def fence_of(ledger: Ledger, intended: Entry) -> int:
    """Return the fence that an intended release goes to its target with, now.

    It is the intent's `seq`, above every fence of the eras before: what the target heard from a past
    that was lost with a restored backup is older than that.
    """
    return era_of(ledger) * PER_ERA + intended.seq


def _adoption(entry: Entry) -> Adoption:
    try:
        return from_json(Adoption, entry.body)
    except ValueError as exc:
        raise ChainBroken(
            "the entry is no adoption, so it was not written by Evergreen",
            where=f"ledger entry {entry.seq}",
            fix="run `evergreen audit`, and restore the ledger from a backup",
        ) from exc
