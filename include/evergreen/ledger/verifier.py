#!/usr/bin/env python3
r"""Verify an Evergreen ledger against checkpoints, with nothing but Python 3.8 or newer.

    python verify_ledger.py ledger.db --checkpoints FOLDER_OR_FILE

The ledger is a SQLite file, or an export of the table `entries` as CSV or JSON lines. From PostgreSQL:

    psql "$LEDGER" -c "\\copy (SELECT * FROM entries ORDER BY seq) TO 'ledger.csv' \\
        WITH (FORMAT csv, HEADER, NULL '\\N', FORCE_QUOTE *)"

or `evergreen audit --export ledger.jsonl`. Checkpoints are files of JSON, one a line, or folders of them
(copy them from object storage first). Exit code: 0 what was checked is whole, 1 it is not, 2 it cannot
be told. Without checkpoints a tail that was cut off, or computed anew with its hashes, does not show.

An entry's hash is the SHA-256 of the JSON object of its other columns, keys sorted, no spaces, UTF-8.
"""
# It stands alone: nothing of Evergreen may be imported here, and nothing newer than Python 3.8 used.

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import re
import sqlite3
import sys
from collections import namedtuple
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

Row = namedtuple("Row", "seq at model kind key body previous_hash hash")
"""A row as it is stored; what a broken export holds may be of any type."""
COLUMNS = Row._fields
GENESIS = "0" * 64
FARTHEST = 10000
"""How far from its place an entry that was moved is looked for."""
FAULTS = (OSError, ValueError, LookupError, TypeError, RecursionError)
"""What reading a file that somebody tampered with may raise."""

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


class Unreadable(Exception):
    """What cannot be read, so that nothing can be told."""


class Answer(NamedTuple):
    """What was found: `entries` are whole, the hash of the last of them, and what is wrong."""

    ok: bool
    entries: int
    head: str
    first_bad_seq: int | None = None
    what: str | None = None
    adopted: tuple[str, ...] = ()


def hash_of(row: Row, seq: Any, previous_hash: Any) -> str | None:
    """Return a row's hash as if it stood at `seq`, or None where it cannot be hashed."""
    if type(seq) is not int or any(type(value) is not str for value in (*row[1:6], previous_hash)):
        return None
    names = ("at", "body", "key", "kind", "model")
    columns: dict[str, Any] = {name: getattr(row, name) for name in names}
    columns.update(previous_hash=previous_hash, seq=seq)
    try:
        return hashlib.sha256(_encode(columns).encode()).hexdigest()
    except UnicodeEncodeError:
        return None


def verify(
    rows: Iterator[Row],
    head: tuple[int, str] | None,
    checkpoints: Sequence[dict[str, Any]],
    accepted: Sequence[str],
) -> Answer:
    """Check rows in order of `seq`, the head stored beside them (if any), and the checkpoints."""
    kept: dict[int, list[dict[str, Any]]] = {}
    for one in checkpoints:
        kept.setdefault(one["seq"], []).append(one)
    seq, last, first = 0, GENESIS, None
    wrong: list[tuple[dict[str, Any], str]] = []
    adoptions: list[tuple[int, str, Any]] = []
    broken: tuple[int, str] | None = None
    for row in rows:
        broken = break_at(row, seq, last, head)
        if broken:
            break
        seq, last, first = row.seq, row.hash, first or row.hash
        if (row.model, row.kind) == ("evergreen", "adopted"):
            adoptions.append((seq, last, json.loads(row.body)))  # which the hash vouches for
        for one in kept.pop(seq, ()):
            if one["hash"] != last or one["at"] != row.at:
                wrong.append((one, f"replaced: entry {seq} is not that of the checkpoint"))
            elif one["ledger"] != first:
                wrong.append((one, f"the checkpoint of entry {seq} is of another ledger"))
    if broken is None and head is not None:
        if seq < head[0]:
            broken = seq + 1, missing(seq + 1, head[0])
        elif last != head[1]:
            broken = seq, f"head differs: entry {seq} is not the one that the stored head names"
    for later in sorted(kept):
        wrong.extend((one, missing(seq + 1, later)) for one in kept[later] if later > seq)
        wrong.extend((one, "the checkpoint is of no entry") for one in kept[later] if later <= seq)
    return judged(seq, last, broken, wrong, adoptions, accepted)


