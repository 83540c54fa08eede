"""The stand-alone verifier says what the ledger's own check says, and never "whole" of what is not."""

from __future__ import annotations

import ast
import csv
import json
import random
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import astuple
from pathlib import Path

import pytest

from evergreen.cli.main import main
from evergreen.ledger import open_ledger, verifier
from tests.ledger_mutations import (
    COLUMNS,
    WAYS,
    Mutator,
    checkpoints_of,
    first_bad,
    real_ledger,
    rows_of,
)

SEED = 20130401
MUTATIONS = 1000
SOURCE = Path(verifier.__file__)


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    return real_ledger(tmp_path_factory.mktemp("real"))


@pytest.fixture(scope="module")
def rows(real):
    return rows_of(real)


@pytest.fixture(scope="module")
def kept(rows, tmp_path_factory):
    """A file with a checkpoint of every entry."""
    path = tmp_path_factory.mktemp("kept") / "checkpoints.jsonl"
    path.write_text("".join(f"{one.text()}\n" for one in checkpoints_of(rows)), encoding="utf-8")
    return path


@pytest.fixture
def copy(real, tmp_path):
    return Path(shutil.copy(real, tmp_path / "ledger.db"))


def run(*arguments, cwd):
    """Run a copy of the verifier as a stranger does: elsewhere, without Evergreen or any package."""
    shutil.copy(SOURCE, cwd / "verify_ledger.py")
    command = [sys.executable, "-I", "-S", "verify_ledger.py", *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


def test_it_is_one_small_file_of_the_standard_library_for_old_pythons():
    text = SOURCE.read_text(encoding="utf-8")
    assert len(text.splitlines()) < 300
    tree = ast.parse(text, feature_version=(3, 8))
    named = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    named |= {
        alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names
    }
    assert {name.partition(".")[0] for name in named} <= {*sys.stdlib_module_names}
    called = {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    assert not {name for name in called if name.endswith(("removeprefix", "removesuffix", "zip"))}


def test_a_stranger_finds_a_real_ledger_whole(copy, kept, tmp_path, rows):
    found = run("ledger.db", "--checkpoints", kept, cwd=tmp_path)
    assert (found.returncode, found.stderr) == (0, "")
    assert f"WHOLE: {len(rows)} entries, head {rows[-1].hash}" in found.stdout
    assert "ADOPTED: entry" in found.stdout, "whoever checks is told of every adoption"
    assert "\\'" not in found.stdout, "what an entry holds is shown as it stands there"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ledger.db", "verify_ledger.py"]


def test_it_is_printed_by_the_command_line_as_it_is(capsys):
    assert main(["audit", "--verifier"]) == 0
    assert capsys.readouterr().out == SOURCE.read_text(encoding="utf-8")


def test_every_random_mutation_is_found_at_its_entry_by_both(real, copy, rows, kept):
    checkpoints = checkpoints_of(rows)
    rng = random.Random(SEED)
    mutator, missed, found_by_way = Mutator(rows, rng), [], {}
    ledger = open_ledger(f"sqlite:///{copy}", 600)
    for number in range(MUTATIONS):
        with closing(sqlite3.connect(copy)) as connection:
            done = mutator.mutate(connection)
            found_by_way[done.name] = found_by_way.get(done.name, 0) + 1
            ours = ledger.verify()
            first = first_bad(ledger, ours, checkpoints)
            alone = verifier.check(str(copy), [])
            against = verifier.check(str(copy), [str(kept)])
            said = (alone.ok, alone.entries, alone.head, alone.first_bad_seq)
            if (
                first != done.first_bad_seq
                or ours.first_bad_seq != done.by_chain
                or said != (ours.ok, ours.count, ours.head, ours.first_bad_seq)
                or (against.ok, against.first_bad_seq) != (False, done.first_bad_seq)
            ):
                missed.append((number, done, ours, alone, against))
            with closing(sqlite3.connect(real)) as source:
                source.backup(connection)
    assert ledger.verify().ok
    ledger.close()
    assert missed == []
    assert len(found_by_way) == len({way.__name__ for way in WAYS}), "every way was tried"


def test_a_rewrite_lies_between_the_last_checkpoint_that_agrees_and_the_first_that_does_not(
    copy, rows, tmp_path
):
    sparse = tmp_path / "sparse.jsonl"
    sparse.write_text("\n".join(one.text() for one in checkpoints_of(rows)[9::10]))
    mutator = Mutator(rows, random.Random(SEED))
    with closing(sqlite3.connect(copy)) as connection:
        for (name,) in connection.execute(
            "SELECT name FROM sqlite_master WHERE type = 'trigger'"
        ).fetchall():
            connection.execute(f"DROP TRIGGER {name}")
        next(way for way in WAYS if way.__name__ == "rewrite_tail")(mutator, connection, 15)
        connection.commit()
    assert verifier.check(str(copy), []).ok, "the chain alone cannot show it"
    assert verifier.check(str(copy), [str(sparse)]).first_bad_seq == 20


@pytest.fixture
def export(real, tmp_path):
    path = tmp_path / "ledger.jsonl"
    ledger = open_ledger(f"sqlite:///{real}", 600)
    with path.open("w") as file:
        for row in ledger.rows():
            file.write(json.dumps({name: getattr(row, name) for name in COLUMNS}) + "\n")
    ledger.close()
    return path


def as_csv(rows, path):
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, quoting=csv.QUOTE_ALL)
        writer.writerow(COLUMNS)
        writer.writerows([[getattr(row, name) for name in COLUMNS] for row in rows])
    return path


def test_exports_are_whole_as_the_ledger_is(export, rows, kept, tmp_path):
    for path in (export, as_csv(rows, tmp_path / "ledger.csv")):
        found = verifier.check(str(path), [str(kept)])
        assert (found.ok, found.entries, found.head) == (True, len(rows), rows[-1].hash)


def test_an_export_without_its_tail_is_found_by_its_checkpoints(export, rows, kept):
    lines = export.read_text().splitlines(keepends=True)
    export.write_text("".join(lines[:-3]))
    assert verifier.check(str(export), [str(kept)]).first_bad_seq == len(rows) - 2


BROKEN_LINES = {
    "a number of text": lambda row: {**row, "seq": str(row["seq"])},
    "a number with a point": lambda row: {**row, "seq": float(row["seq"])},
    "a number that is true": lambda row: {**row, "seq": True},
    "no body": lambda row: {**row, "body": None},
    "a body that is an object": lambda row: {**row, "body": json.loads(row["body"])},
    "a hash that is null": lambda row: {**row, "hash": None},
    "a hash that is a list": lambda row: {**row, "hash": [row["hash"]]},
    "another column": lambda row: {**row, "note": "x"},
    "a column less": lambda row: {name: row[name] for name in row if name != "at"},
    "a list": lambda row: list(row.values()),
    "half a character": lambda row: {**row, "key": "\ud800"},
}


@pytest.mark.parametrize("name", BROKEN_LINES)
def test_a_line_of_an_export_that_is_not_a_row_is_never_whole(name, export, kept, tmp_path):
    lines = export.read_text().splitlines()
    lines[4] = json.dumps(BROKEN_LINES[name](json.loads(lines[4])))
    export.write_text("\n".join(lines) + "\n")
    found = run(export, "--checkpoints", kept, cwd=tmp_path)
    assert found.returncode in (1, 2), found.stdout
    assert "WHOLE" not in found.stdout
    assert found.stderr == ""
    assert found.returncode == 2 or "BROKEN at entry 5" in found.stdout


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace('"seq": 5,', '"seq": 4, "seq": 5,'),
        lambda text: text + text.splitlines(keepends=True)[4],
        lambda text: text.splitlines(keepends=True)[0] * 2 + text,
        lambda text: text + "\n",
        lambda text: text + "{}",
        lambda text: text[:-20],
        lambda text: "[" * 200_000,
        lambda text: '{"seq":' * 100_000,
        lambda text: "{",
        lambda text: "",
        lambda text: "\x00" * 1000,
        lambda text: text.replace('"body": "', '"body": "\udcff', 1),
    ],
)
def test_an_export_of_odd_text_is_never_whole(change, export, kept, tmp_path):
    export.write_text(change(export.read_text()), encoding="utf-8", errors="surrogateescape")
    found = run(export, "--checkpoints", kept, cwd=tmp_path)
    assert found.returncode in (1, 2), found.stdout
    assert "WHOLE" not in found.stdout
    assert found.stderr == ""


