"""Every trainer keeps the contract."""

from __future__ import annotations

import pytest

from evergreen.adapters.mlflow_trainer import MlflowTrainer
from tests.contracts.trainer import TrainerContract, train
from tests.fakes.trainer import FakeTrainer
from tests.integration.mlflow_store import MlflowStore
from tests.training_runs import spec_of


class TestFakeTrainer(TrainerContract):
    @pytest.fixture
    def trainer(self) -> FakeTrainer:
        return FakeTrainer()

    def test_it_counts_trainings_by_key(self, trainer: FakeTrainer) -> None:
        train(trainer, "k", spec_of())
        train(trainer, "k", spec_of())
        assert trainer.trainings == {"k": 2}


class TestMlflowTrainer(TrainerContract):
    @pytest.fixture
    def trainer(self, mlflow_store: MlflowStore) -> MlflowTrainer:
        return MlflowTrainer(mlflow_store.tracking_uri, mlflow_store.artifact_uri, ())
