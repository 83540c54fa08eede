"""Every scorer keeps the contract."""

from __future__ import annotations

import pytest

from evergreen.adapters.child_scorer import ChildScorer
from evergreen.adapters.mlflow_trainer import MlflowTrainer
from evergreen.results import Candidate
from tests.contracts.scorer import ScorerContract
from tests.contracts.trainer import train
from tests.fakes.scorer import FakeScorer
from tests.fakes.trainer import FakeTrainer
from tests.integration.mlflow_store import MlflowStore
from tests.training_runs import regression_spec, spec_of


@pytest.fixture(scope="module")
def trained(mlflow_store: MlflowStore) -> dict[str, Candidate]:
    trainer = MlflowTrainer(mlflow_store.tracking_uri, mlflow_store.artifact_uri, ())
    return {
        "classifier": train(trainer, "k", spec_of("scored_class")),
        "regressor": train(trainer, "k", regression_spec("scored_value")),
    }


class TestFakeScorer(ScorerContract):
    @pytest.fixture
    def scorer(self) -> FakeScorer:
        return FakeScorer()

    @pytest.fixture
    def classifier(self) -> Candidate:
        return train(FakeTrainer(), "classifier", spec_of())

    @pytest.fixture
    def regressor(self) -> Candidate:
        return train(FakeTrainer(), "regressor", regression_spec())


class TestChildScorer(ScorerContract):
    @pytest.fixture
    def scorer(self, mlflow_store: MlflowStore) -> ChildScorer:
        return ChildScorer(mlflow_store.tracking_uri, ())

    @pytest.fixture
    def classifier(self, trained: dict[str, Candidate]) -> Candidate:
        return trained["classifier"]

    @pytest.fixture
    def regressor(self, trained: dict[str, Candidate]) -> Candidate:
        return trained["regressor"]
