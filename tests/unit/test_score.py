"""Scoring: which champion answers, what is logged, and what becomes of a run that is tried again."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from evergreen import steps
from evergreen.errors import (
    ArtefactDamaged,
    BadConfiguration,
    DataUnusable,
    LeaseHeld,
    LeaseLost,
    SourceUnavailable,
)
from evergreen.logged_rows import VERSION, probability
from evergreen.results import Candidate, StepFailure
from evergreen.steps import memory
from evergreen.watch_results import Scored
from evergreen.window import Window
from tests.fakes.bench import APRIL, MARCH, MAY, ROWS_A_DAY, Bench, pinned

DAY = timedelta(days=1)
EVER = Window(datetime(2000, 1, 1, tzinfo=UTC), datetime(2030, 1, 1, tzinfo=UTC))
MODULE = sys.modules["evergreen.steps.score"]  # the package's attribute of that name is the function
SCORED = pinned(score={"schedule": "@daily", "window": "1 day"})


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def score(bench: Bench, as_of: datetime, run: str = "one", model=SCORED) -> Scored:
    return steps.score(bench.workspace, f"churn/score/{run}", model, as_of, "test")


def logged(bench: Bench, window: Window = EVER) -> pa.Table:
    return pa.Table.from_batches(
        bench.predictions.rows("churn", "at").read(window),
        schema=None if any(bench.predictions.rows("churn", "at").read(window)) else pa.schema([]),
    )


def test_rows_before_the_as_of_are_logged_with_key_time_features_version_and_prediction(bench):
    bench.whole()
    scored = score(bench, MARCH + DAY)
    assert scored == Scored(
        "churn/score/one", Window(MARCH, MARCH + DAY), 1, ROWS_A_DAY, scored.log_uri, reason="test"
    )
    rows = logged(bench)
    assert rows.column_names == ["at", "id", "x", VERSION, probability("0"), probability("1")]
    source = bench.source.table.slice(120 * ROWS_A_DAY, ROWS_A_DAY)
    assert rows.select(["at", "id", "x"]).equals(source.select(["at", "id", "x"]))
    shares = np.array([rows.column(probability(name)).to_pylist() for name in "01"])
    assert np.allclose(shares.sum(axis=0), 1)
    sure = np.array(source.column("late").to_pylist())
    assert (shares[sure, range(ROWS_A_DAY)] > 0.8).all(), "each class has the probability of its column"


def test_a_run_of_a_past_window_meets_the_champion_of_that_time(bench):
    bench.whole("one", MARCH)
    bench.whole("two", APRIL, certainty=0.95)
    assert score(bench, MARCH + 5 * DAY, "late").version == 1
    assert score(bench, APRIL, "tested on these rows").version == 1
    assert score(bench, APRIL + DAY, "now").version == 2
    assert score(bench, MARCH + DAY, "first").version == 1


def test_without_a_champion_nothing_is_scored_and_the_note_says_so(bench):
    scored = score(bench, MARCH + DAY)
    assert (scored.version, scored.rows) == (None, 0)
    assert scored.note == "nothing to score with: there was no champion yet as of 2013-03-02 00:00 UTC"
    assert bench.source.reads == 0
    bench.whole()
    assert score(bench, MARCH + DAY).version == 1, "the same run may be tried again once there is one"


def test_a_run_tried_again_finds_what_it_scored(bench):
    bench.whole()
    first = score(bench, MARCH + DAY)
    reads = bench.source.reads
    assert score(bench, MARCH + DAY) == first
    assert bench.source.reads == reads


def test_another_run_of_the_window_takes_the_place_of_its_rows(bench):
    bench.whole()
    score(bench, MARCH + DAY)
    bench.source.table = bench.source.table.slice(0, 120 * ROWS_A_DAY + 4)
    assert score(bench, MARCH + DAY, "again").rows == 4
    assert len(logged(bench)) == 4


def test_windows_that_overlap_never_double_a_row(bench):
    bench.whole()
    weekly = pinned(score={"schedule": "@daily", "window": "7 days"})
    for day in (7, 8, 9):
        score(bench, MARCH + day * DAY, f"day {day}", weekly)
    assert sorted(logged(bench).column("id").to_pylist()) == list(range(1200, 1200 + 9 * ROWS_A_DAY))


def test_an_empty_window_is_scored_too_and_removes_what_the_log_held(bench):
    bench.whole()
    score(bench, MARCH + DAY)
    bench.source.table = bench.source.table.slice(0, 1200)
    scored = score(bench, MARCH + DAY, "again")
    assert (scored.version, scored.rows) == (1, 0)
    assert len(logged(bench)) == 0


def test_rows_need_no_label(bench):
    bench.whole()
    bench.source.table = bench.source.table.drop_columns("late")
    bench.scorer.answer = lambda count: np.full((count, 2), 0.5)
    assert score(bench, MARCH + DAY).rows == ROWS_A_DAY


def test_the_scorer_is_called_for_many_rows_at_a_time(bench, monkeypatch):
    monkeypatch.setattr(MODULE, "ROWS_PER_CALL", 25)
    bench.whole()
    asked: list[int] = []

    def answer(count: int) -> np.ndarray:
        asked.append(count)
        return np.full((count, 2), 0.5)

    bench.scorer.answer = answer
    table, size = bench.source.table, ROWS_A_DAY
    pieces = [table.slice(start, size) for start in range(0, len(table), size)]
    bench.source.table = pa.concat_tables(pieces)
    weekly = pinned(score={"schedule": None, "window": "7 days"})
    assert score(bench, MARCH + 7 * DAY, model=weekly).rows == 70
    assert asked == [30, 30, 10]


def test_a_key_that_stands_twice_is_refused_and_the_log_stays_as_it_was(bench):
    bench.whole()
    score(bench, MARCH + DAY)
    before = logged(bench)
    ids = bench.source.table.column("id").to_pylist()
    ids[1205] = ids[1203]
    bench.source.table = bench.source.table.set_column(0, "id", pa.array(ids))
    with pytest.raises(
        DataUnusable, match=r"rows to score of .*stand more than once; got 1203 \(2 times"
    ):
        score(bench, MARCH + DAY, "again")
    assert logged(bench).equals(before)


def test_a_row_without_a_key_is_refused(bench):
    bench.whole()
    ids = bench.source.table.column("id").to_pylist()
    ids[1204] = None
    bench.source.table = bench.source.table.set_column(0, "id", pa.array(ids))
    with pytest.raises(DataUnusable, match="1 rows have no value in the key column 'id'; got rows 5"):
        score(bench, MARCH + DAY)


def test_a_data_column_of_a_reserved_name_is_refused(bench):
    bench.whole()
    column = pa.array([1] * len(bench.source.table))
    bench.source.table = bench.source.table.append_column("evergreen__version", column)
    with pytest.raises(DataUnusable, match="kept for what the log adds; got evergreen__version"):
        score(bench, MARCH + DAY)


def test_a_damaged_champion_is_an_error_that_the_ledger_notes(bench):
    key = bench.begin()
    bench.until_trained(key)
    bench.good(key)
    bench.finish(key)
    candidate = memory.need(bench.workspace, "candidate", key, Candidate)
    bench.scorer.damaged.add(candidate.key)
    with pytest.raises(ArtefactDamaged):
        score(bench, MARCH + DAY)
    noted = memory.recall(bench.workspace, "step_failed", "churn/score/one", StepFailure)
    assert noted is not None
    assert (noted.step, noted.error) == ("score", "ArtefactDamaged")


def test_a_run_that_failed_leaves_the_model_to_others_and_may_be_tried_again(bench):
    bench.whole()
    bench.source.failure = SourceUnavailable("no answer")
    with pytest.raises(SourceUnavailable):
        score(bench, MARCH + DAY)
    assert score(bench, MARCH + DAY, "other").rows == ROWS_A_DAY
    assert score(bench, MARCH + DAY).rows == ROWS_A_DAY


def test_two_runs_of_a_model_do_not_score_at_a_time_but_a_retrain_is_not_in_the_way(bench):
    bench.whole()
    bench.begin("retrain", APRIL)
    held = bench.ledger.acquire("churn", "churn/score/other", "score")
    with pytest.raises(LeaseHeld):
        score(bench, MARCH + DAY)
    bench.ledger.free(held)
    assert score(bench, MARCH + DAY).rows == ROWS_A_DAY


def test_a_run_whose_lease_was_taken_over_publishes_nothing(bench):
    bench.whole()

    def overtaken(count: int) -> np.ndarray:
        bench.ledger.acquire("churn", "churn/score/one", "score")
        return np.full((count, 2), 0.5)

    bench.scorer.answer = overtaken
    with pytest.raises(LeaseLost):
        score(bench, MARCH + DAY)
    assert len(logged(bench)) == 0


@pytest.mark.parametrize("module", ["evergreen.steps.score", "evergreen.adapters.prediction_log"])
def test_a_run_killed_after_any_write_and_tried_again_ends_as_if_never_killed(
    bench, monkeypatch, module
):
    class Killed(BaseException):
        pass

    def killed(name: str) -> None:
        raise Killed(name)

    bench.whole()
    with monkeypatch.context() as patched:
        patched.setattr(sys.modules[module], "failpoint", killed)
        with pytest.raises(Killed):
            score(bench, MARCH + DAY)
    assert score(bench, MARCH + DAY).rows == ROWS_A_DAY
    assert len(logged(bench)) == ROWS_A_DAY
    assert len(bench.ledger.bodies("scored")) == 1


def test_a_model_without_a_section_score_is_not_scored(bench):
    with pytest.raises(BadConfiguration, match="model churn: this model is not scored by Evergreen"):
        score(bench, MARCH, model=pinned())


def test_a_window_before_the_year_1_is_told_with_its_as_of(bench):
    long = pinned(score={"schedule": None, "window": "2012 years"})
    with pytest.raises(
        DataUnusable, match=r"no window can be derived.*2010-05-02.*choose a later as-of"
    ):
        score(bench, MAY - timedelta(days=365 * 3), model=long)