def judged(
    seq: int,
    last: str,
    broken: tuple[int, str] | None,
    wrong: Sequence[tuple[dict[str, Any], str]],
    adoptions: Sequence[tuple[int, str, Any]],
    accepted: Sequence[str],
) -> Answer:
    """Name the first bad entry: of the chain, or of a checkpoint that no accepted adoption gave up."""
    found = [] if broken is None else [broken]
    for one, what in wrong:
        by = [(at, its_hash) for at, its_hash, body in adoptions if gives_up(body, one)]
        if any(its_hash in accepted for _, its_hash in by):
            continue  # not by number: another entry may stand there by now
        bad = min(one["seq"], seq + 1) if what.startswith("missing") else one["seq"]
        hint = "; entry {} gave it up: --accept {}, if you know of that".format(*by[0]) if by else ""
        found.append((bad, what + hint))
    adopted = [f"entry {at} with hash {its_hash}: {body}" for at, its_hash, body in adoptions]
    if not found:
        return Answer(True, seq, last, adopted=tuple(adopted))
    bad, what = min(found, key=lambda one: one[0])  # of two, what the chain says
    return Answer(False, max(min(seq, bad - 1), 0), last, bad, what, tuple(adopted))


def gives_up(body: Any, one: dict[str, Any]) -> bool:
    """Return whether the body of an entry `adopted` gives up a checkpoint that is contradicted."""
    era, since = (body.get("era"), body.get("since")) if isinstance(body, dict) else (None, None)
    whole = type(era) is int and type(since) is int
    return bool(whole and one["era"] < era and one["seq"] >= since)


def break_at(row: Row, seen: int, last: str, head: tuple[int, str] | None) -> tuple[int, str] | None:
    """Return the first bad seq and how it shows, or None where the row rightly follows `seen`."""
    expected = seen + 1
    if type(row.seq) is not int:
        return expected, f"edited: the row after entry {seen} has no number"
    if row.seq < expected:
        return row.seq, f"inserted: an entry stands at {row.seq}, before the first or twice"
    if row.seq > expected:
        return expected, missing(expected, row.seq - 1)
    if type(row.hash) is not str or hash_of(row, row.seq, row.previous_hash) != row.hash:
        end = row.seq + FARTHEST if head is None else min(head[0], row.seq + FARTHEST)
        for seq in range(max(1, row.seq - FARTHEST), end + 1):
            if seq != row.seq and row.hash and hash_of(row, seq, row.previous_hash) == row.hash:
                if seq < row.seq:
                    return seq, f"inserted: the true entry {seq} stands at {row.seq}"
                return row.seq, f"reordered: the entry that belongs at {seq} stands at {row.seq}"
        return row.seq, f"edited: entry {row.seq} does not have the hash that is stored with it"
    if head is not None and row.seq > head[0]:
        return row.seq, f"inserted: entry {row.seq} stands behind the stored head, {head[0]}"
    if row.previous_hash != last:
        return max(seen, 1), f"replaced: entry {row.seq} was chained to another one before it"
    return None


def missing(first: int, last: int) -> str:
    """Say which entries are missing."""
    return f"missing: entry {first}" if first == last else f"missing: entries {first} to {last}"


