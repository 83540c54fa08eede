"""From the command line: keep, audit, find a restored backup, adopt it."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from evergreen.cli.main import main
from evergreen.ledger import open_ledger, verifier


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("EVERGREEN_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("EVERGREEN_CHECKPOINTS", str(tmp_path / "kept"))
    append(tmp_path / "home", 3)
    return tmp_path / "home"


def append(home: Path, count: int) -> None:
    ledger = open_ledger(f"sqlite:///{home / 'ledger.db'}", 600)
    lease = ledger.acquire("m", "m/run")
    newest = ledger.newest()
    for number in range(count):
        ledger.append("snapshot", f"snapshot/m/{newest.seq if newest else 0}/{number}", {}, lease)
    ledger.close()


def test_a_checkpoint_is_kept_printed_and_found_by_an_audit(home, tmp_path, capsys):
    assert main(["checkpoint"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["seq"] == 3
    assert main(["audit"]) == 0
    assert "held against 1 checkpoint: entries up to 3" in capsys.readouterr().out
    assert main(["checkpoint", "--to", str(tmp_path / "usb"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["kept"] == [str(tmp_path / "usb")]
    assert main(["audit", "--checkpoints", str(tmp_path / "usb")]) == 0


def test_a_restored_older_backup_is_found_and_can_be_adopted(home, tmp_path, capsys):
    backup = shutil.copy(home / "ledger.db", tmp_path / "backup.db")
    append(home, 2)
    assert main(["checkpoint"]) == 0
    (lost,) = (tmp_path / "kept").rglob("*5.json")
    lost = shutil.copy(lost, tmp_path / "mail.txt")
    shutil.copy(backup, home / "ledger.db")
    capsys.readouterr()
    assert main(["audit", "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert (found["ok"], found["first_bad_seq"]) == (False, 4)
    assert main(["checkpoint"]) == 1
    assert main(["reconcile"]) == 3
    assert "reconcile --adopt" in capsys.readouterr().err
    assert main(["reconcile", "--adopt", "--dry-run"]) == 1
    assert main(["reconcile", "--adopt"]) == 2
    capsys.readouterr()
    assert main(["reconcile", "--adopt", "--why", "the disk was lost", "--json"]) == 0
    adopted = json.loads(capsys.readouterr().out)["adopted"]
    assert (adopted["era"], adopted["since"], adopted["why"]) == (1, 5, "the disk was lost")
    assert main(["audit"]) == 0
    assert "given up by an adoption: the checkpoint of entry 5" in capsys.readouterr().out
    assert main(["reconcile"]) == 0
    assert main(["reconcile", "--adopt", "--dry-run"]) == 0, "nothing is left to give up"
    capsys.readouterr()
    assert main(["audit", "--checkpoints", str(lost)]) == 0
    assert "no checkpoint vouches for it" in capsys.readouterr().out, "the one there is was given up"
    assert not verifier.check(str(home / "ledger.db"), [str(tmp_path / "kept")]).ok
    with closing(sqlite3.connect(home / "ledger.db")) as connection:
        known = [of for (of,) in connection.execute("SELECT hash FROM entries WHERE kind = 'adopted'")]
    assert verifier.check(str(home / "ledger.db"), [str(tmp_path / "kept")], accepted=known).ok


def test_a_broken_chain_is_not_adopted(home, capsys):
    assert main(["checkpoint"]) == 0
    connection = sqlite3.connect(home / "ledger.db")
    connection.execute("DROP TRIGGER entries_stay")
    connection.execute("DELETE FROM entries WHERE seq = 3")
    connection.commit()
    connection.close()
    assert main(["reconcile", "--adopt", "--why", "why"]) == 1
    assert "cannot be adopted" in capsys.readouterr().err


def test_without_a_place_there_is_nothing_to_adopt_and_a_checkpoint_is_only_printed(
    home, monkeypatch, capsys
):
    monkeypatch.delenv("EVERGREEN_CHECKPOINTS")
    assert main(["checkpoint"]) == 0
    assert json.loads(capsys.readouterr().out)["seq"] == 3
    assert main(["reconcile", "--adopt", "--why", "why"]) == 3
    assert main(["audit"]) == 0
    assert "no checkpoint vouches for it" in capsys.readouterr().out


@pytest.mark.parametrize("content", [None, "", "garbage\n"])
def test_an_audit_against_a_place_without_checkpoints_is_an_error(home, tmp_path, content, capsys):
    path = tmp_path / "place"
    if content is not None:
        path.write_text(content)
    assert main(["audit", "--checkpoints", str(path)]) == 1
    assert "checkpoint" in capsys.readouterr().err


def test_an_export_is_what_the_ledger_holds_and_takes_no_files_place(home, tmp_path, capsys):
    main(["checkpoint"])
    path = tmp_path / "ledger.jsonl"
    assert main(["audit", "--export", str(path)]) == 0
    assert verifier.check(str(path), [str(tmp_path / "kept")]).entries == 3
    assert main(["audit", "--export", str(path)]) == 2
    assert "exists" in capsys.readouterr().err
