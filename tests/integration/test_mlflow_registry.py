"""The registry of a real MLflow: whose version is taken for a candidate's, and who can load it."""

from __future__ import annotations

from typing import Any

import pytest

from evergreen.adapters.mlflow_registry import MlflowRegistry
from evergreen.adapters.mlflow_trainer import MlflowTrainer
from evergreen.errors import ModelRefused
from tests.contracts.trainer import train
from tests.integration.mlflow_bench import client, trainer
from tests.integration.mlflow_store import MlflowStore
from tests.training_runs import spec_of

__all__ = ["client", "trainer"]


def test_a_version_of_other_files_under_the_candidates_key_is_refused(
    trainer: MlflowTrainer, mlflow_store: MlflowStore, client: Any
) -> None:
    candidate = train(trainer, "k", spec_of("adopted"))
    client.create_registered_model("adopted")
    client.create_model_version("adopted", "/elsewhere", tags={"evergreen.candidate_key": "k"})
    with pytest.raises(ModelRefused, match="another run or other files"):
        MlflowRegistry(mlflow_store.tracking_uri).register("adopted", candidate, {})


def test_a_version_of_another_run_under_the_candidates_key_is_refused(
    trainer: MlflowTrainer, mlflow_store: MlflowStore, client: Any
) -> None:
    candidate, other = (train(trainer, key, spec_of("other_run")) for key in ("k", "k2"))
    client.create_registered_model("other_run")
    tags = {"evergreen.candidate_key": "k"}
    client.create_model_version("other_run", candidate.model.uri, run_id=other.run_id, tags=tags)
    with pytest.raises(ModelRefused, match=rf"got run {other.run_id}.*allowed: run {candidate.run_id}"):
        MlflowRegistry(mlflow_store.tracking_uri).register("other_run", candidate, {})


def test_a_user_of_mlflow_can_run_the_champion_by_its_alias(
    trainer: MlflowTrainer, mlflow_store: MlflowStore
) -> None:
    import mlflow

    candidate = train(trainer, "k", spec_of("by_alias"))
    registry = MlflowRegistry(mlflow_store.tracking_uri)
    registry.move_champion(registry.register("by_alias", candidate, {}), None)
    mlflow.set_tracking_uri(mlflow_store.tracking_uri)
    try:
        model = mlflow.sklearn.load_model("models:/by_alias@champion")
    finally:
        mlflow.set_tracking_uri(None)
    assert model.n_features_in_ == 8
