"""After a win the model may be trained once more on all rows; what was tested and shipped is told."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pytest

from evergreen import steps
from evergreen.comparison import Comparison
from evergreen.errors import TrainingFailed
from evergreen.results import Candidate, Refit, Release, Retrain
from evergreen.steps import memory
from evergreen.steps.refit import refit_key
from tests.fakes.bench import APRIL, MARCH, ROWS_A_DAY, Bench, pinned

TRAIN = {"estimator": "sklearn.linear_model.LogisticRegression", "refit": True}


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def won(bench: Bench, run: str = "one") -> str:
    key = bench.begin(run, MARCH if run == "one" else APRIL, pinned(train=TRAIN))
    bench.until_trained(key)
    bench.good(key, 0.8 if run == "one" else 0.9)
    assert steps.evaluate(bench.workspace, key).promote
    return key


def refitted(bench: Bench, key: str) -> Refit:
    return memory.need(bench.workspace, "refit", key, Refit)


def test_the_winner_is_trained_on_all_rows_and_that_is_released(bench: Bench):
    key = won(bench)
    told = bench.finish(key)
    made = refitted(bench, key)
    release = memory.need(bench.workspace, "release", key, Release)
    tested = memory.need(bench.workspace, "candidate", key, Candidate)
    retrain = memory.need(bench.workspace, "run_started", key, Retrain)
    assert told.outcome == "promoted"
    assert release.candidate == made.candidate
    assert (made.tested, made.candidate.refit_of) == (tested.key, tested.key)
    assert made.candidate.trained_on == retrain.windows.whole
    assert made.candidate.rows_trained > tested.rows_trained
    assert any("tested" in line and "train" in line for line in told.lines)


def test_a_refit_that_is_not_fit_to_serve_is_not_released_and_neither_is_the_tested_one(
    bench: Bench,
):
    key = won(bench)
    tested = memory.need(bench.workspace, "candidate", key, Candidate)
    bench.scorer.faults[refit_key(tested)] = ("it fails on a row of nulls",)
    told = bench.finish(key)
    assert told.outcome == "kept"
    assert bench.serving() is None
    assert not refitted(bench, key).accepted
    assert "row of nulls" in told.summary


def test_nothing_is_refitted_unless_asked_for_or_where_the_champion_is_kept(bench: Bench):
    bench.whole("one", MARCH, 0.9)
    assert memory.recall(bench.workspace, "refit", "churn/one", Refit) is None
    key = bench.begin("two", APRIL, pinned(train=TRAIN))
    bench.until_trained(key)
    bench.good(key, 0.55)
    bench.finish(key)
    assert memory.recall(bench.workspace, "refit", key, Refit) is None


def test_a_retried_refit_trains_nothing_twice(bench: Bench):
    key = won(bench)
    first = steps.refit(bench.workspace, key)
    assert steps.refit(bench.workspace, key) == first
    bench.finish(key)
    assert set(bench.trainer.trainings.values()) == {1}
    assert len(bench.trainer.trainings) == 2


def test_a_refit_that_fails_leaves_the_champion_and_can_be_tried_again(bench: Bench):
    key = won(bench)
    bench.trainer.failure = TrainingFailed("the fit failed")
    with pytest.raises(TrainingFailed):
        steps.refit(bench.workspace, key)
    assert bench.serving() is None
    assert bench.finish(key).outcome == "promoted"


def after_a_refit(bench: Bench, as_of: datetime) -> tuple[Comparison, Candidate]:
    """Return the comparison of a run that meets a refitted champion of March."""
    bench.finish(won(bench))
    learnt = refitted(bench, "churn/one").candidate
    bench.scorer.certainty[learnt.key] = 0.8
    key = bench.begin("two", as_of, pinned(train=TRAIN))
    bench.until_trained(key)
    bench.good(key, 0.9)
    return steps.evaluate(bench.workspace, key), learnt


def test_the_next_run_judges_on_no_row_that_a_refitted_champion_learnt_from(bench: Bench):
    comparison, learnt = after_a_refit(bench, MARCH + timedelta(days=14))
    assert learnt.trained_on is not None
    assert comparison.evidence.rows == 14 * ROWS_A_DAY
    assert f"compared on rows from {learnt.trained_on.end:%Y-%m-%d %H:%M} only" in comparison.notes[0]
    assert comparison.promote


def test_a_run_on_rows_that_a_refitted_champion_learnt_from_keeps_it_and_says_what_to_do(bench: Bench):
    comparison, _ = after_a_refit(bench, MARCH)
    assert (comparison.decision, comparison.promote) == ("keep", False)
    assert "has learnt from all rows of the test window" in comparison.reasons[-1]
    assert "a later as-of" in comparison.reasons[-1]
    assert bench.finish("churn/two").outcome == "kept"
