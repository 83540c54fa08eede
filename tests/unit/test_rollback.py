"""A person makes an earlier champion champion again: what follows from it, and when things go wrong."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from evergreen import steps
from evergreen.errors import (
    ArtefactDamaged,
    ChampionMoved,
    LeaseHeld,
    LeaseLost,
    NotAllowed,
    RegistryDisagrees,
    StoreUnavailable,
)
from evergreen.hand import Deed
from evergreen.ledger.questions import as_of, history
from evergreen.results import Candidate, Release, RunReport
from evergreen.steps import memory
from evergreen.steps.champions import champion_at
from evergreen.steps.hand import do
from evergreen.steps.rollback import check, planned, rollback
from evergreen.steps.watch.measure import measure
from evergreen.steps.watch.profile import profile
from tests.fakes.bench import APRIL, MARCH, MAY, Bench, pinned

DAY = timedelta(days=1)
SCORED = pinned(score={"schedule": "@daily", "window": "1 day"})
WHY = "it says no to everybody"
MODULES = ("steps.rollback", "steps.settle")
KILLED_AT = (
    "rollback.checked",
    "rollback.intended",
    "release.champion_moved",
    "release.deployed",
    "rollback.deed_recorded",
    "rollback.finished",
)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """Version 1 as of March, version 2 as of April, which serves."""
    bench = Bench(tmp_path)
    bench.whole("one", MARCH, 0.6)
    bench.whole("two", APRIL, 0.7)
    return bench


def undo(bench: Bench, to: int | None = None, why: str = WHY, who: str = "ana") -> Release:
    return rollback(bench.workspace, planned(bench.workspace, "churn", to), who, why)


def champions(bench: Bench) -> tuple[int | None, int | None, int | None]:
    """Who is champion by the ledger, by the registry, by the target."""
    entry = bench.ledger.last("churn", "release")
    number = None if entry is None else entry.body["version"]["number"]
    return number, bench.registry.champion("churn"), bench.serving()


def again(bench: Bench, run: str, when: datetime, certainty: float) -> RunReport:
    return bench.whole(run, when, certainty)


def score(bench: Bench, when: datetime, run: str) -> int | None:
    return steps.score(bench.workspace, f"churn/score/{run}", SCORED, when, "test").version


def test_the_champion_before_serves_again_and_the_ledger_says_who_and_why(bench: Bench):
    release = undo(bench)
    assert champions(bench) == (1, 1, 1)
    assert (release.version.number, release.previous) == (1, 2)
    assert bench.ledger.bodies("hand") == [
        {"action": "rollback", "who": "ana", "why": WHY, "version": 1, "only": None, "previous": 2}
    ]
    assert [row.kind for row in bench.ledger.rows][-3:] == ["release_intended", "hand", "release"]
    assert bench.ledger.holder("churn") is None, "the next run need not wait"
    assert bench.ledger.verify().ok


def test_a_rollback_can_be_undone_by_naming_the_version(bench: Bench):
    undo(bench)
    undo(bench, to=2)
    assert champions(bench) == (2, 2, 2)
    assert [body["version"] for body in bench.ledger.bodies("hand")] == [1, 2]


def test_saying_it_twice_does_not_go_back_twice(bench: Bench):
    bench.whole("three", MAY, 0.8)
    first = undo(bench)
    count = len(bench.ledger.rows)
    assert undo(bench, who="bob", why="I saw it, too") == first
    assert undo(bench, to=2) == first
    assert len(bench.ledger.rows) == count
    assert champions(bench) == (2, 2, 2)


def test_going_further_back_takes_the_versions_number(bench: Bench):
    bench.whole("three", MAY, 0.8)
    undo(bench)
    undo(bench, to=1)
    assert champions(bench) == (1, 1, 1)


def test_by_itself_it_leaves_out_what_was_rolled_back_before(bench: Bench):
    undo(bench)
    again(bench, "three", MAY, 0.9)
    assert champions(bench) == (3, 3, 3)
    assert undo(bench).version.number == 1


@pytest.mark.parametrize("asked", [0, -1, 3, 99])
def test_a_version_that_never_was_champion_is_refused_with_those_that_were(bench: Bench, asked: int):
    with pytest.raises(
        NotAllowed, match=rf"version {asked} never was champion.*version 1 \(as of 2013-03"
    ):
        planned(bench.workspace, "churn", asked)


def test_a_registered_version_that_never_served_is_refused(bench: Bench):
    key = bench.begin("three", MAY, release="never")
    bench.until_trained(key)
    bench.good(key, 0.9)
    assert bench.finish(key).challenger == 3
    with pytest.raises(NotAllowed, match="version 3 never was champion"):
        planned(bench.workspace, "churn", 3)


def test_without_a_champion_or_one_before_it_nothing_can_be_rolled_back(tmp_path: Path):
    bench = Bench(tmp_path)
    with pytest.raises(NotAllowed, match="no champion"):
        planned(bench.workspace, "churn", None)
    bench.whole("one", MARCH)
    with pytest.raises(NotAllowed, match="no champion before version 1"):
        planned(bench.workspace, "churn", None)


def test_files_that_are_not_what_was_recorded_are_found_before_anything_is_begun(bench: Bench):
    candidate = memory.need(bench.workspace, "candidate", "churn/one", Candidate)
    bench.scorer.damaged.add(candidate.key)
    with pytest.raises(ArtefactDamaged):
        undo(bench)
    assert champions(bench) == (2, 2, 2)
    assert bench.ledger.bodies("release_intended")[-1]["version"]["number"] == 2


def test_a_version_that_the_registry_lost_is_found_before_anything_is_begun(bench: Bench):
    del bench.registry.versions["churn"][0]
    with pytest.raises(ArtefactDamaged, match="does not hold this version"):
        undo(bench)
    assert champions(bench) == (2, 2, 2)
    assert again(bench, "three", MAY, 0.9).outcome == "promoted", "nothing is left that is in the way"


def test_an_alias_that_somebody_moved_to_a_third_version_is_an_error(bench: Bench):
    bench.registry.aliases["churn"]["champion"] = 99
    with pytest.raises(RegistryDisagrees, match="version 99"):
        undo(bench)
    bench.registry.aliases["churn"]["champion"] = 1
    undo(bench)
    assert champions(bench) == (1, 1, 1)


def test_a_dry_run_reads_and_changes_nothing(bench: Bench):
    count = len(bench.ledger.rows)
    plan = planned(bench.workspace, "churn", None)
    check(bench.workspace, plan)
    assert (plan.champion.version.number, plan.target.version.number) == (2, 1)
    assert len(bench.ledger.rows) == count
    assert champions(bench) == (2, 2, 2)


def test_it_waits_for_a_run_that_is_at_work_and_says_which(bench: Bench):
    bench.begin("three", MAY)
    with pytest.raises(LeaseHeld, match="churn/three"):
        undo(bench)
    assert champions(bench) == (2, 2, 2)


def test_a_champion_released_since_the_person_looked_is_not_rolled_over(bench: Bench):
    seen = planned(bench.workspace, "churn", None)
    bench.whole("three", MAY, 0.9)
    with pytest.raises(ChampionMoved, match="version 3 became champion since you looked"):
        rollback(bench.workspace, seen, "ana", WHY)
    assert champions(bench) == (3, 3, 3)


def test_a_release_that_a_killed_run_left_half_done_is_finished_and_shown_first(bench: Bench):
    release_half_done(bench)
    with pytest.raises(ChampionMoved, match="version 3 became champion"):
        undo(bench)
    undo(bench)
    assert champions(bench) == (2, 2, 2)


def release_half_done(bench: Bench, run: str = "three", when: datetime = MAY) -> str:
    """Leave a release whose alias is moved and whose target did not take it."""
    key = bench.begin(run, when)
    bench.until_trained(key)
    bench.good(key, 0.9)
    bench.deployer.unavailable = True
    with pytest.raises(StoreUnavailable):
        bench.finish(key)
    steps.report(bench.workspace, key, "release failed")
    bench.deployer.unavailable = False
    return key


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


class Killed(BaseException):
    """Ends a step where no clean-up may run."""


def kill(bench: Bench, monkeypatch: pytest.MonkeyPatch, at: str) -> None:
    """Roll back and die at a failpoint, the lease still held."""

    def failpoint(name: str) -> None:
        if name == at:
            raise Killed(name)

    with monkeypatch.context() as patched:
        for module in MODULES:
            patched.setattr(sys.modules[f"evergreen.{module}"], "failpoint", failpoint)
        patched.setattr(bench.ledger, "free", lambda lease: None)
        with pytest.raises(Killed):
            undo(bench)
    assert bench.ledger.holder("churn") is not None


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


def test_what_was_rolled_back_is_not_released_again_by_a_run_that_makes_the_same(bench: Bench):
    undo(bench)
    key = bench.begin("again", APRIL)
    bench.until_trained(key)
    report = bench.finish(key)
    assert report.outcome == "kept"
    assert f"version 2 again, which ana rolled back on {datetime.now(UTC):%Y-%m-%d}" in report.summary
    assert WHY in report.summary
    assert champions(bench) == (1, 1, 1)
    unopposed = bench.begin("unopposed", APRIL, release="unopposed")
    bench.until_trained(unopposed)
    assert bench.finish(unopposed).outcome == "kept"


def test_what_was_rolled_back_and_brought_back_may_win_again(bench: Bench):
    undo(bench)
    undo(bench, to=2)
    key = bench.begin("again", APRIL)
    bench.until_trained(key)
    report = bench.finish(key)
    assert "alike on every row" in report.summary


def test_another_model_of_the_same_rows_is_compared_with_the_version_that_is_back(bench: Bench):
    undo(bench)
    key = bench.begin("better", APRIL, pinned(description="Will it really?"))
    bench.until_trained(key)
    bench.good(key, 0.8)
    assert bench.finish(key).outcome == "promoted"
    (_, _, comparison) = bench.ledger.bodies("comparison")
    assert comparison["champion_version"] == 1
    assert champions(bench) == (3, 3, 3)


def test_the_next_retrain_is_compared_with_the_version_that_is_back(bench: Bench):
    undo(bench)
    report = again(bench, "three", MAY, 0.5)
    assert (report.outcome, report.champion_before) == ("kept", 1)
    assert again(bench, "four", MAY + 7 * DAY, 0.9).champion_before == 1


def test_rows_before_the_rollback_are_scored_by_who_was_champion_of_their_time(bench: Bench):
    assert score(bench, APRIL + DAY, "a") == 2
    undo(bench)
    assert score(bench, APRIL + 2 * DAY, "b") == 1
    assert score(bench, APRIL + DAY, "backfilled") == 2
    assert score(bench, MARCH + DAY, "longer ago") == 1
    by_data = as_of(bench.ledger, "churn", APRIL + DAY - timedelta(hours=1), "data")
    assert by_data is not None
    assert by_data.release.version.number == 2


def test_the_watch_follows_the_version_that_is_back_from_then_on(bench: Bench):
    watched = pinned(
        score={"schedule": "@daily", "window": "1 day"},
        monitor={"schedule": "@daily", "window": "3 days", "min_rows": 5, "report": False},
    )
    score(bench, APRIL + DAY, "a")
    undo(bench)
    score(bench, APRIL + 2 * DAY, "b")
    key = "churn/monitor/1"
    profile(bench.workspace, key, watched, APRIL + 3 * DAY, "test")
    observation = measure(bench.workspace, key)
    assert observation.version == 1
    assert observation.rows == 10, "those that it answered since"
    assert observation.loss is not None
    assert [day.day for day in observation.loss.days] == [APRIL.date() + DAY]


def test_a_run_as_of_before_the_rollback_does_not_replace_what_a_person_chose_later(bench: Bench):
    score(bench, APRIL + 10 * DAY, "a")
    undo(bench)
    report = again(bench, "late", APRIL + 5 * DAY, 0.9)
    assert report.outcome == "kept"
    assert "ana brought version 1 back as of 2013-04-11 00:00, after this run's as-of" in report.summary
    assert again(bench, "later", APRIL + 12 * DAY, 0.95).outcome == "promoted"


def test_history_and_as_of_tell_a_rollback_and_the_evidence_of_the_version(bench: Bench):
    undo(bench)
    last = history(bench.ledger, "churn")[-1]
    assert (last.decision, last.champion_before, last.challenger) == ("rolled back", 2, 1)
    assert last.summary == f"churn: rolled back to version 1 by ana: {WHY}"
    assert last.finished_at is not None
    now = as_of(bench.ledger, "churn", datetime.now(UTC) + timedelta(minutes=1))
    assert now is not None
    assert now.release.trained_as_of == MARCH
    assert now.comparison is not None
    assert now.comparison.key == "comparison/churn/one"


def test_a_rollback_of_a_pinned_model_keeps_the_pin_on_the_version_that_serves(bench: Bench):
    do(bench.workspace, "churn", Deed("pin", "bob", "a campaign"))
    undo(bench)
    assert champions(bench) == (1, 1, 1)
    report = again(bench, "three", MAY, 0.9)
    assert report.outcome == "kept"
    assert "version 1 is pinned by bob" in report.summary


def test_a_rollback_of_a_paused_model_works(bench: Bench):
    do(bench.workspace, "churn", Deed("pause", "bob", "a move"))
    undo(bench)
    assert champions(bench) == (1, 1, 1)


def test_the_champion_at_an_instant_after_it_is_the_one_that_is_back(bench: Bench):
    undo(bench)
    found = champion_at(bench.workspace, "churn", MAY)
    assert found is not None
    assert found.version.number == 1


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
