"""A changed ledger is found, at the right entry, whatever was changed."""

from __future__ import annotations

import random
import re
import shutil
import sqlite3
import subprocess
import sys
from dataclasses import astuple, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evergreen.canonical import digest_of
from evergreen.errors import ChainBroken
from evergreen.ledger import open_ledger
from evergreen.ledger.chain import (
    EMPTY,
    GENESIS,
    Head,
    Row,
    audit,
    entry_of,
    hash_of,
    instant_text,
    link,
)
from evergreen.ports import Lease

ROWS = 12
SEED = 20130401
MUTATIONS = 400
TRIGGERS = "SELECT name FROM sqlite_master WHERE type = 'trigger'"
COLUMNS = ("seq", "at", "model", "kind", "key", "body", "previous_hash", "hash")


def chain_of(count: int) -> tuple[list[Row], Head]:
    rows, head = [], EMPTY
    for number in range(1, count + 1):
        row = link(
            head,
            at=f"2013-04-{number:02d}T00:00:00.000000Z",
            model="m",
            kind="snapshot",
            key=f"snapshot/m/{number}",
            body=f'{{"n":{number}}}',
        )
        rows.append(row)
        head = Head(row.seq, row.hash)
    return rows, head


text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@given(seq=st.integers(1, 2**53 - 1), at=text, model=text, kind=text, key=text, body=text, previous=text)
def test_the_hash_is_that_of_the_canonical_json_of_the_columns(
    seq, at, model, kind, key, body, previous
):
    columns = {"seq": seq, "at": at, "model": model, "kind": kind, "key": key, "body": body}
    expected = digest_of({**columns, "previous_hash": previous})
    assert hash_of(seq, at, model, kind, key, body, previous) == expected


def test_the_check_in_the_documentation_needs_no_evergreen_and_finds_a_change(tmp_path):
    page = Path(__file__).parents[2] / "docs" / "explanation" / "ledger.md"
    (check,) = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    command = [sys.executable, "-I", "-c", check]
    path = write_ledger(tmp_path)
    assert subprocess.run(command, cwd=tmp_path, check=False).returncode == 0
    connection = sqlite3.connect(path)
    connection.execute("DROP TRIGGER entries_keep")
    connection.execute("UPDATE entries SET body = '{}' WHERE seq = 5")
    connection.commit()
    connection.close()
    ran = subprocess.run(command, cwd=tmp_path, check=False, capture_output=True, text=True)
    assert ran.stderr == "entry 5 is not what was written\n"


def test_a_whole_chain_verifies():
    rows, head = chain_of(ROWS)
    found = audit(rows, head)
    assert (found.ok, found.count, found.head) == (True, ROWS, head.hash)


def test_an_instant_is_stored_so_that_text_sorts_as_time():
    rows, _ = chain_of(2)
    assert instant_text(entry_of(rows[0]).at) == rows[0].at
    assert rows[0].at < rows[1].at


@pytest.mark.parametrize("change", [{"at": "yesterday"}, {"body": "{"}, {"body": None}])
def test_a_row_that_cannot_be_read_is_a_broken_chain(change):
    rows, _ = chain_of(1)
    with pytest.raises(ChainBroken, match="ledger entry 1"):
        entry_of(replace(rows[0], **change))


def rehashed(row: Row, **changes) -> Row:
    row = replace(row, **changes)
    return replace(row, hash=hash_of(*astuple(row)[:-1]))


def swapped(rows: list[Row], one: int, other: int) -> list[Row]:
    rows = list(rows)
    rows[one], rows[other] = replace(rows[other], seq=one + 1), replace(rows[one], seq=other + 1)
    return rows


def inserted(rows: list[Row], at: int, *, forged: bool) -> list[Row]:
    new = replace(rows[at], body='{"new":1}', key="new")
    new = rehashed(new) if forged else new
    return [*rows[:at], new, *(replace(row, seq=row.seq + 1) for row in rows[at:])]


def fully_rehashed(rows: list[Row], at: int) -> list[Row]:
    result = rows[:at]
    for row in rows[at:]:
        body = '{"forged":1}' if row.seq == at + 1 else row.body
        previous = result[-1].hash if result else GENESIS
        result.append(rehashed(row, body=body, previous_hash=previous))
    return result


