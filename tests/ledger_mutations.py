"""A real ledger, and ways to change it behind its back: each says which entry is the first bad one."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from evergreen.checkpoints import Adoption, Checkpoint, checkpoint_of, held_against
from evergreen.cli.audit import judged
from evergreen.hand import Deed
from evergreen.ledger import KINDS, open_ledger
from evergreen.ledger.chain import Audit, Row, entry_of, hash_of
from evergreen.ledger.store import SqlLedger
from evergreen.results import to_json
from evergreen.steps.hand import do
from evergreen.steps.rollback import planned, rollback
from tests.fakes.bench import APRIL, MARCH, MAY, Bench
from tests.unit.test_watch_steps import AS_OF, WEEK, checked, moved, scored

COLUMNS = tuple(Row.__dataclass_fields__)


def real_ledger(folder: Path) -> Path:
    """Make a ledger with every kind of entry: by the real steps on fakes where they write it."""
    bench = Bench(folder / "bench")
    bench.whole("one", MARCH)
    moved(bench, AS_OF)
    for as_of in (AS_OF, AS_OF + WEEK, AS_OF + 2 * WEEK):
        scored(bench, as_of)
        checked(bench, as_of)
    bench.whole("two", APRIL, certainty=0.94)
    do(bench.workspace, "churn", Deed("pause", "ada", "a holiday"))
    do(bench.workspace, "churn", Deed("resume", "ada", "over"))
    rollback(bench.workspace, planned(bench.workspace, "churn", None), "ada", "it was worse")
    bench.whole("three", MAY, certainty=0.97)
    path = folder / "real.db"
    ledger = open_ledger(f"sqlite:///{path}", 600)
    lease = ledger.acquire("churn", "churn/copy")
    for entry in bench.ledger.entries():
        ledger.append(entry.kind, entry.key, entry.body, lease)
    written = {entry.kind for entry in bench.ledger.entries()} | {"adopted"}
    for kind in KINDS:
        if kind not in written:
            ledger.append(kind, f"{kind}/churn/rest", {"kind": kind, "text": "naïve \u2028 🌲"}, lease)
    newest = ledger.newest()
    lost = Checkpoint(ledger.at(1).hash, newest.seq + 5, "0" * 64, "2013-06-01T00:00:00.000000Z", 0, "1")
    adoption = Adoption(1, newest.seq + 5, lost.text(), "ada", "the disk was lost")
    ledger.adopt("adopted/evergreen/1", to_json(adoption), after=newest, epochs_above=2**32)
    lease = ledger.acquire("churn", "churn/copy")
    for number in range(5):
        ledger.append("snapshot", f"snapshot/churn/after/{number}", {"n": number}, lease)
    ledger.close()
    return path


def rows_of(path: Path) -> list[Row]:
    connection = sqlite3.connect(path)
    try:
        return [Row(*row) for row in connection.execute("SELECT * FROM entries ORDER BY seq")]
    finally:
        connection.close()


def checkpoints_of(rows: Sequence[Row]) -> list[Checkpoint]:
    """Return a checkpoint of every entry, as if one had been kept after each."""
    entries = [entry_of(row) for row in rows]
    adopted = next(entry.seq for entry in entries if entry.kind == "adopted")
    return [checkpoint_of(one, entries[0], int(one.seq >= adopted), "1") for one in entries]


def first_bad(ledger: SqlLedger, found: Audit, checkpoints: Sequence[Checkpoint]) -> int | None:
    """Return what `evergreen audit` names: the first bad entry by the chain or by a checkpoint."""
    entries = {row.seq: entry_of(row) for row in ledger.rows() if 0 < row.seq <= found.count}
    return judged(found, held_against(checkpoints, entries.get, found.count, ()))[0]


@dataclass(frozen=True)
class Mutation:
    """What was done, the first entry that is bad then, and which one the chain alone can name."""

    name: str
    first_bad_seq: int
    by_chain: int | None


class Mutator:
    """Changes a ledger file at random, as somebody who may write it, and may drop its triggers."""

    def __init__(self, rows: Sequence[Row], rng: random.Random) -> None:
        self.rows = rows
        self.rng = rng
        self.last = len(rows)

    def mutate(self, connection: sqlite3.Connection) -> Mutation:
        connection.execute("PRAGMA synchronous = OFF")
        for (name,) in connection.execute(
            "SELECT name FROM sqlite_master WHERE type = 'trigger'"
        ).fetchall():
            connection.execute(f"DROP TRIGGER {name}")
        seq = self.rng.randint(1, self.last)
        change = self.rng.choice(WAYS)
        first_bad_seq, by_chain = change(self, connection, seq)
        connection.commit()
        return Mutation(change.__name__, first_bad_seq, by_chain)

    def forged(self, row: Row, seq: int, previous_hash: str, **changes: str) -> tuple[object, ...]:
        """Return the row with a change, numbered and hashed so that it fits what is before it."""
        values = {name: getattr(row, name) for name in COLUMNS if name != "hash"}
        values |= {"seq": seq, "previous_hash": previous_hash, **changes}
        return (*values.values(), hash_of(**values))

    def put(self, connection: sqlite3.Connection, values: tuple[object, ...]) -> None:
        connection.execute("INSERT OR REPLACE INTO entries VALUES (?, ?, ?, ?, ?, ?, ?, ?)", values)

    def cut(self, connection: sqlite3.Connection, seq: int) -> None:
        connection.execute("DELETE FROM entries WHERE seq >= ?", (seq,))

    def set_head(self, connection: sqlite3.Connection, seq: int, made: str) -> None:
        connection.execute("UPDATE head SET seq = ?, hash = ?", (seq, made))

    def before(self, seq: int) -> str:
        return self.rows[seq - 2].hash if seq > 1 else "0" * 64


Found = tuple[int, int | None]
Way = Callable[[Mutator, sqlite3.Connection, int], Found]


def edit(self: Mutator, connection: sqlite3.Connection, seq: int) -> Found:
    column = self.rng.choice([name for name in COLUMNS if name != "seq"])
    old = getattr(self.rows[seq - 1], column)
    at = self.rng.randrange(len(old))
    new = self.rng.choice([old[:at] + chr(ord(old[at]) ^ 0x20) + old[at + 1 :], old[:at], old + " ", ""])
    new = old + "x" if new == old else new
    connection.execute(f"UPDATE entries SET {column} = ? WHERE seq = ?", (new, seq))
    return seq, seq


def another_type(self: Mutator, connection: sqlite3.Connection, seq: int) -> Found:
    column = self.rng.choice([name for name in COLUMNS if name != "seq"])
    new = self.rng.choice([f"CAST({column} AS BLOB)", "CAST(x'ff00fe' AS TEXT)", "x''", "0"])
    connection.execute(f"UPDATE entries SET {column} = {new} WHERE seq = ?", (seq,))
    return seq, seq


def another_number(self: Mutator, connection: sqlite3.Connection, seq: int) -> Found:
    new = self.rng.choice([self.last + self.rng.randint(2, 9), 2**62])
    connection.execute("UPDATE entries SET seq = ? WHERE seq = ?", (new, seq))
    return seq, seq


def delete(self: Mutator, connection: sqlite3.Connection, seq: int) -> Found:
    until = seq + self.rng.choice([0, 0, 1, 3])
    connection.execute("DELETE FROM entries WHERE seq BETWEEN ? AND ?", (seq, until))
    return seq, seq


def delete_and_close_up(self: Mutator, connection: sqlite3.Connection, seq: int) -> Found:
    connection.execute("DELETE FROM entries WHERE seq = ?", (seq,))
    connection.execute("UPDATE entries SET seq = -seq WHERE seq > ?", (seq,))
    connection.execute("UPDATE entries SET seq = -seq - 1 WHERE seq < 0")
    return seq, seq


def insert(self: Mutator, connection: sqlite3.Connection, seq: int) -> Found:
    connection.execute("UPDATE entries SET seq = -seq - 1 WHERE seq >= ?", (seq,))
    connection.execute("UPDATE entries SET seq = -seq WHERE seq < 0")
    row = self.forged(self.rows[seq - 1], seq, self.before(seq), key="forged")
    self.put(connection, row)
    return seq, seq


def insert_behind(self: Mutator, connection: sqlite3.Connection, seq: int) -> Found:
    row = self.forged(self.rows[seq - 1], self.last + 1, self.rows[-1].hash, key="forged")
    self.put(connection, row)
    return self.last + 1, self.last + 1


def insert_before(self: Mutator, connection: sqlite3.Connection, seq: int) -> Found:
    new = -self.rng.randint(0, 3)
    self.put(connection, self.forged(self.rows[seq - 1], new, "0" * 64, key="forged"))
    return new, new


def swap(self: Mutator, connection: sqlite3.Connection, seq: int) -> Found:
    other = self.rng.choice([one for one in range(1, self.last + 1) if one != seq])
    for source, target in ((seq, -1), (other, seq), (-1, other)):
        connection.execute("UPDATE entries SET seq = ? WHERE seq = ?", (target, source))
    return min(seq, other), min(seq, other)


def cut_tail(self: Mutator, connection: sqlite3.Connection, seq: int) -> Found:
    self.cut(connection, seq)
    return seq, seq


def rehash_one(self: Mutator, connection: sqlite3.Connection, seq: int) -> Found:
    row = self.forged(self.rows[seq - 1], seq, self.before(seq), body='{"forged":1}')
    connection.execute("UPDATE entries SET body = ?, hash = ? WHERE seq = ?", (row[5], row[7], seq))
    return seq, seq


def rehash_all_but_the_head(self: Mutator, connection: sqlite3.Connection, seq: int) -> Found:
    _rewrite(self, connection, seq)
    return seq, self.last


def move_head(self: Mutator, connection: sqlite3.Connection, seq: int) -> Found:
    away = self.rng.randint(1, 5)
    match self.rng.choice(["on", "back", "hash", "gone"]):
        case "on":
            self.set_head(connection, self.last + away, self.rows[-1].hash)
            return self.last + 1, self.last + 1
        case "back":
            head = self.last - away
            self.set_head(connection, head, self.rows[head - 1].hash)
            return head + 1, head + 1
        case "hash":
            self.set_head(connection, self.last, "f" * 64)
            return self.last, self.last
        case _:
            connection.execute("DELETE FROM head")
            return 1, 1


def cut_tail_and_head(self: Mutator, connection: sqlite3.Connection, seq: int) -> Found:
    self.cut(connection, seq)
    self.set_head(connection, seq - 1, self.before(seq))
    return seq, None


def rewrite_tail(self: Mutator, connection: sqlite3.Connection, seq: int) -> Found:
    self.set_head(connection, self.last, _rewrite(self, connection, seq))
    return seq, None


def restore_and_go_on(self: Mutator, connection: sqlite3.Connection, seq: int) -> Found:
    self.cut(connection, seq)
    last, count = self.before(seq), self.rng.randint(1, 2 * self.last)
    for number in range(seq, seq + count):
        row = self.forged(self.rows[0], number, last, kind="snapshot", key=f"after/{number}", body="{}")
        self.put(connection, row)
        last = str(row[-1])
    self.set_head(connection, seq + count - 1, last)
    return seq, None


def _rewrite(self: Mutator, connection: sqlite3.Connection, seq: int) -> str:
    """Change an entry and hash it and all after it anew; return the last hash."""
    last = self.before(seq)
    for row in self.rows[seq - 1 :]:
        changes = {"body": '{"forged":1}', "kind": "snapshot"} if row.seq == seq else {}
        new = self.forged(row, row.seq, last, **changes)
        self.put(connection, new)
        last = str(new[-1])
    return last


WAYS: tuple[Way, ...] = (
    edit,
    edit,
    edit,
    another_type,
    another_number,
    delete,
    delete_and_close_up,
    insert,
    insert_behind,
    insert_before,
    swap,
    cut_tail,
    rehash_one,
    rehash_all_but_the_head,
    move_head,
    cut_tail_and_head,
    rewrite_tail,
    restore_and_go_on,
)
