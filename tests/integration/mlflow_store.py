"""One real MLflow store for the whole test session: making its database takes seconds."""

from __future__ import annotations

from dataclasses import dataclass

import pytest


@dataclass(frozen=True, slots=True)
class MlflowStore:
    """Where a real MLflow keeps its database and its artifacts. Tests use model names of their own."""

    tracking_uri: str
    artifact_uri: str


@pytest.fixture(scope="session")
def mlflow_store(tmp_path_factory: pytest.TempPathFactory) -> MlflowStore:
    folder = tmp_path_factory.mktemp("mlflow")
    return MlflowStore(f"sqlite:///{folder / 'mlflow.db'}", (folder / "artifacts").as_uri())
