"""What every scorer keeps: one prediction per row, of the candidate's shape."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from evergreen.errors import DataUnusable
from evergreen.ports import Scorer
from evergreen.results import Candidate
from tests.training_runs import rows_of


class ScorerContract:
    """Inherit, and give fixtures `scorer`, `classifier` and `regressor` (candidates it can run)."""

    def test_a_classifier_gives_probabilities_the_same_each_time(
        self, scorer: Scorer, classifier: Candidate
    ) -> None:
        rows = rows_of(30, 5)
        predictions = scorer.predict(classifier, rows)
        assert predictions.shape == (30, 2)
        np.testing.assert_allclose(predictions.sum(axis=1), 1, atol=1e-9)
        assert (predictions >= 0).all()
        np.testing.assert_array_equal(scorer.predict(classifier, rows), predictions)

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