def grown(head: Head, by: int) -> Head:
    return Head(head.seq + by, head.hash)


R, H = chain_of(ROWS)


@pytest.mark.parametrize(
    ("rows", "head", "first_bad_seq", "how"),
    [
        pytest.param([*R[:4], replace(R[4], body="{}"), *R[5:]], H, 5, "edited", id="edited body"),
        pytest.param(
            [*R[:4], replace(R[4], previous_hash="f" * 64), *R[5:]], H, 5, "edited", id="edited link"
        ),
        pytest.param([*R[:4], rehashed(R[4], body="{}"), *R[5:]], H, 5, "replaced", id="rehashed"),
        pytest.param([*R[:11], rehashed(R[11], body="{}")], H, 12, "head differs", id="last rehashed"),
        pytest.param(fully_rehashed(R, 4), H, 12, "head differs", id="all rehashed from 5 on"),
        pytest.param(
            [rehashed(R[0], previous_hash="1" * 64), *R[1:]], H, 1, "replaced", id="new genesis"
        ),
        pytest.param([*R[:4], *R[5:]], H, 5, "missing: entry 5", id="deleted"),
        pytest.param(R[:4] + R[7:], H, 5, "missing: entries 5 to 7", id="three deleted"),
        pytest.param(R[:9], H, 10, "missing: entries 10 to 12", id="tail cut"),
        pytest.param([], H, 1, "missing: entries 1 to 12", id="emptied"),
        pytest.param(
            [*R[:4], *(replace(row, seq=row.seq - 1) for row in R[5:])],
            H,
            5,
            "reordered: the entry that belongs at 6 stands at 5",
            id="deleted and closed up",
        ),
        pytest.param(swapped(R, 2, 6), H, 3, "reordered: the entry that belongs at 7", id="swapped"),
        pytest.param(inserted(R, 4, forged=True), grown(H, 1), 5, "inserted", id="forged insert"),
        pytest.param(inserted(R, 4, forged=False), grown(H, 1), 5, "edited", id="clumsy insert"),
        pytest.param([*R, link(H, **dict(zip(COLUMNS[1:6], "abcde", strict=True)))], H, 13, "inserted"),
        pytest.param([replace(R[0], seq=0), *R], H, 0, "inserted", id="before the first"),
        pytest.param(R, Head(12, "f" * 64), 12, "head differs", id="another head"),
        pytest.param([], Head(0, "f" * 64), 0, "head differs", id="another head of nothing"),
        pytest.param(R, grown(H, 1), 13, "missing: entry 13", id="head set on"),
        pytest.param(R, Head(11, R[10].hash), 12, "inserted", id="head set back"),
    ],
)
def test_a_broken_chain_is_named_at_its_first_bad_entry(rows, head, first_bad_seq, how):
    found = audit(rows, head)
    assert not found.ok
    assert found.first_bad_seq == first_bad_seq
    assert found.what.startswith(how), found.what
    assert found.count == max(min(first_bad_seq - 1, len(rows)), 0)


def write_ledger(folder, count=ROWS):
    """A ledger file as a run leaves it, closed, so that it is one file."""
    path = folder / "ledger.db"
    ledger = open_ledger(f"sqlite:///{path}", 600)
    lease: Lease = ledger.acquire("m", "m/run")
    for number in range(1, count + 1):
        ledger.append("snapshot", f"snapshot/m/{number}", {"n": number, "text": "é" * number}, lease)
    ledger.close()
    return path