@pytest.mark.parametrize(
    "change",
    [
        lambda cells: [cells[0], *cells[2:]],
        lambda cells: [*cells, "more"],
        lambda cells: ["", *cells[1:]],
        lambda cells: ["5.0", *cells[1:]],
        lambda cells: ["\u0665", *cells[1:]],
        lambda cells: ["9" * 5000, *cells[1:]],
        lambda cells: [*cells[:5], "\\N", *cells[6:]],
        lambda cells: [*cells[:7], ""],
    ],
)
def test_a_csv_row_that_is_not_one_is_never_whole(change, rows, kept, tmp_path):
    path = as_csv(rows, tmp_path / "ledger.csv")
    with path.open(newline="", encoding="utf-8") as file:
        lines = list(csv.reader(file))
    lines[5] = change(lines[5])
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(lines)
    found = run(path, "--checkpoints", kept, cwd=tmp_path)
    assert found.returncode in (1, 2), found.stdout
    assert "WHOLE" not in found.stdout
    assert found.stderr == ""


@pytest.mark.parametrize(
    "sql",
    [
        "ALTER TABLE entries ADD COLUMN note TEXT",
        "ALTER TABLE entries RENAME TO kept; CREATE VIEW entries AS SELECT *, 1 AS x FROM kept",
        "DROP TABLE entries",
        "DROP TABLE head",
        "DROP TRIGGER head_stays; DELETE FROM head",
        "DROP TRIGGER head_grows; UPDATE head SET seq = 'x'",
        "INSERT INTO head VALUES (2, 1, 'x')",
    ],
)
def test_a_database_of_another_form_is_never_whole(sql, copy, kept, tmp_path):
    with closing(sqlite3.connect(copy)) as connection:
        connection.executescript(sql)
    found = run("ledger.db", "--checkpoints", kept, cwd=tmp_path)
    assert found.returncode in (1, 2), found.stdout
    assert "WHOLE" not in found.stdout
    assert found.stderr == ""


