"""A checkpoint says one thing, in one form; what a ledger has is held against it."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evergreen.canonical import canonical
from evergreen.checkpoints import (
    Adoption,
    Checkpoint,
    checkpoint_from,
    checkpoint_of,
    contradiction,
    held_against,
    instant,
)
from tests.fakes.ledger import FakeLedger

A, B = "a" * 64, "b" * 64
ONE = Checkpoint(A, 12, B, "2013-04-01T00:00:00.000000Z", 0, "0.1.0")
hashes = st.text("0123456789abcdef", min_size=64, max_size=64)


@given(
    st.builds(
        Checkpoint,
        hashes,
        st.integers(1, 2**53 - 1),
        hashes,
        st.datetimes().map(lambda at: at.isoformat(timespec="microseconds") + "Z"),
        st.integers(0, 2**53 - 1),
        st.text(st.characters(exclude_categories=["Cs"]), max_size=40),
    )
)
def test_a_checkpoint_is_read_back_as_it_was_written(one):
    assert checkpoint_from(one.text()) == one
    assert canonical(json.loads(one.text())).decode() == one.text()


@pytest.mark.parametrize(
    "change",
    [
        {"seq": 0},
        {"seq": True},
        {"seq": 1.0},
        {"seq": "1"},
        {"seq": 2**53},
        {"era": -1},
        {"hash": "A" * 64},
        {"hash": B[:-1]},
        {"hash": None},
        {"ledger": B + "\n"},
        {"at": "2013-04-01"},
        {"code": "v" * 41},
        {"format": 2},
        {"more": 1},
    ],
)
def test_what_is_almost_a_checkpoint_is_none(change):
    with pytest.raises(ValueError):
        checkpoint_from(json.dumps(json.loads(ONE.text()) | change))


@pytest.mark.parametrize(
    "text", ["", "{}", "null", "[]", "\x00", "[" * 100_000, ONE.text() * 2, ONE.text()[:-1]]
)
def test_garbage_is_no_checkpoint(text):
    with pytest.raises(ValueError):
        checkpoint_from(text)


def test_a_name_that_stands_twice_is_refused():
    with pytest.raises(ValueError, match="twice"):
        checkpoint_from(ONE.text().replace('"seq":12', '"seq":11,"seq":12'))


def ledger_of(count: int) -> FakeLedger:
    ledger = FakeLedger()
    lease = ledger.acquire("m", "m/run")
    for number in range(count):
        ledger.append("snapshot", f"snapshot/m/{number}", {"n": number}, lease)
    return ledger


def checkpoints(ledger: FakeLedger, era: int = 0) -> list[Checkpoint]:
    first = ledger.at(1)
    return [checkpoint_of(entry, first, era, "1") for entry in ledger.entries()]


def test_a_ledger_agrees_with_every_checkpoint_of_its_own():
    ledger = ledger_of(5)
    held = held_against(checkpoints(ledger), ledger.at, 5, ())
    assert (held.agreed, held.contradictions) == (5, ())


def test_the_first_entry_that_is_not_what_it_was_is_named():
    ledger = ledger_of(5)
    kept = checkpoints(ledger)
    cut = ledger_of(5)
    cut.rows = ledger.rows[:3]
    held = held_against(kept, cut.at, 3, ())
    assert (held.agreed, [one.first_bad_seq for one in held.contradictions]) == (3, [4, 4])
    assert [one.what for one in held.contradictions] == ["missing: entry 4", "missing: entry 5"]


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"hash": A}, "replaced: entry 5 is not the one"),
        ({"at": "2013-04-01T00:00:00.000000Z"}, "replaced: entry 5"),
        ({"seq": 6}, "missing: entry 6"),
        ({"ledger": A}, "entry 1 is not that of the checkpoint's ledger"),
    ],
)
def test_a_checkpoint_that_says_something_else_is_contradicted(change, what):
    ledger = ledger_of(5)
    one = replace(checkpoints(ledger)[-1], **change)
    assert contradiction(one, ledger.at(one.seq), ledger.at(1)).startswith(what)


def test_an_adoption_gives_up_what_it_says_and_no_more():
    ledger = ledger_of(5)
    wrong = replace(checkpoints(ledger)[-1], seq=9)
    adopted = Adoption(era=1, since=9, gives_up=wrong.text(), who="ada", why="restored")
    later, before = replace(wrong, era=1), replace(wrong, seq=8)
    held = held_against([wrong, later, before], ledger.at, 5, [adopted])
    assert held.given_up == (wrong,)
    assert [one.checkpoint for one in held.contradictions] == [before, later]


def test_the_time_of_a_checkpoint_is_that_of_its_entry_as_stored():
    ledger = ledger_of(1)
    assert instant(ledger.at(1).at) == ledger.rows[0].at
