"""What people ask the ledger about deeds of the hand; nothing is written. Any `ports.Ledger` will do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from evergreen.entry_keys import entry_key, run_key_of
from evergreen.hand import Deed, Said, Standing, standing_after
from evergreen.ports import Entry, Ledger
from evergreen.results import Release, from_json


@dataclass(frozen=True, slots=True)
class RolledBack:
    """A version that a person took out of service, and that is not champion again since."""

    version: int
    said: Said


def standing(ledger: Ledger, model: str, before: datetime | None = None) -> Standing:
    """Return what people decided for a model and did not take back, as recorded before an instant."""
    return standing_after(
        (entry.seq, entry.at, from_json(Deed, entry.body))
        for entry in ledger.entries(model=model, kind="hand", before=before)
    )


def releases(ledger: Ledger, model: str) -> list[tuple[Entry, Release]]:
    """Return a model's releases in the order in which they were made."""
    found = ledger.entries(model=model, kind="release")
    return [(entry, from_json(Release, entry.body)) for entry in found]


def decided(ledger: Ledger, model: str) -> tuple[Entry, Release] | None:
    """Return the release that is to stand, whether or not the world has followed; None: there is none.

    The entry is the one that decided so: the release's intent, or that a later intent was given up.
    """
    intended = ledger.last(model, "release_intended")
    if intended is None:
        return None
    given_up = ledger.find(entry_key("release_given_up", run_key_of(intended.key)))
    if given_up is None:
        return intended, from_json(Release, intended.body)
    champion = ledger.last(model, "release")
    return None if champion is None else (given_up, from_json(Release, champion.body))


def unfinished_release(ledger: Ledger, model: str) -> Release | None:
    """Return the release that was decided last of a model's and is not carried out, or None."""
    found = decided(ledger, model)
    if found is None or ledger.find(entry_key("release", found[1].run_key)) is not None:
        return None
    return found[1]


def rolled_back(ledger: Ledger, model: str) -> Mapping[str, RolledBack]:
    """Return what was rolled back, by the key of the candidate: of the tested one and of its refit."""
    found: dict[str, RolledBack] = {}
    champion: Release | None = None
    for entry, release in releases(ledger, model):
        if champion is not None and release.restored is not None:
            deed = release.restored.deed
            gone = RolledBack(champion.version.number, Said(deed.who, deed.why, entry.at))
            found.update(dict.fromkeys(_keys(champion), gone))
        for key in _keys(release):
            found.pop(key, None)
        champion = release
    return found


def known_until(ledger: Ledger, model: str) -> datetime | None:
    """Return the latest as-of that a run of the model had, whatever it did; None: there was no run."""
    return max(_as_ofs(ledger, model), default=None)


def _as_ofs(ledger: Ledger, model: str) -> Iterator[datetime]:
    """Yield the as-of of each run without decoding the model file that it pinned."""
    for kind, path in _AS_OF_OF.items():
        for entry in ledger.entries(model=model, kind=kind):
            value: Any = entry.body
            for name in path:
                value = value[name]
            yield datetime.fromisoformat(value)


_AS_OF_OF = {
    "run_started": ("windows", "as_of"),
    "release": ("as_of",),
    "scored": ("window", "end"),
    "check_started": ("as_of",),
}


def _keys(release: Release) -> tuple[str, ...]:
    candidate = release.candidate
    return (candidate.key,) if candidate.refit_of is None else (candidate.key, candidate.refit_of)
