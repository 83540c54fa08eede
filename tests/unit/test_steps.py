"""The retrain's steps over fakes: what each finds, makes, refuses and writes down."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from evergreen import steps
from evergreen.errors import (
    DataUnusable,
    LeaseHeld,
    LeaseLost,
    LedgerError,
    SourceUnavailable,
    TrainingFailed,
)
from evergreen.results import (
    Candidate,
    Retrain,
)
from evergreen.spec import Expectation, Suite
from evergreen.steps import memory
from evergreen.steps.train import candidate_key
from evergreen.window import Window
from tests.fakes.bench import APRIL, DAYS, MARCH, MAY, ROWS_A_DAY, Bench, pinned


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_first_good_challenger_becomes_champion_everywhere(bench: Bench):
    report = bench.whole()
    assert report.outcome == "promoted"
    assert report.champion_before is None
    assert (bench.registry.champion("churn"), bench.serving()) == (1, 1)
    kinds = [entry.kind for entry in bench.ledger.entries()]
    assert kinds == [
        "run_started",
        "snapshot",
        "validation",
        "trained",
        "candidate",
        "comparison",
        "version",
        "release_intended",
        "release",
        "run_finished",
    ]
    assert bench.ledger.verify().ok


def test_every_step_run_twice_writes_and_makes_nothing_twice(bench: Bench):
    bench.whole()
    before = [entry.hash for entry in bench.ledger.entries()]
    key = bench.begin()
    bench.until_trained(key)
    bench.finish(key)
    assert [entry.hash for entry in bench.ledger.entries()] == before
    assert sum(bench.trainer.trainings.values()) == 1
    assert bench.source.reads == 1
    assert len(bench.registry.versions["churn"]) == 1


def test_better_challenger_replaces_the_champion_and_a_worse_one_does_not(bench: Bench):
    bench.whole("one", MARCH, 0.8)
    assert bench.whole("two", APRIL, 0.9).outcome == "promoted"
    report = bench.whole("three", MAY, 0.7)
    assert report.outcome == "kept"
    assert "kept version 2" in report.summary
    assert (bench.registry.champion("churn"), bench.serving()) == (2, 2)
    assert len(bench.registry.versions["churn"]) == 2, "a challenger that lost is not registered"


def test_a_promotion_without_proof_is_reported_as_inconclusive(bench: Bench):
    bench.whole("one", MARCH, 0.8)
    gate = {"metric": "log_loss", "confidence": 0.999999, "inconclusive": "promote"}
    key = bench.begin("two", APRIL, pinned(gate=gate))
    bench.until_trained(key)
    bench.good(key, 0.8)
    report = bench.finish(key)
    assert report.outcome == "promoted"
    assert "inconclusive, promoted version 2 (these rows cannot tell" in report.summary


def test_challenger_that_does_not_beat_the_base_rate_is_kept_out(bench: Bench):
    report = bench.whole(certainty=0.5)
    assert report.outcome == "kept"
    assert "no champion yet" in report.summary
    assert bench.serving() is None


def test_backfill_of_an_older_month_never_replaces_newer_data(bench: Bench):
    bench.whole("april", APRIL, 0.7)
    report = bench.whole("march", MARCH, 0.9)
    assert report.outcome == "kept"
    assert "from newer ones" in report.summary
    assert bench.serving() == 1


def test_release_never_registers_and_changes_no_champion(bench: Bench):
    key = bench.begin(release="never")
    bench.until_trained(key)
    bench.good(key)
    report = bench.finish(key)
    assert report.outcome == "registered"
    assert bench.registry.aliases["churn"] == {"challenger": 1}
    assert bench.serving() is None


def test_rejected_data_is_never_trained_on(bench: Bench):
    suite = Suite(
        expectations=[
            Expectation(
                type="expect_column_values_to_be_between",
                kwargs={"column": "x", "min_value": 0.0, "max_value": 1.0},
            )
        ]
    )
    key = bench.begin(model=pinned(suite))
    steps.ingest(bench.workspace, key)
    assert not steps.validate(bench.workspace, key).passed
    with pytest.raises(DataUnusable, match="rejected"):
        steps.train(bench.workspace, key)
    report = steps.report(bench.workspace, key, "train failed")
    assert report.outcome == "rejected"
    assert "expect_column_values_to_be_between" in report.summary
    assert bench.trainer.trainings == {}


def test_a_run_goes_on_with_the_model_file_it_began_with(bench: Bench):
    key = bench.begin()
    changed = pinned(description="Something else")
    again = steps.resolve_window(
        bench.workspace, run_key=key, model=changed, as_of=APRIL, reason="other", release="never"
    )
    assert again.model.spec.description == "Will it?"
    assert (again.windows.as_of, again.reason, again.release) == (MARCH, "test", "auto")


def test_same_data_and_file_find_the_same_candidate_in_another_run(bench: Bench):
    bench.whole("one")
    report = bench.whole("two")
    assert sum(bench.trainer.trainings.values()) == 1
    assert report.outcome == "kept"
    assert "alike on every row" in report.summary


def test_label_delay_leaves_the_last_day_out(bench: Bench):
    key = bench.begin()
    snapshot = steps.ingest(bench.workspace, key)
    assert snapshot.window == Window(
        datetime(2012, 11, 30, tzinfo=UTC), datetime(2013, 2, 28, tzinfo=UTC)
    )
    assert snapshot.rows == 90 * ROWS_A_DAY


def test_an_as_of_without_labelled_rows_says_so_and_is_noted(bench: Bench):
    data = pinned().spec.data.model_dump(mode="json") | {"label": {"column": "late", "delay": "40 days"}}
    with pytest.raises(DataUnusable, match="label delay of 40 days"):
        bench.begin(model=pinned(data=data))
    report = steps.report(bench.workspace, "churn/one")
    assert report.outcome == "failed"
    assert "label delay of 40 days" in report.summary


def test_an_unreachable_source_is_noted_and_a_retry_goes_on(bench: Bench):
    key = bench.begin()
    bench.source.failure = SourceUnavailable("the database did not answer", where="warehouse")
    with pytest.raises(SourceUnavailable):
        steps.ingest(bench.workspace, key)
    assert bench.ledger.bodies("step_failed")[0]["retryable"] is True
    assert steps.ingest(bench.workspace, key).rows > 0


def test_a_failed_training_is_reported_with_its_reason(bench: Bench):
    key = bench.begin()
    steps.ingest(bench.workspace, key)
    steps.validate(bench.workspace, key)
    bench.trainer.failure = TrainingFailed("no parameter 'max_itr'", fix="did you mean 'max_iter'?")
    with pytest.raises(TrainingFailed):
        steps.train(bench.workspace, key)
    report = steps.report(bench.workspace, key, "train failed")
    assert report.outcome == "failed"
    assert "did you mean 'max_iter'?" in report.summary


def test_a_run_resumed_after_its_report_is_reported_again(bench: Bench):
    key = bench.begin()
    steps.report(bench.workspace, key, "ingest failed")
    bench.until_trained(key)
    bench.good(key)
    assert bench.finish(key).outcome == "promoted"
    assert [body["outcome"] for body in bench.ledger.bodies("run_finished")] == ["failed", "promoted"]
    steps.report(bench.workspace, key)
    assert len(bench.ledger.bodies("run_finished")) == 2


def test_a_step_before_its_inputs_says_what_to_do(bench: Bench):
    key = bench.begin()
    with pytest.raises(LedgerError, match=r"no snapshot yet.*run the earlier steps"):
        steps.validate(bench.workspace, key)


def test_one_retrain_at_a_time_and_the_report_gives_the_lease_back(bench: Bench):
    first = bench.begin("one")
    with pytest.raises(LeaseHeld):
        bench.begin("two")
    steps.report(bench.workspace, first)
    bench.begin("two")


@pytest.mark.parametrize("by", ["churn/reconcile/pass", "churn/hand/1"])
def test_a_report_is_tried_again_where_what_takes_a_moment_holds_the_lease(bench: Bench, by: str):
    first = bench.begin("one")
    bench.ledger.free(bench.ledger.acquire("churn", first))
    held = bench.ledger.acquire("churn", by)
    with pytest.raises(LeaseHeld):
        steps.report(bench.workspace, first, "train failed")
    bench.ledger.free(held)
    assert steps.report(bench.workspace, first, "train failed").outcome == "failed"
    assert len(list(bench.ledger.bodies("run_finished"))) == 1


def test_a_report_leaves_the_lease_to_another_retrain(bench: Bench):
    first = bench.begin("one")
    bench.ledger.free(bench.ledger.acquire("churn", first))
    bench.begin("two")
    assert steps.report(bench.workspace, first, "train failed").outcome == "failed"
    assert list(bench.ledger.bodies("run_finished")) == []


def test_a_stopped_run_whose_lease_was_taken_over_changes_nothing(bench: Bench):
    now = [datetime(2013, 3, 1, tzinfo=UTC)]
    bench.ledger.now = lambda: now[0]
    key = bench.begin("one")
    with memory.holding(bench.workspace, key, "ingest") as stale:
        now[0] += timedelta(hours=1)
        bench.begin("two")
        with pytest.raises(LeaseLost):
            memory.record(
                bench.workspace, "snapshot", key, memory.retrain_of(bench.workspace, key), stale
            )
    assert [entry.kind for entry in bench.ledger.entries()] == ["run_started", "run_started"]


def test_a_failure_under_a_lost_lease_is_not_noted(bench: Bench):
    now = [datetime(2013, 3, 1, tzinfo=UTC)]
    bench.ledger.now = lambda: now[0]
    key = bench.begin("one")

    def fail_too_late() -> None:
        with memory.holding(bench.workspace, key, "train"):
            now[0] += timedelta(hours=1)
            bench.begin("two")
            raise TrainingFailed("too late")

    with pytest.raises(TrainingFailed):
        fail_too_late()
    assert bench.ledger.bodies("step_failed") == []
    with pytest.raises(LeaseHeld):
        bench.begin("three")


@pytest.mark.parametrize(
    ("label", "gate", "said"),
    [
        (
            pa.array([number % 7 for number in range(DAYS * ROWS_A_DAY)], pa.float64()),
            {"metric": "squared_error"},
            r"another kind of question; got a challenger for regression; allowed: classification; give",
        ),
        (
            pa.array(["no", "yes"] * (DAYS * ROWS_A_DAY // 2)),
            {"metric": "log_loss"},
            r"classes are others.*; got no, yes; allowed: 0, 1; write the label as before",
        ),
    ],
    ids=["another task", "other classes"],
)
def test_a_champion_that_answers_another_question_is_never_compared_with(
    bench: Bench, label: pa.Array, gate: dict[str, object], said: str
):
    bench.whole("one", MARCH, 0.9)
    table = bench.source.table
    bench.source.table = table.set_column(table.column_names.index("late"), "late", label)
    bench.scorer.predict = lambda candidate, rows: np.zeros(  # type: ignore[method-assign]
        (len(rows), len(candidate.classes)) if candidate.classes else len(rows)
    )
    key = bench.begin("two", APRIL, pinned(gate=gate))
    bench.until_trained(key)
    with pytest.raises(DataUnusable, match=f"{said}.*release=unopposed"):
        steps.evaluate(bench.workspace, key)
    assert bench.serving() == 1


def test_a_secret_in_an_error_never_reaches_the_ledger(bench: Bench):
    key = bench.begin()
    bench.source.failure = SourceUnavailable("no answer from postgresql://bob:hunter22@db/x")
    with pytest.raises(SourceUnavailable):
        steps.ingest(bench.workspace, key)
    assert "hunter22" not in str(bench.ledger.bodies("step_failed"))
    assert "hunter22" not in steps.report(bench.workspace, key, "hunter22@db").summary


def test_summaries_are_there_for_a_run_that_never_began(bench: Bench):
    report = steps.report(bench.workspace, "churn/never", "resolve_window failed")
    assert report.outcome == "failed"
    assert "resolve_window failed" in report.summary


def test_pinned_runs_differ_in_key_by_code_version(bench: Bench):
    key = bench.begin()
    snapshot = steps.ingest(bench.workspace, key)
    retrain: Retrain = memory.retrain_of(bench.workspace, key)
    assert candidate_key(retrain, snapshot) != candidate_key(
        replace(retrain, code_version="2"), snapshot
    )


def test_windows_that_differ_by_less_than_a_minute_have_other_candidates(bench: Bench):
    key = bench.begin()
    snapshot = steps.ingest(bench.workspace, key)
    retrain: Retrain = memory.retrain_of(bench.workspace, key)
    test = retrain.windows.test
    later = replace(retrain.windows, test=Window(test.start, test.end + timedelta(seconds=1)))
    assert candidate_key(retrain, snapshot) != candidate_key(replace(retrain, windows=later), snapshot)


def test_a_candidate_that_was_remembered_is_finished_and_not_trained_again(bench: Bench):
    key = bench.begin()
    steps.ingest(bench.workspace, key)
    steps.validate(bench.workspace, key)
    bench.trainer.finish = _die  # type: ignore[method-assign] - the process dies once it is remembered
    with pytest.raises(KeyboardInterrupt):
        steps.train(bench.workspace, key)
    del bench.trainer.finish
    candidate = steps.train(bench.workspace, key)
    assert sum(bench.trainer.trainings.values()) == 1
    assert bench.trainer.finished == [candidate]


def _die(candidate: Candidate) -> None:
    raise KeyboardInterrupt


def test_what_was_trained_under_a_lost_lease_is_not_remembered(bench: Bench):
    now = [datetime(2013, 3, 1, tzinfo=UTC)]
    bench.ledger.now = lambda: now[0]
    key = bench.begin("one")
    steps.ingest(bench.workspace, key)
    steps.validate(bench.workspace, key)
    train = bench.trainer.train

    def slow(*args: object) -> Candidate:
        now[0] += timedelta(hours=1)
        bench.begin("two")
        return train(*args)  # type: ignore[arg-type]

    bench.trainer.train = slow  # type: ignore[method-assign, assignment]
    with pytest.raises(LeaseLost):
        steps.train(bench.workspace, key)
    assert bench.ledger.bodies("trained") == []
    assert bench.trainer.finished == []


def test_a_failure_that_a_retry_mended_is_not_what_a_later_end_is_blamed_on(bench: Bench):
    key = bench.begin()
    bench.source.failure = SourceUnavailable("the database did not answer")
    with pytest.raises(SourceUnavailable):
        steps.ingest(bench.workspace, key)
    steps.ingest(bench.workspace, key)
    report = steps.report(bench.workspace, key, "failed task: train")
    assert report.lines[-1] == "failed task: train"