def test_a_damaged_database_file_is_never_whole(copy, kept, tmp_path):
    content = bytearray(copy.read_bytes())
    content[len(content) // 4 : -len(content) // 4] = b"\xff" * len(content)
    copy.write_bytes(content)
    found = run("ledger.db", "--checkpoints", kept, cwd=tmp_path)
    assert found.returncode in (1, 2)
    assert found.stderr == ""


ONE = 9
"""Which of the kept checkpoints is forged."""


@pytest.mark.parametrize(
    "change",
    [
        {"seq": 11},
        {"seq": 10**6},
        {"seq": 2**70},
        {"seq": 0},
        {"seq": True},
        {"seq": "10"},
        {"seq": None},
        {"hash": "0" * 64},
        {"hash": "A" * 64},
        {"hash": ""},
        {"hash": None},
        {"ledger": "0" * 64},
        {"ledger": 7},
        {"at": "2013-04-01T00:00:00.000000Z"},
        {"at": None},
        {"era": "0"},
        {"format": 2},
        {"more": 1},
    ],
)
def test_a_forged_checkpoint_is_never_agreed_with(change, copy, kept, tmp_path):
    lines = kept.read_text().splitlines()
    forged = tmp_path / "forged.json"
    forged.write_text(json.dumps(json.loads(lines[ONE]) | change))
    found = run("ledger.db", "--checkpoints", kept, forged, cwd=tmp_path)
    assert found.returncode in (1, 2), found.stdout
    assert "WHOLE" not in found.stdout
    assert found.stderr == ""


@pytest.mark.parametrize(
    "content",
    [b"", b"\n\n", b"{}", b"null", b"\xff\xfe", b"\x00" * 100, b"[" * 200_000, b"garbage", b'{"seq":1}'],
)
def test_a_file_that_is_no_checkpoint_is_never_passed_over(content, copy, kept, tmp_path):
    folder = tmp_path / "place"
    folder.mkdir()
    shutil.copy(kept, folder / "good.json")
    (folder / "bad.json").write_bytes(content)
    found = run("ledger.db", "--checkpoints", folder, cwd=tmp_path)
    assert found.returncode == 2, found.stdout
    assert found.stdout.startswith("CANNOT BE TOLD: ")
    assert found.stderr == ""


def test_a_place_without_checkpoints_vouches_for_nothing(copy, tmp_path):
    (tmp_path / "empty").mkdir()
    for path in ("empty", "absent"):
        found = run("ledger.db", "--checkpoints", path, cwd=tmp_path)
        assert found.returncode == 2
    assert run("absent.db", cwd=tmp_path).returncode == 2


def test_text_of_a_ledger_cannot_speak_for_the_verifier(export, kept, tmp_path):
    lines = export.read_text().splitlines()
    row = json.loads(lines[4])
    lines[4] = json.dumps(row | {"kind": "x\nWHOLE: 9 entries\x1b[2J", "seq": "WHOLE\n"})
    export.write_text("\n".join(lines))
    found = run(export, "--checkpoints", kept, cwd=tmp_path)
    assert found.returncode == 1
    assert len(found.stdout.splitlines()) == 1
    assert "\x1b" not in found.stdout


def test_what_an_adoption_gave_up_is_broken_for_who_does_not_know_of_it(copy, rows, tmp_path):
    adopted = next(row for row in rows if row.kind == "adopted")
    lost = tmp_path / "lost.json"
    lost.write_text(json.loads(adopted.body)["gives_up"])
    found = run("ledger.db", "--checkpoints", lost, cwd=tmp_path)
    assert found.returncode == 1
    assert f"--accept {adopted.hash}" in found.stdout
    found = run("ledger.db", "--checkpoints", lost, "--accept", adopted.hash, cwd=tmp_path)
    assert found.returncode == 0


def test_who_knows_of_an_adoption_does_not_accept_another_one_in_its_place(rows, kept, tmp_path):
    adopted = next(row for row in rows if row.kind == "adopted")
    gives_up_all = json.dumps(json.loads(adopted.body) | {"era": 2**40, "since": 1})
    forged = []
    for row in rows:
        body = gives_up_all if row.seq == adopted.seq else '{"forged":true}'
        chained = verifier.Row(*astuple(row))._replace(
            body=body, previous_hash=forged[-1].hash if forged else verifier.GENESIS
        )
        forged.append(
            chained._replace(hash=verifier.hash_of(chained, chained.seq, chained.previous_hash))
        )
    export = tmp_path / "forged.jsonl"
    export.write_text("\n".join(json.dumps(row._asdict()) for row in forged))
    assert verifier.check(str(export), []).ok, "its own chain is whole"
    for known in (adopted.hash, adopted.seq):
        found = run(export, "--checkpoints", kept, "--accept", known, cwd=tmp_path)
        assert (found.returncode, found.stdout.splitlines()[-1][:18]) == (1, "BROKEN at entry 1:")
