"""Trains and registers in a process of its own, which a test may kill at a failpoint."""

from __future__ import annotations

import sys

from evergreen.adapters.mlflow_registry import MlflowRegistry
from evergreen.adapters.mlflow_trainer import MlflowTrainer
from evergreen.results import Candidate
from tests.contracts.trainer import train
from tests.training_runs import spec_of


def train_register_release(tracking_uri: str, artifact_uri: str, model: str) -> tuple[Candidate, int]:
    """Do what the steps of one run do with MLflow; return the candidate and its version."""
    candidate = train(MlflowTrainer(tracking_uri, artifact_uri, ()), "key", spec_of(model))
    registry = MlflowRegistry(tracking_uri)
    version = registry.register(model, candidate, {"evergreen.run_key": "run"})
    registry.move_champion(version, None)
    return candidate, version.number


if __name__ == "__main__":
    train_register_release(*sys.argv[1:4])
