"""Entries of one kind, of all models.

The ledger's index is by model first: asked for a kind of no model it reads every entry that there is,
asked model by model it reads these only.
"""

from __future__ import annotations

from collections.abc import Iterator

from evergreen.ports import Entry, Ledger


def of_every_model(ledger: Ledger, kind: str) -> Iterator[Entry]:
    """Yield them model by model, those of a model in order of `seq`."""
    for model in ledger.models():
        yield from ledger.entries(model=model, kind=kind)
