"""The hash chain: how an entry's hash is made, and how a whole chain is checked.

Pure: rows in, an answer out. A row is hashed exactly as it is stored, so the standard library and
five lines check a ledger anywhere: SHA-256 of the JSON object of the row's columns but `hash`, keys
sorted, without spaces, in UTF-8 (its RFC 8785 form), where `body` is the stored text.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from evergreen.errors import ChainBroken
from evergreen.ports import Entry

GENESIS = "0" * 64
"""What the first entry is chained to."""

FARTHEST = 10_000
"""How far from its place an entry that was moved is looked for: a broken head bounds nothing."""

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


@dataclass(frozen=True, slots=True)
class Row:
    """An entry as it is stored: `at` and `body` are text."""

    seq: int
    at: str
    model: str
    kind: str
    key: str
    body: str
    previous_hash: str
    hash: str


@dataclass(frozen=True, slots=True)
class Head:
    """The end of the chain: the newest entry's seq and hash, or `EMPTY`."""

    seq: int
    hash: str


EMPTY = Head(0, GENESIS)


@dataclass(frozen=True, slots=True)
class Audit:
    """What checking a chain found.

    `count` entries are whole and follow one another, and `head` is the hash of the last of them.
    Where `ok` is false, `first_bad_seq` is the first seq whose entry is not the one that was
    appended there, and `what` says how that shows.
    """

    ok: bool
    count: int
    head: str
    first_bad_seq: int | None = None
    what: str | None = None


def hash_of(seq: int, at: str, model: str, kind: str, key: str, body: str, previous_hash: str) -> str:
    """Return the hash, in hex, of an entry with these columns.

    >>> hash_of(1, "2013-04-01T00:00:00.000000Z", "m", "release", "release/m/1", "{}", GENESIS)[:16]
    'bf7ddc0f47a64439'
    """
    columns = {
        "at": at,
        "body": body,
        "key": key,
        "kind": kind,
        "model": model,
        "previous_hash": previous_hash,
        "seq": seq,
    }
    # The keys stand sorted and the values are text and an integer, so this is the RFC 8785 form.
    return hashlib.sha256(_encode(columns).encode()).hexdigest()


def link(head: Head, *, at: str, model: str, kind: str, key: str, body: str) -> Row:
    """Return the row that follows `head`."""
    seq = head.seq + 1
    made = hash_of(seq, at, model, kind, key, body, head.hash)
    return Row(seq, at, model, kind, key, body, head.hash, made)


def instant_text(instant: datetime) -> str:
    """Return the stored form of an instant: UTC, to the microsecond, so that text sorts as time.

    Raises:
        ValueError: for an instant without a time zone.
    """
    if instant.utcoffset() is None:
        raise ValueError(f"an instant must carry a time zone: {instant!r}")
    return instant.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def entry_of(row: Row) -> Entry:
    """Return the entry that a stored row says.

    Raises:
        ChainBroken: the row cannot be read, so it is not as it was appended.
    """
    try:
        at, body = datetime.fromisoformat(row.at), json.loads(row.body)
    except (TypeError, ValueError) as exc:
        raise ChainBroken(
            "the entry cannot be read, so it is not as it was appended",
            where=f"ledger entry {row.seq}",
            fix="run `evergreen audit`, and restore the ledger from a backup",
        ) from exc
    return Entry(row.seq, at, row.model, row.kind, row.key, body, row.previous_hash, row.hash)


def audit(rows: Iterable[Row], head: Head) -> Audit:
    """Check a whole chain, given in order of `seq`, against the head that was stored with it.

    Memory does not grow with the rows. Whoever can write the database can also cut the tail off and
    set the head back, which only a copy of the head kept elsewhere shows.
    """
    seen = EMPTY
    for row in rows:
        broken = _break_at(row, seen, head)
        if broken:
            return Audit(False, max(min(seen.seq, broken[0] - 1), 0), seen.hash, *broken)
        seen = Head(row.seq, row.hash)
    if seen.seq < head.seq:
        return Audit(False, seen.seq, seen.hash, seen.seq + 1, _missing(seen.seq + 1, head.seq))
    if seen.hash != head.hash:
        what = f"head differs: entry {seen.seq} is not the one that the stored head names"
        return Audit(False, max(seen.seq - 1, 0), seen.hash, seen.seq, what)
    return Audit(True, seen.seq, seen.hash)


def _break_at(row: Row, seen: Head, head: Head) -> tuple[int, str] | None:
    """Return the first bad seq and how it shows, or None where `row` rightly follows `seen`."""
    expected = seen.seq + 1
    if row.seq < expected:
        return row.seq, f"inserted: an entry stands at {row.seq}, before the first"
    if row.seq > expected:
        return expected, _missing(expected, row.seq - 1)
    if _hash_at(row, row.seq, row.previous_hash) != row.hash:
        return _altered(row, seen, head)
    if row.seq > head.seq:
        return row.seq, f"inserted: entry {row.seq} stands behind the stored head, {head.seq}"
    if row.previous_hash != seen.hash:
        if seen.seq == 0:
            return row.seq, "replaced: the first entry is not chained to the beginning"
        return seen.seq, (
            f"replaced: entry {row.seq} was chained to another entry {seen.seq} than the stored one"
        )
    return None


def _altered(row: Row, seen: Head, head: Head) -> tuple[int, str]:
    """Say how a row came not to fit its own hash: edited, or a whole row in another's place."""
    for seq in range(max(1, row.seq - FARTHEST), min(head.seq, row.seq + FARTHEST) + 1):
        if seq != row.seq and _hash_at(row, seq, row.previous_hash) == row.hash:
            if seq < row.seq:
                return seq, f"inserted: the true entry {seq} stands at {row.seq}"
            return row.seq, f"reordered: the entry that belongs at {seq} stands at {row.seq}"
    if row.previous_hash != seen.hash and _hash_at(row, row.seq, seen.hash) == row.hash:
        return row.seq, f"edited: the previous hash of entry {row.seq} was changed"
    return row.seq, f"edited: entry {row.seq} does not have the hash that is stored with it"


def _hash_at(row: Row, seq: int, previous_hash: Any) -> str | None:
    """Return the row's hash as if it stood at `seq`, or None where its columns cannot be hashed."""
    try:
        return hash_of(seq, row.at, row.model, row.kind, row.key, row.body, previous_hash)
    except (TypeError, UnicodeEncodeError):
        return None


def _missing(first: int, last: int) -> str:
    return f"missing: entry {first}" if first == last else f"missing: entries {first} to {last}"
