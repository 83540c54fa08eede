"""Comparing with the champion and putting a version before its traffic, when things go wrong."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from evergreen import steps
from evergreen.errors import (
    DataUnusable,
    LeaseLost,
    RegistryDisagrees,
    StoreUnavailable,
)
from evergreen.ports import Lease
from evergreen.results import (
    Candidate,
    Release,
    from_json,
    to_json,
)
from evergreen.steps import memory, settle
from tests.fakes.bench import APRIL, MARCH, MAY, ROWS_A_DAY, Bench, pinned


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_champion_that_moved_after_the_comparison_is_compared_with_again(bench: Bench):
    bench.whole("one", MARCH, 0.7)
    key = bench.begin("two", APRIL)
    bench.until_trained(key)
    bench.good(key, 0.8)
    first = steps.evaluate(bench.workspace, key)
    assert (first.promote, first.champion_version) == (True, 1)
    steps.register(bench.workspace, key)
    _release_by_hand(bench, key)
    released = steps.release(bench.workspace, key)
    comparisons = bench.ledger.bodies("comparison")
    assert released is not None
    assert comparisons[-1]["champion_seq"] != first.champion_seq


def _release_by_hand(bench: Bench, key: str) -> None:
    """Another hand releases the champion once more while the run holds no lease: its seq moves on."""
    entry = bench.ledger.last("churn", "release")
    assert entry is not None
    lease = bench.ledger.acquire("churn", key)
    bench.ledger.append("release", "release/by-hand", {**entry.body, "run_key": "by-hand"}, lease)


def test_a_registry_that_is_down_keeps_the_champion_and_a_retry_finishes(bench: Bench):
    key = bench.begin()
    bench.until_trained(key)
    bench.good(key)
    steps.evaluate(bench.workspace, key)
    bench.registry.down = True
    with pytest.raises(StoreUnavailable):
        steps.register(bench.workspace, key)
    assert bench.serving() is None
    bench.registry.down = False
    assert bench.finish(key).outcome == "promoted"


def test_a_release_cut_off_after_its_intent_is_finished_by_the_next_run(bench: Bench):
    key = bench.begin()
    bench.until_trained(key)
    bench.good(key)
    steps.evaluate(bench.workspace, key)
    steps.register(bench.workspace, key)
    bench.deployer.unavailable = True
    with pytest.raises(StoreUnavailable):
        steps.release(bench.workspace, key)
    steps.report(bench.workspace, key, "release failed")
    assert bench.serving() is None
    bench.deployer.unavailable = False
    bench.begin("two", APRIL)
    assert (bench.registry.champion("churn"), bench.serving()) == (1, 1)
    assert [body["run_key"] for body in bench.ledger.bodies("release")] == [key]


def test_an_alias_that_disagrees_with_the_ledger_is_an_error_not_a_promotion(bench: Bench):
    bench.whole("one", MARCH, 0.7)
    bench.registry.aliases["churn"]["champion"] = 99
    key = bench.begin("two", APRIL)
    bench.until_trained(key)
    bench.good(key)
    steps.evaluate(bench.workspace, key)
    steps.register(bench.workspace, key)
    with pytest.raises(RegistryDisagrees, match=r"version 99.*allowed: version 1"):
        steps.release(bench.workspace, key)
    assert bench.serving() == 1
    steps.report(bench.workspace, key)
    bench.begin("three", MAY)
    assert bench.ledger.bodies("release_intended")[-1]["run_key"] == "churn/one", "nothing was begun"
    steps.report(bench.workspace, "churn/three")
    bench.registry.aliases["churn"]["champion"] = 1
    bench.begin("two", APRIL)
    assert steps.release(bench.workspace, key) is not None
    assert bench.serving() == 2


def test_a_process_that_wakes_after_its_successor_released_changes_nothing(bench: Bench):
    bench.whole("one", MARCH, 0.7)
    old = bench.ledger.last("churn", "release_intended")
    assert old is not None
    bench.whole("two", APRIL, 0.9)
    stale = Lease("churn", "churn/one", 1)
    with pytest.raises(LeaseLost):
        settle.finish(bench.workspace, old, stale)
    with pytest.raises(LeaseLost):
        bench.deployer.deploy(from_json(Release, old.body), old.seq)
    assert (bench.registry.champion("churn"), bench.serving()) == (2, 2)


def test_a_target_that_went_astray_is_mended_by_the_next_run(bench: Bench):
    bench.whole("one", MARCH, 0.7)
    bench.deployer.pointers.clear()
    bench.begin("two", APRIL)
    assert bench.serving() == 1


def test_an_intent_of_another_run_is_finished_before_anything_is_compared(bench: Bench):
    first, second = bench.begin("one"), "churn/two"
    bench.until_trained(first)
    bench.good(first, 0.9)
    steps.evaluate(bench.workspace, first)
    steps.register(bench.workspace, first)
    bench.deployer.unavailable = True
    with pytest.raises(StoreUnavailable):
        steps.release(bench.workspace, first)
    bench.deployer.unavailable = False
    now = datetime.now(UTC) + timedelta(hours=1)
    bench.ledger.now = lambda: now
    bench.ledger.append(
        "run_started",
        f"run_started/{second}",
        to_json(replace(memory.retrain_of(bench.workspace, first), run_key=second)),
        bench.ledger.acquire("churn", second),
    )
    bench.until_trained(second)
    comparison = steps.evaluate(bench.workspace, second)
    assert comparison.champion_version == 1
    assert not comparison.promote, "it is the same model"
    assert bench.serving() == 1


def test_an_unopposed_run_replaces_a_champion_that_cannot_be_scored(bench: Bench):
    bench.whole("one", MARCH, 0.9)
    champion = memory.need(bench.workspace, "candidate", "churn/one", Candidate)
    del bench.scorer.certainty[champion.key]
    key = bench.begin("two", APRIL)
    bench.until_trained(key)
    bench.good(key, 0.8)
    with pytest.raises(DataUnusable, match=r"champion, version 1, cannot be scored.*release=unopposed"):
        steps.evaluate(bench.workspace, key)
    steps.report(bench.workspace, key)
    again = bench.begin("three", APRIL, release="unopposed")
    bench.until_trained(again)
    report = bench.finish(again)
    assert report.outcome == "promoted"
    assert any("ot compared with version 1, as asked" in line for line in report.lines)
    assert bench.serving() == 2


def test_a_lengthened_test_window_leaves_out_what_the_champion_learnt_from(bench: Bench):
    bench.whole("one", MARCH, 0.7)
    data = pinned().spec.data.model_dump(mode="json") | {"test_window": "3 months"}
    key = bench.begin("two", APRIL, pinned(data=data))
    bench.until_trained(key)
    bench.good(key, 0.8)
    comparison = steps.evaluate(bench.workspace, key)
    learnt_until = memory.retrain_of(bench.workspace, "churn/one").windows.train.end
    test = memory.retrain_of(bench.workspace, key).windows.test
    assert test.start < learnt_until
    assert comparison.evidence.rows == (test.end - learnt_until).days * ROWS_A_DAY
    assert "the champion was trained on the rows before" in comparison.notes[0]


def test_a_target_that_serves_something_else_is_not_recorded_as_released(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
):
    key = bench.begin()
    bench.until_trained(key)
    bench.good(key)
    monkeypatch.setattr(bench.deployer, "deploy", lambda release, fence: None)
    with pytest.raises(StoreUnavailable, match="does not serve what was released"):
        bench.finish(key)
    assert bench.ledger.bodies("release") == []
