"""Every scorer keeps the contract."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from evergreen.adapters.child_scorer import ChildScorer
from evergreen.adapters.mlflow_trainer import MlflowTrainer
from evergreen.profiles.codec import baseline_to_bytes
from evergreen.results import Candidate
from evergreen.training.baseline import baseline_of
from tests.contracts.scorer import ScorerContract
from tests.contracts.trainer import train
from tests.fakes.scorer import FakeScorer
from tests.fakes.trainer import FakeTrainer
from tests.integration.mlflow_store import MlflowStore
from tests.stored_models import honest
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
    def trainer(self) -> FakeTrainer:
        return FakeTrainer()

    @pytest.fixture
    def scorer(self, trainer: FakeTrainer, classifier: Candidate, regressor: Candidate) -> FakeScorer:
        scorer = FakeScorer()
        for candidate in (classifier, regressor):
            learnt = trainer.learnt[candidate.key]
            predictions = scorer.predict(candidate, learnt.test)
            scorer.baselines[candidate.key] = baseline_to_bytes(
                baseline_of(
                    learnt.spec,
                    learnt.train,
                    learnt.test,
                    candidate.features,
                    candidate.classes,
                    predictions,
                    {},
                )
            )
        return scorer

    @pytest.fixture
    def classifier(self, trainer: FakeTrainer) -> Candidate:
        return train(trainer, "classifier", spec_of())

    @pytest.fixture
    def regressor(self, trainer: FakeTrainer) -> Candidate:
        return train(trainer, "regressor", regression_spec())

    @pytest.fixture
    def before_baselines(self) -> Candidate:
        return train(FakeTrainer(), "older", spec_of())


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

    @pytest.fixture
    def before_baselines(self, tmp_path: Path) -> Candidate:
        model = honest(tmp_path).recorded()
        return replace(train(FakeTrainer(), "older", spec_of()), model=model)