def mutate(connection, rng):
    """Change the file as somebody with the right to would; return the first bad seq."""
    for (name,) in connection.execute(TRIGGERS).fetchall():
        connection.execute(f"DROP TRIGGER {name}")
    seq = rng.randint(1, ROWS)
    kind = rng.choice(["edit", "null", "bytes", "type", "delete", "insert", "swap", "rehash", "cut"])
    if kind == "edit":
        column = rng.choice(COLUMNS[1:])
        (old,) = connection.execute(f"SELECT {column} FROM entries WHERE seq = ?", (seq,)).fetchone()
        at = rng.randrange(len(old))
        new = old[:at] + chr(ord(old[at]) ^ 0x20) + old[at + 1 :]
        connection.execute(f"UPDATE entries SET {column} = ? WHERE seq = ?", (new, seq))
    elif kind == "null":
        connection.execute("UPDATE entries SET body = '' WHERE seq = ?", (seq,))
    elif kind == "bytes":
        column = rng.choice(["body", "model", "hash", "previous_hash", "at"])
        sql = f"UPDATE entries SET {column} = CAST(x'ff6162' AS TEXT) WHERE seq = ?"
        connection.execute(sql, (seq,))
    elif kind == "type":
        connection.execute("UPDATE entries SET body = CAST(body AS BLOB) WHERE seq = ?", (seq,))
    elif kind == "delete":
        connection.execute("DELETE FROM entries WHERE seq = ?", (seq,))
    elif kind == "insert":
        connection.execute("UPDATE entries SET seq = -seq - 1 WHERE seq >= ?", (seq,))
        connection.execute("UPDATE entries SET seq = -seq WHERE seq < 0")
        previous = "SELECT coalesce(max(hash), :genesis) FROM entries WHERE seq = :seq - 1"
        (previous_hash,) = connection.execute(previous, {"genesis": GENESIS, "seq": seq}).fetchone()
        new = (seq, "2013-01-01T00:00:00.000000Z", "m", "release", "forged", "{}", previous_hash)
        row = (*new, hash_of(*new))
        connection.execute("INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)
    elif kind == "swap":
        other = rng.choice([s for s in range(1, ROWS + 1) if s != seq])
        for source, target in ((seq, -1), (other, seq), (-1, other)):
            connection.execute("UPDATE entries SET seq = ? WHERE seq = ?", (target, source))
        seq = min(seq, other)
    elif kind == "rehash":
        row = connection.execute("SELECT * FROM entries WHERE seq = ?", (seq,)).fetchone()
        forged = [*row[:5], '{"forged":1}', row[6]]
        sql = "UPDATE entries SET body = ?, hash = ? WHERE seq = ?"
        connection.execute(sql, (forged[5], hash_of(*forged), seq))
    elif kind == "cut":
        connection.execute("DELETE FROM entries WHERE seq >= ?", (seq,))
    connection.commit()
    return kind, seq


def test_every_random_mutation_of_a_ledger_file_is_found_at_its_entry(tmp_path):
    (tmp_path / "whole").mkdir()
    whole = write_ledger(tmp_path / "whole")
    path = tmp_path / "ledger.db"
    shutil.copy(whole, path)
    ledger = open_ledger(f"sqlite:///{path}", 600)
    assert ledger.verify().ok
    rng = random.Random(SEED)
    missed = []
    for number in range(MUTATIONS):
        connection = sqlite3.connect(path)
        kind, seq = mutate(connection, rng)
        found = ledger.verify()
        if found.ok or found.first_bad_seq != seq:
            missed.append((number, kind, seq, found))
        source = sqlite3.connect(whole)
        source.backup(connection)
        source.close()
        connection.close()
    assert ledger.verify().ok
    ledger.close()
    assert missed == []


def test_nothing_is_built_on_a_chain_whose_end_was_changed(tmp_path):
    path = write_ledger(tmp_path)
    connection = sqlite3.connect(path)
    connection.execute("DROP TRIGGER entries_stay")
    connection.execute("DELETE FROM entries WHERE seq = ?", (ROWS,))
    connection.commit()
    connection.close()
    ledger = open_ledger(f"sqlite:///{path}", 600)
    lease = ledger.acquire("m", "m/run")
    with pytest.raises(ChainBroken, match="nothing was written"):
        ledger.append("release", "release/m", {}, lease)
    assert ledger.find("release/m") is None
    ledger.close()


def test_a_ledger_whose_head_was_removed_does_not_verify(tmp_path):
    path = write_ledger(tmp_path)
    connection = sqlite3.connect(path)
    connection.execute("DROP TRIGGER head_stays")
    connection.execute("DELETE FROM head")
    connection.commit()
    connection.close()
    ledger = open_ledger(f"sqlite:///{path}", 600)
    assert not ledger.verify().ok
    with pytest.raises(ChainBroken):
        ledger.acquire("m", "m/run")
    ledger.close()
