"""What every trainer keeps: a candidate is remembered before its run counts as finished."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest

from evergreen.errors import DataUnusable, LeaseLost
from evergreen.ports import Trainer
from evergreen.results import Candidate, from_json, to_json
from evergreen.spec import ModelSpec
from evergreen.window import Window
from tests.training_runs import (
    AS_OF,
    FEATURES,
    regression_spec,
    retrain_of,
    rows_of,
    snapshot_of,
    spec_of,
)


def train(
    trainer: Trainer,
    key: str,
    spec: ModelSpec,
    remember: Callable[[Candidate], None] = lambda candidate: None,
    refit_of: Candidate | None = None,
    **tables: pa.Table,
) -> Candidate:
    label = spec.data.label.column
    rows, test = tables.get("train", rows_of(200, 0, label=label)), rows_of(80, 1, label=label)
    retrain = retrain_of(spec)
    snapshot = snapshot_of(retrain, rows)
    return trainer.train(key, retrain, snapshot, rows, tables.get("test", test), remember, refit_of)


def with_labels(rows: pa.Table, labels: Sequence[bool | None]) -> pa.Table:
    return rows.set_column(rows.column_names.index("late"), "late", pa.array(labels, pa.bool_()))


def with_times(rows: pa.Table, times: Sequence[datetime]) -> pa.Table:
    column = pa.array(times, pa.timestamp("us", tz="UTC"))
    return rows.set_column(rows.column_names.index("time"), "time", column)


class TrainerContract:
    """Inherit, and give a fixture `trainer` that may be shared: each test has its own model name."""

    def test_a_candidate_is_remembered_once_as_it_is_returned(self, trainer: Trainer) -> None:
        remembered: list[Candidate] = []
        candidate = train(trainer, "k1", spec_of("remembered"), remembered.append)
        assert remembered == [candidate]
        assert from_json(Candidate, to_json(candidate)) == candidate

    def test_finishing_again_is_no_harm(self, trainer: Trainer) -> None:
        candidate = train(trainer, "k", spec_of("finished_twice"))
        trainer.finish(candidate)
        trainer.finish(candidate)

    def test_what_remember_raises_goes_on_as_it_is(self, trainer: Trainer) -> None:
        def refuse(candidate: Candidate) -> None:
            raise LeaseLost("another run took over")

        with pytest.raises(LeaseLost):
            train(trainer, "k", spec_of("not_remembered"), refuse)

    def test_the_same_rows_and_file_give_the_same_features_and_metrics(self, trainer: Trainer) -> None:
        one, other = train(trainer, "a", spec_of("same")), train(trainer, "b", spec_of("same"))
        assert (one.features, one.metrics) == (other.features, other.metrics)

    def test_a_classifier_says_its_classes_features_and_baseline(self, trainer: Trainer) -> None:
        rows = rows_of(200, 0)
        candidate = train(trainer, "k", spec_of("says_all", exclude=("holiday",)), train=rows)
        assert candidate.classes == ("False", "True")
        assert [f.name for f in candidate.features] == [f for f in FEATURES if f != "holiday"]
        share = sum(rows["late"].to_pylist()) / 200
        assert candidate.baseline == pytest.approx((1 - share, share))
        assert (candidate.task, candidate.rows_trained, candidate.rows_tested) == (
            "classification",
            200,
            80,
        )
        assert "log_loss" in candidate.metrics

    @pytest.mark.parametrize(
        ("metric", "constant"), [("squared_error", np.mean), ("absolute_error", np.median)]
    )
    def test_a_regressor_has_the_best_constant_as_baseline(
        self, trainer: Trainer, metric: str, constant: Callable[[np.ndarray], float]
    ) -> None:
        rows = rows_of(200, 0, label="minutes")
        spec = regression_spec(f"{metric}_baseline", metric=metric)
        candidate = train(trainer, "k", spec, train=rows)
        assert candidate.classes == ()
        assert candidate.baseline == pytest.approx((constant(rows["minutes"].to_numpy()),))

    def test_a_candidate_says_what_it_learnt_from_and_how_many_answers_it_keeps(
        self, trainer: Trainer
    ) -> None:
        spec = spec_of("learnt_from")
        test = with_labels(rows_of(80, 1), [None] * 5 + [True, False] * 37 + [True])
        candidate = train(trainer, "k", spec, test=test)
        assert candidate.trained_on == retrain_of(spec).windows.train
        assert candidate.reference_rows == 75
        assert candidate.refit_of is None

    def test_more_test_rows_than_are_kept_answers_of_leave_the_first_thousand(
        self, trainer: Trainer
    ) -> None:
        assert train(trainer, "k", spec_of("many"), test=rows_of(1200, 1)).reference_rows == 1000

    def test_the_last_period_is_as_long_as_the_test_window_and_ends_the_train_window(
        self, trainer: Trainer
    ) -> None:
        spec = spec_of("last_period")
        windows = retrain_of(spec).windows
        assert windows.test == Window(datetime(2013, 4, 1, tzinfo=UTC), AS_OF)
        first = windows.train.end - timedelta(days=30)
        just, before = timedelta(microseconds=1), timedelta(microseconds=-1)
        times = [first] * 3 + [windows.train.end - just] * 2 + [first + before] * 16
        labels = [True, True, False, False, None] + [False] * 15 + [True]
        rows = with_times(with_labels(rows_of(21, 0), labels), times)
        candidate = train(trainer, "k", spec, train=rows)
        assert candidate.last_period == pytest.approx((0.5, 0.5))
        assert candidate.baseline == pytest.approx((17 / 20, 3 / 20))

    def test_a_train_window_whose_last_period_is_empty_has_no_answer_of_it(
        self, trainer: Trainer
    ) -> None:
        spec = spec_of("no_last_period")
        start = retrain_of(spec).windows.train.start
        rows = with_times(rows_of(200, 0), [start] * 200)
        assert train(trainer, "k", spec, train=rows).last_period == ()

    def test_a_test_window_longer_than_the_train_window_makes_all_of_that_the_last_period(
        self, trainer: Trainer
    ) -> None:
        spec = spec_of("long_test", train_window="1 month", test_window="3 months")
        rows = with_times(rows_of(200, 0), [retrain_of(spec).windows.train.start] * 200)
        candidate = train(trainer, "k", spec, train=rows)
        assert candidate.last_period == candidate.baseline

    def test_a_refit_names_the_tested_candidate_and_measures_nothing(self, trainer: Trainer) -> None:
        spec = spec_of("refitted")
        test = rows_of(80, 1)
        tested = train(trainer, "tested", spec, test=test)
        both = pa.concat_tables([rows_of(200, 0), test])
        refit = train(trainer, "refit", spec, refit_of=tested, train=both, test=test)
        assert (refit.key, refit.refit_of) == ("refit", "tested")
        assert refit.run_id != tested.run_id
        assert (refit.rows_trained, refit.rows_tested, refit.metrics) == (280, 0, {})
        assert refit.reference_rows == 80
        windows = retrain_of(spec).windows
        assert refit.trained_on == Window(windows.train.start, windows.test.end)

    def test_a_refit_learns_what_was_tested_and_no_column_that_nobody_looked_at(
        self, trainer: Trainer
    ) -> None:
        spec = spec_of("refit_columns")
        known = pa.array(np.linspace(0, 1, 80))
        rows, test = rows_of(200, 0), rows_of(80, 1).append_column("closed", known)
        rows = rows.append_column("closed", pa.nulls(200, pa.float64()))
        tested = train(trainer, "tested", spec, train=rows, test=test)
        both = pa.concat_tables([rows, test])
        refit = train(trainer, "refit", spec, refit_of=tested, train=both, test=test)
        assert refit.features == tested.features

    def test_a_refit_on_other_classes_than_were_tested_is_refused(self, trainer: Trainer) -> None:
        def named(rows: pa.Table, *names: str) -> pa.Table:
            labels = [names[row % len(names)] for row in range(rows.num_rows)]
            return rows.set_column(rows.column_names.index("late"), "late", pa.array(labels))

        spec = spec_of("refit_classes")
        rows, test = named(rows_of(200, 0), "no", "yes"), named(rows_of(80, 1), "no", "yes", "never")
        tested = train(trainer, "tested", spec, train=rows, test=test)
        both = pa.concat_tables([rows, test])
        with pytest.raises(DataUnusable, match="another model than the one that was tested"):
            train(trainer, "refit", spec, refit_of=tested, train=both, test=test)

    def test_a_column_of_weights_is_no_feature(self, trainer: Trainer) -> None:
        rows, test = (
            rows_of(n, seed).append_column("weight", pa.array(np.linspace(0.5, 2, n)))
            for n, seed in ((200, 0), (80, 1))
        )
        weighted = spec_of("weighted", weight="weight")
        candidate = train(trainer, "k", weighted, train=rows, test=test)
        assert [f.name for f in candidate.features] == FEATURES

    def test_files_may_be_attached_again_and_again(self, trainer: Trainer) -> None:
        candidate = train(trainer, "k", spec_of("attached"))
        trainer.attach(candidate, {"comparison.json": b"{}", "comparison.png": b"picture"})
        trainer.attach(candidate, {"comparison.json": b"[]"})

    def test_a_label_with_one_class_is_refused_and_nothing_is_kept(self, trainer: Trainer) -> None:
        rows = rows_of(200, 0)
        never = rows.set_column(rows.column_names.index("late"), "late", pa.array([False] * 200))
        remembered: list[Candidate] = []
        with pytest.raises(DataUnusable, match="one class"):
            train(trainer, "k", spec_of("one_class"), remembered.append, train=never)
        assert remembered == []

    @pytest.mark.parametrize("window", ["train", "test"])
    def test_fewer_rows_than_the_minimum_are_refused_with_their_count(
        self, trainer: Trainer, window: str
    ) -> None:
        with pytest.raises(DataUnusable, match=rf"{window} window.*19"):
            train(trainer, "k", spec_of(f"few_{window}"), **{window: rows_of(19, 2)})
