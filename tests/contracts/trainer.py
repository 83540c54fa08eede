"""What every trainer keeps: the same key is trained once and found again."""

from __future__ import annotations

import pyarrow as pa
import pytest

from evergreen.errors import DataUnusable
from evergreen.ports import Trainer
from evergreen.results import Candidate, from_json, to_json
from evergreen.spec import ModelSpec
from tests.training_runs import FEATURES, regression_spec, retrain_of, rows_of, snapshot_of, spec_of


def train(trainer: Trainer, key: str, spec: ModelSpec, **tables: pa.Table) -> Candidate:
    label = spec.data.label.column
    rows, test = tables.get("train", rows_of(200, 0, label=label)), rows_of(80, 1, label=label)
    retrain = retrain_of(spec)
    return trainer.train(key, retrain, snapshot_of(retrain, rows), rows, tables.get("test", test))


class TrainerContract:
    """Inherit, and give a fixture `trainer` that may be shared: each test has its own model name."""

    def test_an_unknown_key_is_not_found(self, trainer: Trainer) -> None:
        assert trainer.find("never_trained", "k") is None

    def test_a_trained_candidate_is_found_again_as_it_was(self, trainer: Trainer) -> None:
        candidate = train(trainer, "k1", spec_of("found_again"))
        assert trainer.find("found_again", "k1") == candidate
        assert from_json(Candidate, to_json(candidate)) == candidate

    def test_the_same_key_again_gives_the_same_candidate(self, trainer: Trainer) -> None:
        spec = spec_of("same_key")
        assert train(trainer, "k", spec) == train(trainer, "k", spec)

    def test_a_key_belongs_to_its_model(self, trainer: Trainer) -> None:
        train(trainer, "k", spec_of("mine"))
        assert trainer.find("yours", "k") is None

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

    def test_a_regressor_has_the_mean_as_baseline(self, trainer: Trainer) -> None:
        rows = rows_of(200, 0, label="minutes")
        candidate = train(trainer, "k", regression_spec("mean_baseline"), train=rows)
        assert candidate.classes == ()
        assert candidate.baseline == pytest.approx((rows["minutes"].to_numpy().mean(),))

    def test_a_label_with_one_class_is_refused_and_nothing_is_kept(self, trainer: Trainer) -> None:
        rows = rows_of(200, 0)
        never = rows.set_column(rows.column_names.index("late"), "late", pa.array([False] * 200))
        with pytest.raises(DataUnusable, match="one class"):
            train(trainer, "k", spec_of("one_class"), train=never)
        assert trainer.find("one_class", "k") is None

    @pytest.mark.parametrize("window", ["train", "test"])
    def test_fewer_rows_than_the_minimum_are_refused_with_their_count(
        self, trainer: Trainer, window: str
    ) -> None:
        with pytest.raises(DataUnusable, match=rf"{window} window.*19"):
            train(trainer, "k", spec_of(f"few_{window}"), **{window: rows_of(19, 2)})
