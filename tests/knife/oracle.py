"""Says what was lost, doubled or left half done. Shares no code with Evergreen on purpose.

It reads the ledger's tables, MLflow's database and the files as they lie, and knows the chain's rule
from `docs/explanation/ledger.md` only.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import sqlite3
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pyarrow.parquet as pq

GENESIS = "0" * 64
COLUMNS = ("seq", "at", "model", "kind", "key", "body", "previous_hash", "hash")
FAILURES = ("step_failed",)
"""What a failed try may leave besides: kinds of entries that no undisturbed run has."""
IN_ANY_ORDER = ("told", "not_told")
LOGBOOK = ("reconcile_intended", "reconciled")
"""What passes of reconcile say of themselves: a later one says that an earlier one was cut off."""
MADE_OF_EPOCHS = re.compile(r"(?<=/hand/)\d+$")
NAMED_BY_CONTENT = re.compile(r"(?<=/reports/)[0-9a-f]{64}")
"""Folders of pages that hold random ids, and so another name each time."""
FENCE = re.compile(rb'"fence": \d+')
BEING_MADE = re.compile(r"(^|/)(\.[^/]+|incoming|staging|tmp)(/|$)")
"""Paths under which nobody looks for a finished file."""
WENT_WITHOUT = re.compile(
    r"entries: alarm_reported/|files: store/watch/[^/]+/reports/N/[a-z.]+ is missing"
)
"""What may differ where a check's disk failed and the check went on: pages of an alarm are left out."""
FINAL = ("store", "releases")
VOLATILE = "…"
MEASURED = ("load_ms", "median_ms", "p99_ms", "rows_per_second", "memory_bytes", "single_rows")
"""Of how fast a model serves; a slow machine asks it for fewer single rows."""


