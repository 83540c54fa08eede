"""A person makes an earlier champion champion again: what follows from it, and what is refused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from evergreen import steps
from evergreen.errors import (
    ArtefactDamaged,
    ChampionMoved,
    LeaseHeld,
    NotAllowed,
    RegistryDisagrees,
)
from evergreen.hand import Deed
from evergreen.ledger.questions import as_of, history
from evergreen.results import Candidate
from evergreen.steps import memory
from evergreen.steps.champions import champion_at
from evergreen.steps.hand import do
from evergreen.steps.rollback import check, planned, rollback
from evergreen.steps.watch.measure import measure
from evergreen.steps.watch.profile import profile
from tests.fakes.bench import APRIL, MARCH, MAY, Bench, pinned
from tests.unit.rollback_bench import (
    DAY,
    WHY,
    again,
    bench,
    champions,
    undo,
)

__all__ = ["bench"]


SCORED = pinned(score={"schedule": "@daily", "window": "1 day"})


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
