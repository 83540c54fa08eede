"""Random changes of a real ledger, and how fast it is verified and grows.

A ledger of every kind of entry, written by the real steps, is changed behind its back: every column
edited, retyped or filled with bytes that are no text; entries deleted, inserted, swapped, renumbered,
hashed anew; the tail cut off, with and without the head; everything from some entry on computed anew,
with all hashes; an older backup put in its place that went on. Each change must be found by the ledger's
own check and by the stand-alone verifier, with the number of the first bad entry; what only checkpoints
can show is held against one checkpoint per entry. Rows verified are counted by seconds of one core,
which a busy machine does not blur. The peer of appends is a bare `INSERT` and `COMMIT` of the same text,
in the same database by as many processes, without chain, lease or key; the throw-away PostgreSQL runs
with fsync off, so that its figures show the code, not a disk.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from multiprocessing import get_context
from pathlib import Path

from sqlalchemy import create_engine, event, make_url, text

from evergreen.ledger import open_ledger, verifier
from evergreen.ledger.chain import EMPTY, Head, link
from tests.benchmarks.ledger import body
from tests.integration.postgres import find_binary, start_postgres
from tests.ledger_mutations import Mutator, checkpoints_of, first_bad, real_ledger, rows_of

SEED = 20130401
WRITERS = 4


def mutated(folder: Path, count: int) -> tuple[Counter[str], list[object], int]:
    """Return how many changes were tried by kind, those that were missed, and the ledger's entries."""
    real = real_ledger(folder)
    rows = rows_of(real)
    kept = folder / "checkpoints.jsonl"
    checkpoints = checkpoints_of(rows)
    kept.write_text("".join(f"{one.text()}\n" for one in checkpoints))
    copy = folder / "copy.db"
    ledger = open_ledger(f"sqlite:///{copy}", 600)
    mutator, tried, missed = Mutator(rows, random.Random(SEED)), Counter[str](), list[object]()
    for _ in range(count):
        with closing(sqlite3.connect(copy)) as connection:
            with closing(sqlite3.connect(real)) as source:
                source.backup(connection)
            done = mutator.mutate(connection)
        tried[done.name] += 1
        found = ledger.verify()
        first = first_bad(ledger, found, checkpoints)
        alone = verifier.check(str(copy), [str(kept)])
        if first != done.first_bad_seq or (alone.ok, alone.first_bad_seq) != (False, first):
            missed.append((done, found, alone))
    ledger.close()
    return tried, missed, len(rows)