@dataclass(frozen=True, slots=True)
class Ledger:
    """The ledger's tables as they lie: entries as tuples of `COLUMNS`, messages by key."""

    rows: tuple[tuple[Any, ...], ...]
    head: tuple[int, str]
    messages: Mapping[str, str]

    def broken(self) -> Iterator[str]:
        """Yield what is wrong with the chain (L1)."""
        previous = GENESIS
        for seq, row in enumerate(self.rows, 1):
            columns = dict(zip(COLUMNS, row, strict=True))
            claimed = columns.pop("hash")
            text = json.dumps(columns, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
            if columns["seq"] != seq:
                yield f"entry {seq} is missing: {columns['seq']} stands in its place"
                return
            if columns["previous_hash"] != previous:
                yield f"entry {seq} is not chained to the one before"
            if hashlib.sha256(text.encode()).hexdigest() != claimed:
                yield f"entry {seq} does not have its hash"
            previous = claimed
        if self.head != (len(self.rows), previous):
            yield f"the head is {self.head[0]}, and {len(self.rows)} entries stand"
        keys = Counter(row[COLUMNS.index("key")] for row in self.rows)
        yield from (f"key {key} stands {count} times" for key, count in keys.items() if count > 1)

    def lost(self, acknowledged: Iterable[Mapping[str, Any]]) -> Iterator[str]:
        """Yield what was acknowledged and does not stand as it was (L1)."""
        stand = {(row[0], row[4], row[7]) for row in self.rows}
        for said in acknowledged:
            if (said["seq"], said["key"], said["hash"]) not in stand:
                yield f"{said['key']} was acknowledged as entry {said['seq']} and does not stand"


@dataclass(frozen=True, slots=True)
class Left:
    """What a part left: all that is compared with what an undisturbed one leaves."""

    entries: Mapping[str, Any]
    order: Sequence[str]
    messages: Mapping[str, str]
    mlflow: Mapping[str, Any]
    files: Mapping[str, str]

    def differences(self, undisturbed: Sequence[Left], *, ordered: bool = True) -> Iterator[str]:
        """Yield how this differs from what undisturbed runs have in common (L2, L3, L4)."""
        first, *others = undisturbed
        keys = {key for key in self.entries if not key.startswith(FAILURES)}
        yield from (
            f"an entry that nobody asked for: {key}" for key in sorted(keys - set(first.entries))
        )
        yield from (f"no entry {key}" for key in sorted(set(first.entries) - keys))
        ours = [key for key in self.order if not key.startswith(FAILURES)]
        if ordered and keys == set(first.entries) and ours != list(first.order):
            yield f"another order: {ours}"
        for name in ("entries", "messages", "mlflow", "files"):
            found, wanted = getattr(self, name), getattr(first, name)
            for key in sorted(found.keys() & wanted.keys()):
                common = wanted[key]
                for other in others:
                    common = agreed(common, getattr(other, name)[key])
                for where, one, other in parting(found[key], common):
                    yield f"{name}: {key}{where} is {short(one)}, not {short(other)}"
            if name != "entries":
                yield from (f"{name}: {key} is there" for key in sorted(found.keys() - wanted.keys()))
                yield from (f"{name}: {key} is missing" for key in sorted(wanted.keys() - found.keys()))


def agreed(one: Any, other: Any) -> Any:
    """Return a value with everything in which two undisturbed runs differ blanked out."""
    if isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys():
        return {key: agreed(one[key], other[key]) for key in one}
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        return [agreed(*pair) for pair in zip(one, other, strict=True)]
    return one if one == other else VOLATILE


def fits(found: Any, common: Any) -> bool:
    """Return whether a value is one that undisturbed runs agree on."""
    return agreed(common, found) == common


def parting(found: Any, common: Any, where: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Yield every place at which a value is not what undisturbed runs agree on, and both."""
    if isinstance(found, dict) and isinstance(common, dict) and found.keys() == common.keys():
        for key in found:
            yield from parting(found[key], common[key], f"{where}/{key}")
    elif isinstance(found, list) and isinstance(common, list) and len(found) == len(common):
        for number, pair in enumerate(zip(found, common, strict=True)):
            yield from parting(*pair, f"{where}/{number}")
    elif not fits(found, common):
        yield where, found, common


def read_ledger(url: str) -> Ledger:
    """Read the ledger from a copy: reading SQLite's own files would mend what a kill left of them."""
    with _connected(url) as ask:
        rows = ask(f"SELECT {', '.join(COLUMNS)} FROM entries ORDER BY seq")
        head = ask("SELECT seq, hash FROM head")
        messages = ask("SELECT key, state FROM messages")
    return Ledger(tuple(map(tuple, rows)), tuple(head[0]), dict(messages))


def has_tables(url: str) -> bool:
    try:
        read_ledger(url)
    except (sqlite3.OperationalError, psycopg.errors.UndefinedTable, IndexError):
        return False
    return True


def look(url: str, home: Path) -> Left:
    """Read everything that a part left, with what names the place it worked in left out."""
    ledger = read_ledger(url)
    entries, order = {}, []
    for row in ledger.rows:
        _, _, model, kind, key, body, *_ = row
        if kind in LOGBOOK:
            continue
        key = MADE_OF_EPOCHS.sub("N", key)
        entries[key] = [model, kind, json.loads(body.replace(str(home), "HOME"), object_hook=unmeasured)]
        if kind not in IN_ANY_ORDER:
            order.append(key)
    return Left(entries, order, ledger.messages, _mlflow(home), files(home))


def unmeasured(value: dict[str, Any]) -> dict[str, Any]:
    """Return an object with what a clock measured blanked out."""
    return {key: VOLATILE if key in MEASURED else one for key, one in value.items()}


def unfinished(ledger: Ledger) -> Iterator[str]:
    """Yield intents that have no outcome (L3)."""
    kinds = {row[4]: row[3] for row in ledger.rows}
    for key in (key for key, kind in kinds.items() if kind == "release_intended"):
        if key.replace("release_intended/", "release/", 1) not in kinds:
            yield f"{key} has no outcome"


def torn(ledger: Ledger, home: Path) -> Iterator[str]:
    """Yield where alias and pointer are not those of the ledger's last release (L3)."""
    releases = [
        json.loads(row[5]) for row in ledger.rows if row[3] == "release" and "candidate" in row[5]
    ]
    if not releases:
        return
    intents = [row[0] for row in ledger.rows if row[3] == "release_intended"]
    version, name = releases[-1]["version"], releases[-1]["name"]
    pointer = json.loads((home / "releases" / f"{name}.json").read_bytes())
    served = (pointer["version"], pointer["model"]["digest"], pointer["fence"])
    if served != (version["number"], version["model"]["digest"], intents[-1]):
        yield f"the target serves {served}, and champion is version {version['number']}"
    aliases = [alias for alias in _mlflow(home)["aliases"] if alias[:2] == [name, "champion"]]
    if aliases != [[name, "champion", version["number"]]]:
        yield f"the registry's champion is {aliases}, and the ledger's version {version['number']}"


def halves(home: Path, before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[str]:
    """Yield the files under a final name that are neither as they were nor as they are to be."""
    for name, digest, path in _files(home):
        if digest in (before.get(name), after.get(name)):
            continue
        if name not in after and name not in before:
            yield f"a file that no undisturbed run leaves: {name}"
        elif (broken := _unreadable(path)) is not None:
            yield f"half a file: {name}: {broken}"


def files(home: Path) -> dict[str, str]:
    """Return the digests of all files under a final name, by that name."""
    return {name: digest for name, digest, _ in _files(home)}


def _files(home: Path) -> Iterator[tuple[str, str, Path]]:
    for top in FINAL:
        for path in sorted((home / top).rglob("*")):
            name = path.relative_to(home).as_posix()
            if path.is_file() and not BEING_MADE.search(name):
                # A failed try leaves an entry, which shifts the number that the pointer bears (`torn`).
                content = FENCE.sub(b"", path.read_bytes()) if top == "releases" else path.read_bytes()
                digest = hashlib.sha256(content).hexdigest()
                yield NAMED_BY_CONTENT.sub("N", name), digest, path


def _unreadable(path: Path) -> str | None:
    """Return why a file is not a whole one of its kind, or None."""
    try:
        match path.suffix:
            case ".json":
                json.loads(path.read_bytes())
            case ".parquet":
                pq.read_table(path, page_checksum_verification=True)
            case ".png":
                assert path.read_bytes().endswith(b"IEND\xaeB`\x82"), "no end"
            case ".html":
                assert path.read_text().rstrip().endswith("</html>"), "no end"
    except Exception as exc:  # noqa: BLE001 - whatever a reader says of half a file
        return f"{type(exc).__name__}: {exc}"
    return None


def _mlflow(home: Path) -> dict[str, Any]:
    """Return finished runs, versions and aliases; ids stand for themselves only by what they are of."""
    path = home / "mlflow.db"
    if not path.exists():
        return {}
    with closing(sqlite3.connect(path)) as database:
        try:
            return {
                "finished runs": database.execute(
                    "SELECT count(*) FROM runs WHERE status = 'FINISHED'"
                ).fetchone()[0],
                "versions": [list(row) for row in database.execute(_VERSIONS)],
                "doubled": [list(row) for row in database.execute(_DOUBLED)],
                "aliases": [list(row) for row in database.execute(_ALIASES)],
            }
        except sqlite3.OperationalError:
            return {}


_VERSIONS = "SELECT name, version, current_stage FROM model_versions ORDER BY name, version"
_DOUBLED = """
SELECT name, value, count(*) FROM model_version_tags WHERE key = 'evergreen.candidate_key'
GROUP BY name, value HAVING count(*) > 1
"""
_ALIASES = "SELECT name, alias, version FROM registered_model_aliases ORDER BY name, alias"


@contextmanager
def _connected(url: str) -> Iterator[Any]:
    if url.startswith("sqlite"):
        path = Path(url.partition("///")[2])
        with tempfile.TemporaryDirectory(prefix="oracle-") as folder:
            for one in path.parent.glob(f"{path.name}*"):
                shutil.copy(one, folder)
            with closing(sqlite3.connect(Path(folder) / path.name)) as database:
                yield lambda sql: database.execute(sql).fetchall()
    else:
        with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
            yield lambda sql: connection.execute(sql).fetchall()


def short(value: Any) -> str:
    text = json.dumps(value, default=str)
    return text if len(text) < 300 else f"{text[:300]}…"
