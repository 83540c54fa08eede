"""What every trainer keeps: a candidate is remembered before its run counts as finished."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pytest

from evergreen.errors import DataUnusable, LeaseLost
from evergreen.ports import Trainer
from evergreen.results import Candidate, from_json, to_json
from evergreen.spec import Metric, ModelSpec
from tests.training_runs import FEATURES, regression_spec, retrain_of, rows_of, snapshot_of, spec_of


def train(
    trainer: Trainer,
    key: str,
    spec: ModelSpec,
    remember: Callable[[Candidate], None] = lambda candidate: None,
    **tables: pa.Table,
) -> Candidate:
    label = spec.data.label.column
    rows, test = tables.get("train", rows_of(200, 0, label=label)), rows_of(80, 1, label=label)
    retrain = retrain_of(spec)
    snapshot = snapshot_of(retrain, rows)
    return trainer.train(key, retrain, snapshot, rows, tables.get("test", test), remember)


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
        self, trainer: Trainer, metric: Metric, constant: Callable[[np.ndarray], float]
    ) -> None:
        rows = rows_of(200, 0, label="minutes")
        spec = regression_spec(f"{metric}_baseline")
        spec = spec.model_copy(update={"gate": spec.gate.model_copy(update={"metric": metric})})
        candidate = train(trainer, "k", spec, train=rows)
        assert candidate.classes == ()
        assert candidate.baseline == pytest.approx((constant(rows["minutes"].to_numpy()),))

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
