"""What every scorer keeps: one prediction per row, of the candidate's shape."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from evergreen.comparison import Serving
from evergreen.errors import DataUnusable
from evergreen.ports import Scorer
from evergreen.profiles.codec import baseline_from_bytes
from evergreen.results import Candidate, from_json, to_json
from tests.training_runs import rows_of


class ScorerContract:
    """Inherit, and give fixtures `scorer`, `classifier` and `regressor` (candidates it can run), and
    `before_baselines`, whose files hold no baseline.

    The first two were trained with the test rows `rows_of(80, 1)`, so that these reproduce their
    references.
    """

    def test_a_classifier_gives_probabilities_the_same_each_time(
        self, scorer: Scorer, classifier: Candidate
    ) -> None:
        rows = rows_of(30, 5)
        predictions = scorer.predict(classifier, rows)
        assert predictions.shape == (30, 2)
        np.testing.assert_allclose(predictions.sum(axis=1), 1, atol=1e-9)
        assert (predictions >= 0).all()
        np.testing.assert_array_equal(scorer.predict(classifier, rows), predictions)

    def test_files_that_are_as_they_were_recorded_are_verified(
        self, scorer: Scorer, classifier: Candidate
    ) -> None:
        scorer.verify(classifier)

    def test_a_column_that_is_new_since_the_training_changes_nothing(
        self, scorer: Scorer, classifier: Candidate
    ) -> None:
        rows = rows_of(30, 5)
        newer = rows.append_column("new", pa.array(range(30))).drop_columns(["late", "id"])
        np.testing.assert_array_equal(
            scorer.predict(classifier, newer), scorer.predict(classifier, rows)
        )

    def test_a_regressor_gives_one_finite_value_per_row(
        self, scorer: Scorer, regressor: Candidate
    ) -> None:
        predictions = scorer.predict(regressor, rows_of(30, 5, label="minutes"))
        assert predictions.shape == (30,)
        assert np.isfinite(predictions).all()

    def test_rows_that_lack_a_feature_are_refused_by_its_name(
        self, scorer: Scorer, classifier: Candidate
    ) -> None:
        with pytest.raises(DataUnusable, match="carrier"):
            scorer.predict(classifier, rows_of(30, 5).drop_columns(["carrier"]))

    @pytest.mark.parametrize("kind", ["classifier", "regressor"])
    def test_a_model_that_is_fit_to_serve_is_measured_and_has_no_fault(
        self, scorer: Scorer, kind: str, request: pytest.FixtureRequest
    ) -> None:
        candidate: Candidate = request.getfixturevalue(kind)
        rows = rows_of(80, 1, label="late" if kind == "classifier" else "minutes")
        serving = scorer.probe(candidate, rows)
        assert serving.faults == ()
        assert (serving.reproduced_rows, serving.largest_deviation, serving.batch_rows) == (80, 0.0, 80)
        assert serving.size_bytes == sum(artefact.size for artefact in candidate.model.artefacts)
        assert 0 < serving.median_ms <= serving.p99_ms
        assert serving.single_rows >= 30
        assert min(serving.load_ms, serving.rows_per_second, serving.memory_bytes) > 0
        assert from_json(Serving, to_json(serving)) == serving

    def test_fewer_rows_than_reference_predictions_are_a_fault_of_what_cannot_be_compared(
        self, scorer: Scorer, classifier: Candidate
    ) -> None:
        serving = scorer.probe(classifier, rows_of(80, 1).slice(0, 79))
        assert len(serving.faults) == 1
        assert serving.reproduced_rows == 0

    def test_a_probe_on_rows_that_lack_a_feature_is_refused_by_its_name(
        self, scorer: Scorer, classifier: Candidate
    ) -> None:
        with pytest.raises(DataUnusable, match="carrier"):
            scorer.probe(classifier, rows_of(80, 1).drop_columns(["carrier"]))

    @pytest.mark.parametrize("kind", ["classifier", "regressor"])
    def test_the_baseline_that_travels_with_a_model_is_of_its_features_and_answers(
        self, scorer: Scorer, kind: str, request: pytest.FixtureRequest
    ) -> None:
        candidate: Candidate = request.getfixturevalue(kind)
        content = scorer.baseline(candidate)
        assert content is not None
        baseline = baseline_from_bytes(content)
        assert [(cells.column, cells.type) for cells in baseline.layout.cells] == [
            (feature.name, feature.type) for feature in candidate.features
        ]
        assert baseline.features().rows == candidate.rows_trained
        assert baseline.predictions().rows == candidate.rows_tested
        assert baseline.classes == candidate.classes

    def test_a_model_that_was_trained_before_there_were_baselines_has_none(
        self, scorer: Scorer, before_baselines: Candidate
    ) -> None:
        assert scorer.baseline(before_baselines) is None
