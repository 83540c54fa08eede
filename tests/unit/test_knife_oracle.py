"""The knife's oracle sees what it is there to see: each planted fault is named."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.knife import oracle
from tests.knife.ledger_parts import PARTS
from tests.knife.oracle import Left, agreed, fits
from tests.knife.place import Place, said
from tests.knife.strace import hidden, injected, points

HOME = Path("/h")


@pytest.fixture
def place(tmp_path: Path) -> Place:
    home = tmp_path / "home"
    home.mkdir()
    made = Place(home, f"sqlite:///{home / 'ledger.db'}", tmp_path / "told", tmp_path, 9)
    for part in ("migrate", "append", "note"):
        PARTS[part](made)
    return made


def change(place: Place, *statements: str) -> None:
    with closing(sqlite3.connect(place.home / "ledger.db")) as database, database:
        for (name,) in database.execute(
            "SELECT name FROM sqlite_master WHERE type = 'trigger'"
        ).fetchall():
            database.execute(f"DROP TRIGGER {name}")
        for statement in statements:
            database.execute(statement)


def complaints(place: Place) -> list[str]:
    ledger = oracle.read_ledger(place.ledger)
    acknowledged = [one for one in said(place.told) if "seq" in one]
    return [*ledger.broken(), *ledger.lost(acknowledged)]


def test_a_whole_ledger_has_nothing_to_complain_of(place: Place):
    assert complaints(place) == []
    assert len([one for one in said(place.told) if "seq" in one]) == 6


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("UPDATE entries SET body = '{}' WHERE seq = 2", "entry 2 does not have its hash"),
        ("DELETE FROM entries WHERE seq = 2", "entry 2 is missing"),
        ("DELETE FROM entries WHERE seq = 6", "and 5 entries stand"),
        ("UPDATE head SET seq = 5", "the head is 5"),
        ("UPDATE entries SET previous_hash = hash WHERE seq = 3", "entry 3 is not chained"),
    ],
)
def test_a_ledger_that_was_changed_is_named(place: Place, statement: str, expected: str):
    change(place, statement)
    assert any(expected in one for one in complaints(place)), complaints(place)


def test_what_was_acknowledged_and_cut_off_cleanly_is_named(place: Place):
    with closing(sqlite3.connect(place.home / "ledger.db")) as database:
        hash_of_5 = database.execute("SELECT hash FROM entries WHERE seq = 5").fetchone()[0]
    change(place, "DELETE FROM entries WHERE seq = 6", f"UPDATE head SET seq = 5, hash = '{hash_of_5}'")
    assert complaints(place) == ["event/failed/m/2 was acknowledged as entry 6 and does not stand"]


def left(**changes) -> Left:
    found = {
        "entries": {"a": ["m", "release", {"n": 1, "at": "x"}], "b": ["m", "snapshot", {}]},
        "order": ["a", "b"],
        "messages": {"k": "sent"},
        "mlflow": {"versions": [["m", 1]]},
        "files": {"store/f": "1"},
    }
    return Left(**(found | changes))


UNDISTURBED = (
    left(),
    left(entries={"a": ["m", "release", {"n": 1, "at": "y"}], "b": ["m", "snapshot", {}]}),
)


def test_what_undisturbed_runs_differ_in_may_be_anything():
    other = left(entries={"a": ["m", "release", {"n": 1, "at": "z"}], "b": ["m", "snapshot", {}]})
    assert list(other.differences(UNDISTURBED)) == []


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"entries": {"b": ["m", "snapshot", {}]}, "order": ["b"]}, "no entry a"),
        ({"order": ["b", "a"]}, "another order"),
        ({"messages": {"k": "waiting"}}, "messages: k is"),
        ({"messages": {}}, "messages: k is missing"),
        ({"mlflow": {"versions": [["m", 1], ["m", 2]]}}, "mlflow: versions is"),
        ({"files": {"store/f": "2"}}, "files: store/f is"),
        ({"files": {"store/f": "1", "store/g": "1"}}, "files: store/g is there"),
    ],
)
def test_what_differs_from_undisturbed_runs_is_named(changes: dict, expected: str):
    assert any(expected in one for one in left(**changes).differences(UNDISTURBED))


def test_an_entry_that_nobody_asked_for_is_named_but_for_failures():
    more = {
        **left().entries,
        "snapshot/x": ["m", "snapshot", {}],
        "step_failed/x": ["m", "step_failed", {}],
    }
    found = list(
        left(entries=more, order=["a", "b", "snapshot/x", "step_failed/x"]).differences(UNDISTURBED)
    )
    assert found == ["an entry that nobody asked for: snapshot/x"]


def test_agreement_blanks_out_only_what_differs():
    assert agreed({"a": [1, 2]}, {"a": [1, 3]}) == {"a": [1, oracle.VOLATILE]}
    assert not fits({"a": [2, 3]}, {"a": [1, oracle.VOLATILE]})
    assert not fits({"a": [1]}, {"a": [1, oracle.VOLATILE]})


@pytest.mark.parametrize(
    ("name", "content", "is_half"),
    [
        ("store/a.json", b'{"a": ', True),
        ("store/a.json", b'{"a": 1}', False),
        ("store/a.parquet", b"PAR1", True),
        ("store/a.html", b"<html>", True),
        ("store/a.png", b"\x89PNG", True),
        ("store/incoming/x/a.json", b"{", False),
        ("store/.a.json.1", b"{", False),
    ],
)
def test_half_a_file_under_a_final_name_is_named(
    tmp_path: Path, name: str, content: bytes, is_half: bool
):
    path = tmp_path / name
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    assert bool(list(oracle.halves(tmp_path, {}, {name: "another digest"}))) is is_half


def test_a_file_that_no_undisturbed_run_leaves_is_named(tmp_path: Path):
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "a.json").write_text("{}")
    assert list(oracle.halves(tmp_path, {}, {})) == [
        "a file that no undisturbed run leaves: store/a.json"
    ]


def released(tmp_path: Path, *, version: int, alias: int) -> oracle.Ledger:
    """A world in which the ledger released version 2, and target and registry have others."""
    (tmp_path / "releases").mkdir()
    pointer = {"version": version, "model": {"digest": "d"}, "fence": 1}
    (tmp_path / "releases" / "m.json").write_text(json.dumps(pointer))
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as database, database:
        database.executescript(
            "CREATE TABLE runs (status); CREATE TABLE model_versions (name, version, current_stage);"
            "CREATE TABLE model_version_tags (name, key, value);"
            "CREATE TABLE registered_model_aliases (name, alias, version);"
        )
        database.execute("INSERT INTO registered_model_aliases VALUES ('m', 'champion', ?)", (alias,))
    body = json.dumps({"name": "m", "candidate": {}, "version": {"number": 2, "model": {"digest": "d"}}})
    rows = [
        (number, "", "m", kind, f"{kind}/m/1", body, "", "")
        for number, kind in enumerate(("release_intended", "release"), 1)
    ]
    return oracle.Ledger(tuple(rows), (2, ""), {})


@pytest.mark.parametrize(
    ("version", "alias", "said"), [(2, 2, []), (1, 2, ["target"]), (2, 1, ["registry"])]
)
def test_a_world_that_does_not_follow_the_ledger_is_named(
    tmp_path: Path, version: int, alias: int, said: list[str]
):
    found = list(oracle.torn(released(tmp_path, version=version, alias=alias), tmp_path))
    assert len(found) == len(said)
    assert all(word in one for word, one in zip(said, found, strict=True))


def test_an_intent_without_an_outcome_is_named(tmp_path: Path):
    ledger = released(tmp_path, version=2, alias=2)
    assert list(oracle.unfinished(ledger)) == []
    alone = oracle.Ledger(ledger.rows[:1], (1, ""), {})
    assert list(oracle.unfinished(alone)) == ["release_intended/m/1 has no outcome"]


WRITTEN = """\
7 --- stopped by SIGSTOP ---
7 openat(AT_FDCWD</w>, "/h/ledger.db", O_RDWR|O_CREAT, 0644) = 3</h/ledger.db>
7 openat(AT_FDCWD</w>, "/h/other", O_RDONLY) = 4</h/other>
7 pwrite64(3</h/ledger.db>, "/elsewhere", 10, 0) = 10
7 write(1</log>, "/h/ledger.db", 12) = 12
8 write(5</h/store/a>, "x", 1) = 1
8 write(5</h/store/a>, "x", 1) = 1
7 renameat(6</h/store>, "a", 6</h/store>, "b") = 0
7 +++ exited with 0 +++
"""


def test_points_are_write_like_calls_about_our_files():
    found = points(WRITTEN, 7, HOME)
    assert [(one.main, one.call, one.number) for one in found] == [
        (True, "openat", 1),
        (True, "pwrite64", 1),
        (False, "write", 2),
        (True, "renameat", 1),
    ]
    assert found[-1].paths == ("/h/store", "/h/store/a", "/h/store", "/h/store/b")
    assert hidden(WRITTEN, 7, HOME) == 1, "the first write of 8: a count would meet that of 7"


def test_a_cut_counts_only_where_it_met_a_file_of_ours():
    assert injected('7 write(3</h/a>, "x", 1) = -1 EIO (Input/output error) (INJECTED)\n', HOME)
    assert not injected('7 write(1</log>, "x", 1) = -1 EIO (Input/output error) (INJECTED)\n', HOME)
    assert not injected('7 write(3</h/a>, "x", 1) = 1\n', HOME)


def test_of_a_value_that_differs_the_place_is_said():
    common = {"a": [1, {"b": 2, "c": oracle.VOLATILE}]}
    assert list(oracle.parting({"a": [1, {"b": 3, "c": 4}]}, common)) == [("/a/1/b", 3, 2)]
    assert list(oracle.parting({"a": [1]}, common)) == [("/a", [1], common["a"])]


def test_what_a_clock_measured_is_no_difference():
    assert oracle.unmeasured({"p99_ms": 1.5, "faults": []}) == {"p99_ms": oracle.VOLATILE, "faults": []}


@pytest.mark.parametrize(
    ("said_of_it", "excused"),
    [
        ("entries: alarm_reported/m/monitor/2/files is [], not [1]", True),
        ("files: store/watch/m/reports/N/columns.png is missing", True),
        ("files: store/watch/m/reports/N/columns.png is there", False),
        ("entries: verdict/m/monitor/2/answer is 1, not 2", False),
        ("no entry alarm_reported/m/monitor/2", False),
    ],
)
def test_a_check_may_go_on_without_a_page_and_without_nothing_else(said_of_it: str, excused: bool):
    assert bool(oracle.WENT_WITHOUT.match(said_of_it)) is excused