def whole_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return a JSON object; a name that stands twice is refused."""
    if len(dict(pairs)) != len(pairs):
        raise ValueError("a name stands twice")
    return dict(pairs)


def checkpoint(line: str) -> dict[str, Any]:
    """Return a checkpoint; raises ValueError where the line is none."""
    found = json.loads(line, object_pairs_hook=whole_object)
    if not isinstance(found, dict) or " ".join(sorted(found)) != "at code era format hash ledger seq":
        raise ValueError("it has other names")
    numbers = all(type(found[name]) is int for name in ("era", "format", "seq"))
    texts = all(type(found[name]) is str for name in ("at", "code", "hash", "ledger"))
    if not numbers or not texts or found["format"] != 1 or found["seq"] < 1 or found["era"] < 0:
        raise ValueError("its values are of other kinds")
    if not all(re.fullmatch("[0-9a-f]{64}", found[name]) for name in ("hash", "ledger")):
        raise ValueError("its hashes are none")
    return found


def read_checkpoints(paths: Sequence[str]) -> list[dict[str, Any]]:
    """Return all checkpoints of files and folders; a file of anything else, or of none, is refused."""
    files = []
    for path in map(Path, paths):
        inside = [one for one in path.rglob("*") if one.is_file() and one.name[0] != "."]
        if path.is_dir() and not inside:
            raise Unreadable(f"no checkpoint lies in {path}")
        files += sorted(inside) if path.is_dir() else [path]
    found = []
    for path in files:
        try:
            lines = [line for line in path.read_text(encoding="utf-8").split("\n") if line.strip()]
            found += [checkpoint(line) for line in lines]
        except FAULTS as exc:
            raise Unreadable(f"not a file of checkpoints: {path} ({exc})") from None
        if not lines:
            raise Unreadable(f"an empty file, and no checkpoint: {path}")
    return found


def open_sqlite(path: str) -> sqlite3.Connection:
    """Open a SQLite file for reading; where nobody is at work on it, no file is made beside it."""
    how = "mode=ro" if Path(f"{path}-wal").exists() else "immutable=1"
    database = sqlite3.connect(f"{Path(path).absolute().as_uri()}?{how}", uri=True)
    database.text_factory = lambda stored: stored.decode("utf-8", "surrogateescape")
    return database


def read_sqlite(database: sqlite3.Connection) -> tuple[Iterator[Row], tuple[int, str]]:
    """Return the rows and the head of a SQLite file."""
    database.execute("BEGIN")
    names = tuple(row[1] for row in database.execute("PRAGMA table_info(entries)"))
    if names != COLUMNS:
        raise Unreadable(f"the columns of entries are {names}, and not {COLUMNS}")
    heads = database.execute("SELECT seq, hash FROM head").fetchall()
    if len(heads) != 1 or type(heads[0][0]) is not int:
        return iter(()), (1, "the row of the head is missing or broken")
    return map(Row._make, database.execute("SELECT * FROM entries ORDER BY seq")), heads[0]


def read_export(path: str, first: str) -> Iterator[Row]:
    """Yield the rows of a CSV or JSON-lines export."""
    newline = "\n" if first == "{" else ""
    with Path(path).open(encoding="utf-8", errors="surrogateescape", newline=newline) as file:
        if first == "{":
            for number, line in enumerate(file, 1):
                found = json.loads(line, object_pairs_hook=whole_object)
                if not isinstance(found, dict) or set(found) != set(COLUMNS):
                    raise Unreadable(f"line {number} has other columns than {COLUMNS}")
                yield Row(**found)
            return
        csv.field_size_limit(2**31 - 1)
        lines = csv.reader(file, strict=True)
        if tuple(next(lines, ())) != COLUMNS:
            raise Unreadable(f"the first line must name the columns {COLUMNS}")
        for cells in lines:
            if len(cells) != len(COLUMNS):
                raise Unreadable(f"line {lines.line_num} has {len(cells)} cells")
            yield Row(int(cells[0]) if re.fullmatch("-?[0-9]{1,18}", cells[0]) else cells[0], *cells[1:])


def check(path: str, checkpoints: Sequence[str], accepted: Sequence[str] = ()) -> Answer:
    """Verify a ledger file; raises Unreadable where nothing can be told."""
    kept = read_checkpoints(checkpoints)
    try:
        with Path(path).open("rb") as file:
            begin = file.read(16)
        if begin.startswith(b"SQLite format 3"):
            with closing(open_sqlite(path)) as database:
                return verify(*read_sqlite(database), kept, accepted)
        return verify(read_export(path, begin[:1].decode("ascii", "replace")), None, kept, accepted)
    except (*FAULTS, csv.Error, sqlite3.Error) as exc:
        raise Unreadable(f"the ledger cannot be read: {type(exc).__name__}: {exc}") from None


def main() -> int:
    """Say whether the ledger verifies."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("ledger", help="a SQLite file, or an export as CSV or JSON lines")
    parser.add_argument(
        "--checkpoints", nargs="+", default=[], metavar="PATH", help="files or folders of checkpoints"
    )
    parser.add_argument(
        "--accept", nargs="+", default=[], metavar="HASH", help="hashes of adoptions that you know of"
    )
    given = parser.parse_args()
    try:
        found = check(given.ledger, given.checkpoints, given.accept)
    except Unreadable as exc:
        print(f"CANNOT BE TOLD: {str(exc).encode('unicode_escape').decode()}")
        return 2
    for line in found.adopted:
        print(f"ADOPTED: {line.encode('unicode_escape').decode()}")
    if not found.ok:
        print(
            f"BROKEN at entry {found.first_bad_seq}: {str(found.what).encode('unicode_escape').decode()}"
        )
        return 1
    against = "no checkpoint is against it" if given.checkpoints else "without a checkpoint (see --help)"
    print(f"WHOLE: {found.entries} entries, head {found.head}; {against}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
