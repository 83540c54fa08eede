"""Which era the ledger is in, and the fences that follow: they grow over a restored backup, too."""

from __future__ import annotations

from collections.abc import Sequence

from evergreen.checkpoints import LEDGER, PER_ERA, Adoption
from evergreen.ports import Entry, Ledger
from evergreen.results import from_json


def era_of(ledger: Ledger) -> int:
    """Return how many times the ledger was adopted, counted over all that the world has seen of it."""
    newest = ledger.last(LEDGER, "adopted")
    return 0 if newest is None else from_json(Adoption, newest.body).era


def adoptions(ledger: Ledger) -> Sequence[Adoption]:
    """Return every adoption, the first one first."""
    entries = ledger.entries(model=LEDGER, kind="adopted")
    return [from_json(Adoption, entry.body) for entry in entries]


def fence_of(ledger: Ledger, intended: Entry) -> int:
    """Return the fence that an intended release goes to its target with, now.

    It is the intent's `seq`, above every fence of the eras before: what the target heard from a past
    that was lost with a restored backup is older than that.
    """
    return era_of(ledger) * PER_ERA + intended.seq