def long_ledger(path: Path, count: int) -> Head:
    """Make a ledger of so many entries, each as long as a step's; return its head."""
    ledger = open_ledger(f"sqlite:///{path}", 600)
    ledger.close()
    rng = random.Random(SEED)
    bodies = [json.dumps(body(rng)) for _ in range(1000)]
    head = EMPTY

    def rows() -> Iterator[tuple[object, ...]]:
        nonlocal head
        for number in range(1, count + 1):
            made = link(
                head,
                at="2013-04-01T00:00:00.000000Z",
                model="m",
                kind="snapshot",
                key=f"snapshot/m/{number}",
                body=bodies[number % len(bodies)],
            )
            head = Head(made.seq, made.hash)
            yield tuple(getattr(made, name) for name in made.__dataclass_fields__)

    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("DROP TRIGGER entries_unreplaced")
        connection.execute("DROP TRIGGER head_grows")
        connection.executemany("INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows())
        connection.execute("UPDATE head SET seq = ?, hash = ?", (head.seq, head.hash))
        connection.commit()
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return head


def verified(folder: Path, count: int) -> tuple[float, float]:
    """Return rows a second of one core, of the ledger's own check and of the verifier with its start."""
    path = folder / "long.db"
    head = long_ledger(path, count)
    ledger = open_ledger(f"sqlite:///{path}", 600)
    began = time.process_time()
    found = ledger.verify()
    own = time.process_time() - began
    ledger.close()
    command = [sys.executable, "-I", "-S", verifier.__file__, str(path)]
    before = os.times()
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    after = os.times()
    alone = sum(after[2:4]) - sum(before[2:4])
    if not found.ok or f"WHOLE: {count} entries, head {head.hash}" not in said:
        raise SystemExit(f"a whole ledger was not found whole: {found}, {said}")
    path.unlink()
    return count / own, count / alone


def append(url: str, name: str, count: int, barrier, seconds) -> None:
    """Append entries to a ledger, once every writer is ready."""
    ledger = open_ledger(url, 600, wait_seconds=60)
    lease = ledger.acquire(name, f"{name}/bench")
    rng = random.Random(SEED)
    bodies = [body(rng) for _ in range(count)]
    barrier.wait()
    began = time.perf_counter()
    for number, one in enumerate(bodies):
        ledger.append("snapshot", f"snapshot/{name}/{began}/{number}", one, lease)
    seconds.put(time.perf_counter() - began)
    ledger.close()


def insert(url: str, name: str, count: int, barrier, seconds) -> None:
    """Insert the same text into a bare table, each row in a transaction of its own."""
    engine = bare(url)
    rng = random.Random(SEED)
    bodies = [json.dumps(body(rng)) for _ in range(count)]
    statement = text("INSERT INTO bare (name, body) VALUES (:name, :body)")
    with engine.connect() as connection:
        barrier.wait()
        began = time.perf_counter()
        for one in bodies:
            with connection.begin():
                connection.execute(statement, {"name": name, "body": one})
        seconds.put(time.perf_counter() - began)
    engine.dispose()


def bare(url: str):
    """Return an engine that is as durable as the ledger's."""
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite":
        return create_engine(parsed)
    engine = create_engine(parsed, connect_args={"timeout": 60})

    @event.listens_for(engine, "connect")
    def _durable(connection, _record) -> None:
        connection.isolation_level = None
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")

    @event.listens_for(engine, "begin")
    def _begin(connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def rate(target: Callable[..., None], url: str, count: int) -> float:
    """Return how many a second `WRITERS` processes write that write `count` each."""
    context = get_context("spawn")
    barrier, seconds = context.Barrier(WRITERS), context.Queue()
    processes = [
        context.Process(target=target, args=(url, f"m{number}", count, barrier, seconds))
        for number in range(WRITERS)
    ]
    for process in processes:
        process.start()
    slowest = max(seconds.get(timeout=600) for _ in processes)
    for process in processes:
        process.join()
    return WRITERS * count / slowest


def grown(url: str, count: int) -> tuple[float, float]:
    """Return appends a second, and those of the peer, taken before and after and averaged."""
    engine = bare(url)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE bare (name TEXT, body TEXT)"))
    engine.dispose()
    before = rate(insert, url, count)
    ours = rate(append, url, count)
    return ours, (before + rate(insert, url, count)) / 2


def main() -> None:
    """Print the figures as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mutations", type=int, default=10_000)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--appends", type=int, default=500, help="entries each writer appends")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tried, missed, entries = mutated(folder, given.mutations)
        print(
            f"Changes of a ledger of {entries} entries (seed {SEED}): **{tried.total():,} tried, "
            f"{len(missed)} missed** or named at another entry, by either verifier."
        )
        print("\n| what was done | tried |\n|---|---:|")
        for kind, count in sorted(tried.items()):
            print(f"| {kind.replace('_', ' ')} | {count:,} |")
        for one in missed[:5]:
            print(f"\nmissed: `{one}`")
        own, alone = verified(folder, given.rows)
        print(
            f"\n| {given.rows:,} entries of 1,000 characters (SQLite) | rows/s | seconds of a core |"
            "\n|---|---:|---:|"
        )
        print(f"| `evergreen audit` | {own:,.0f} | {given.rows / own:.1f} |")
        print(f"| the stand-alone verifier | {alone:,.0f} | {given.rows / alone:.1f} |", flush=True)
        print(
            f"\n| {WRITERS} writers | appends/s | bare INSERT + COMMIT | of the peer |"
            "\n|---|---:|---:|---:|"
        )
        ours, peer = grown(f"sqlite:///{folder}/grown.db", given.appends)
        print(f"| SQLite | {ours:,.0f} | {peer:,.0f} | {ours / peer:.0%} |", flush=True)
        if find_binary("postgres"):
            with start_postgres() as server:
                url = server.url.render_as_string(hide_password=False)
                ours, peer = grown(url, given.appends)
                print(f"| PostgreSQL | {ours:,.0f} | {peer:,.0f} | {ours / peer:.0%} |")


if __name__ == "__main__":
    main()
