"""Checkpoints: copies of the ledger's head that are kept where the ledger's owner cannot reach.

A chain cannot show by itself that its tail was cut, or that it was computed anew; a head that somebody
else kept can. Pure: entries and checkpoints in, an answer out. `ledger/verifier.py` decides the same for
strangers, with nothing but the standard library.

Accepting a ledger that its checkpoints contradict (a restored backup) is an entry `adopted`. It begins a
new *era*: what it gives up is named, and fences and lease epochs go on above those of any era before.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from evergreen.canonical import canonical
from evergreen.ports import Entry

LEDGER = "evergreen"
"""Whose the entries are that are about the ledger itself; no model may have this name."""
PER_ERA = 2**32
"""How far the fences and lease epochs of two eras lie apart: no era has so many."""
FORMAT = 1
LONGEST_CODE = 40

_HASH = re.compile(r"[0-9a-f]{64}")
_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
_GREATEST = 2**53 - 1


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The head of a ledger as it once was.

    `ledger` is the hash of its first entry, which tells it from every other; `seq`, `hash` and `at` are
    those of what was its newest entry; `era` counts the adoptions by then; `code` is the version of
    Evergreen that wrote it.
    """

    ledger: str
    seq: int
    hash: str
    at: str
    era: int
    code: str

    def text(self) -> str:
        """Return the checkpoint as one line of canonical JSON."""
        return canonical({"format": FORMAT, **asdict(self)}).decode()

    @property
    def place_in_time(self) -> tuple[int, int]:
        """What newer checkpoints have more of."""
        return (self.era, self.seq)


@dataclass(frozen=True, slots=True)
class Adoption:
    """The body of an entry `adopted`: a person accepts the ledger as it is.

    Of the checkpoints of earlier eras it gives up those from `since` on that the ledger contradicts, of
    which `gives_up` is the newest, as text. `unknown` lists what the registry held and the ledger did
    not know.
    """

    era: int
    since: int
    gives_up: str
    who: str
    why: str
    unknown: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Contradiction:
    """A checkpoint that the ledger contradicts, and how that shows.

    `first_bad_seq` is the first entry that is proven to be missing, or not to be the one that once stood
    there; what was computed anew may begin before it.
    """

    checkpoint: Checkpoint
    first_bad_seq: int
    what: str


@dataclass(frozen=True, slots=True)
class Held:
    """What holding a ledger against checkpoints found.

    `agreed` is the highest `seq` up to which a checkpoint vouches for the ledger (0: none does).
    `contradictions` are in order of `seq`, without those that an adoption gave up.
    """

    agreed: int
    contradictions: tuple[Contradiction, ...] = ()
    given_up: tuple[Checkpoint, ...] = ()


def checkpoint_of(newest: Entry, first: Entry, era: int, code: str) -> Checkpoint:
    """Return the checkpoint of a ledger whose first and newest entry these are."""
    return Checkpoint(first.hash, newest.seq, newest.hash, instant(newest.at), era, code[:LONGEST_CODE])


def checkpoint_from(text: str) -> Checkpoint:
    """Return the checkpoint that a text says.

    Raises:
        ValueError: it says none, or one of a newer form.
    """
    try:
        found = json.loads(text, object_pairs_hook=_without_doubles)
    except RecursionError:
        raise ValueError("not a checkpoint") from None
    names = ("at", "code", "era", "format", "hash", "ledger", "seq")
    if not isinstance(found, dict) or tuple(sorted(found)) != names or found.pop("format") != FORMAT:
        raise ValueError(f"not a checkpoint of format {FORMAT}")
    whole = all(type(found[name]) is int for name in ("era", "seq"))
    words = all(type(found[name]) is str for name in ("at", "code", "hash", "ledger"))
    if (
        not whole
        or not words
        or not 0 <= found["era"] <= _GREATEST
        or not 1 <= found["seq"] <= _GREATEST
    ):
        raise ValueError("a value of the checkpoint is of another kind")
    hashes = (_HASH.fullmatch(found["hash"]), _HASH.fullmatch(found["ledger"]))
    if not all(hashes) or not _INSTANT.fullmatch(found["at"]) or len(found["code"]) > LONGEST_CODE:
        raise ValueError("a hash or the time of the checkpoint cannot be read")
    return Checkpoint(**found)


def instant(at: datetime) -> str:
    """Return an entry's time as the ledger stores it."""
    return at.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def contradiction(checkpoint: Checkpoint, entry: Entry | None, first: Entry | None) -> str | None:
    """Return how a ledger contradicts a checkpoint, or None where it does not.

    Args:
        checkpoint: The checkpoint.
        entry: What the ledger has at the checkpoint's `seq`.
        first: The ledger's first entry.
    """
    if first is not None and first.hash != checkpoint.ledger:
        return f"entry 1 is not that of the checkpoint's ledger, {checkpoint.ledger[:12]}…"
    if entry is None:
        return f"missing: entry {checkpoint.seq}"
    if entry.hash != checkpoint.hash or instant(entry.at) != checkpoint.at:
        return f"replaced: entry {checkpoint.seq} is not the one that stood there at {checkpoint.at}"
    return None


def is_given_up(checkpoint: Checkpoint, adoptions: Iterable[Adoption]) -> bool:
    """Return whether an adoption gave up a checkpoint that the ledger contradicts."""
    return any(one.era > checkpoint.era and checkpoint.seq >= one.since for one in adoptions)


def held_against(
    checkpoints: Iterable[Checkpoint],
    entry_at: Callable[[int], Entry | None],
    head: int,
    adoptions: Sequence[Adoption],
) -> Held:
    """Hold a ledger of `head` entries, given by what it has at a `seq`, against checkpoints."""
    first = entry_at(1)
    agreed, wrong, given_up = 0, [], []
    for one in sorted(checkpoints, key=lambda one: (one.seq, one.era)):
        what = contradiction(one, entry_at(one.seq), first)
        if what is None:
            agreed = max(agreed, one.seq)
        elif is_given_up(one, adoptions):
            given_up.append(one)
        else:
            wrong.append(Contradiction(one, min(one.seq, head + 1), what))
    return Held(agreed, tuple(wrong), tuple(given_up))


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice")
    return found
