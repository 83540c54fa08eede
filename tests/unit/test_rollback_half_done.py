"""A rollback that is killed, stopped or meets a release half done, and versions that were lost."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta

import pytest

from evergreen import steps
from evergreen.errors import (
    ArtefactDamaged,
    ChampionMoved,
    LeaseLost,
    StoreUnavailable,
)
from evergreen.steps.rollback import check, planned, rollback
from tests.fakes.bench import MAY, Bench
from tests.unit.rollback_bench import (
    DAY,
    WHY,
    again,
    bench,
    champions,
    kill,
    release_half_done,
    undo,
)

__all__ = ["bench"]


KILLED_AT = (
    "rollback.checked",
    "rollback.intended",
    "release.champion_moved",
    "release.deployed",
    "rollback.deed_recorded",
    "rollback.finished",
)


def test_a_release_that_a_killed_run_left_half_done_is_finished_and_shown_first(bench: Bench):
    release_half_done(bench)
    with pytest.raises(ChampionMoved, match="version 3 became champion"):
        undo(bench)
    undo(bench)
    assert champions(bench) == (2, 2, 2)


@pytest.mark.parametrize("to", [1, None])
def test_the_champion_is_no_answer_while_a_half_done_release_may_take_its_place(
    bench: Bench, to: int | None
):
    undo(bench)
    key = release_half_done(bench)
    with pytest.raises(ChampionMoved, match=f"version 3 became champion.*{key}.* finished first"):
        undo(bench, to=to)
    assert champions(bench) == (3, 3, 3)
    undo(bench, to=1)
    assert champions(bench) == (1, 1, 1)


@pytest.mark.parametrize("to", [2, None])
def test_a_half_done_release_whose_version_is_lost_is_given_up_by_a_rollback(
    bench: Bench, to: int | None
):
    key = release_half_done(bench)
    lost = bench.registry.versions["churn"].pop()
    del bench.registry.aliases["churn"]["champion"]
    plan = planned(bench.workspace, "churn", to)
    check(bench.workspace, plan)
    release = rollback(bench.workspace, plan, "ana", WHY)
    assert champions(bench) == (2, 2, 2)
    assert release.restored is not None
    assert release.restored.deed.previous == 3
    assert undo(bench, to=2) == release
    bench.registry.versions["churn"].append(lost)
    with pytest.raises(ArtefactDamaged, match="given up"):
        steps.release(bench.workspace, key)
    assert champions(bench) == (2, 2, 2)


def test_a_lost_version_that_was_to_be_champion_is_in_no_retrains_way(bench: Bench):
    release_half_done(bench)
    bench.registry.versions["churn"].pop()
    del bench.registry.aliases["churn"]["champion"]
    assert again(bench, "four", MAY + DAY, 0.95).outcome == "promoted"
    assert champions(bench) == (3, 3, 3)


@pytest.mark.parametrize("alias", [None, 1])
def test_a_champion_that_the_registry_lost_can_be_rolled_back_and_replaced(
    bench: Bench, alias: int | None
):
    """Its alias is gone with it, or was on another version when the backup was made."""
    bench.registry.versions["churn"].pop()
    bench.registry.aliases["churn"] = {} if alias is None else {"champion": alias}
    undo(bench)
    assert champions(bench) == (1, 1, 1)
    assert again(bench, "three", MAY, 0.9).outcome == "promoted"


@pytest.mark.parametrize("alias", [None, 1])
def test_a_retrain_takes_the_place_of_a_champion_that_the_registry_lost(bench: Bench, alias: int | None):
    bench.registry.versions["churn"].pop()
    bench.registry.aliases["churn"] = {} if alias is None else {"champion": alias}
    assert again(bench, "three", MAY, 0.9).outcome == "promoted"
    assert len(set(champions(bench))) == 1


@pytest.mark.parametrize("at", KILLED_AT)
def test_killed_anywhere_and_said_again_it_ends_as_if_never_killed(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, at: str
):
    kill(bench, monkeypatch, at)
    undo(bench, why="said once more")
    assert champions(bench) == (1, 1, 1)
    kinds = [row.kind for row in bench.ledger.rows]
    assert [kinds.count(kind) for kind in ("release_intended", "hand", "release")] == [3, 1, 3]
    assert kinds[-3:] == ["release_intended", "hand", "release"]
    begun = KILLED_AT.index(at) >= KILLED_AT.index("rollback.intended")
    assert bench.ledger.bodies("hand")[0]["why"] == (WHY if begun else "said once more")


@pytest.mark.parametrize("at", KILLED_AT[1:])
def test_what_nobody_says_again_is_finished_by_the_next_run(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, at: str
):
    kill(bench, monkeypatch, at)
    later = datetime.now(UTC) + timedelta(hours=1)
    bench.ledger.now = lambda: later
    bench.begin("three", MAY)
    assert champions(bench) == (1, 1, 1)
    assert [body["who"] for body in bench.ledger.bodies("hand")] == ["ana"]


def test_a_target_that_is_down_leaves_an_intent_that_the_next_run_carries_out(bench: Bench):
    bench.deployer.unavailable = True
    with pytest.raises(StoreUnavailable):
        undo(bench)
    assert champions(bench) == (2, 1, 2)
    assert bench.ledger.bodies("hand") == [], "it is said once it is done"
    bench.deployer.unavailable = False
    bench.begin("three", MAY)
    assert champions(bench) == (1, 1, 1)


def test_a_process_that_wakes_after_another_rollback_changes_nothing(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
):
    """It stops before it moves the alias; meanwhile the model is rolled back and forward again."""
    stopped = planned(bench.workspace, "churn", None)

    def meanwhile(name: str) -> None:
        if name == "rollback.intended":
            monkeypatch.undo()
            later = datetime.now(UTC) + timedelta(hours=1)
            bench.ledger.now = lambda: later
            undo(bench, why="by another process")
            undo(bench, to=2, why="that was wrong")

    monkeypatch.setattr(sys.modules["evergreen.steps.rollback"], "failpoint", meanwhile)
    with pytest.raises(LeaseLost):
        rollback(bench.workspace, stopped, "ana", WHY)
    assert champions(bench) == (2, 2, 2)


def test_killed_while_a_lost_release_is_given_up_it_is_given_up_once(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
):
    release_half_done(bench)
    bench.registry.versions["churn"].pop()
    del bench.registry.aliases["churn"]["champion"]
    kill(bench, monkeypatch, "settle.given_up")
    release = undo(bench)
    assert release.restored is not None
    assert release.restored.deed.previous == 3
    assert champions(bench) == (2, 2, 2)
    assert [row.kind for row in bench.ledger.rows].count("release_given_up") == 1
