"""A trainer and a client on the session's MLflow, and where these keep runs and files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from evergreen.adapters.mlflow_trainer import MlflowTrainer
from evergreen.serving.tracking import open_client
from tests.integration.mlflow_store import MlflowStore


@pytest.fixture
def trainer(mlflow_store: MlflowStore) -> MlflowTrainer:
    return MlflowTrainer(mlflow_store.tracking_uri, mlflow_store.artifact_uri, ())


@pytest.fixture
def client(mlflow_store: MlflowStore) -> Any:
    return open_client(mlflow_store.tracking_uri)


def runs_of(client: Any, model: str, where: str = "") -> list[Any]:
    experiment = client.get_experiment_by_name(model)
    return list(client.search_runs([experiment.experiment_id], where))


def folder_of(uri: str) -> Path:
    return Path(uri.removeprefix("file://"))
