"""Trains and registers in a process of its own, which a test may kill at a failpoint."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

from evergreen.adapters.mlflow_registry import MlflowRegistry
from evergreen.adapters.mlflow_trainer import MlflowTrainer
from evergreen.artefacts import write_atomically
from evergreen.results import Candidate, from_json, to_json
from tests.contracts.trainer import train
from tests.training_runs import spec_of


def train_register_release(tracking_uri: str, artifact_uri: str, model: str) -> tuple[Candidate, int]:
    """Do what the steps of one run do with MLflow; return the candidate and its version."""
    trainer = MlflowTrainer(tracking_uri, artifact_uri, ())
    memory = Path(unquote(urlsplit(artifact_uri).path)) / f"{model}.remembered.json"

    def remember(candidate: Candidate) -> None:
        write_atomically(memory, json.dumps(to_json(candidate)).encode())

    if memory.exists():
        candidate = from_json(Candidate, json.loads(memory.read_bytes()))
        trainer.finish(candidate)
    else:
        candidate = train(trainer, "key", spec_of(model), remember)
    registry = MlflowRegistry(tracking_uri)
    version = registry.register(model, candidate, {"evergreen.run_key": "run"})
    registry.move_champion(version, None)
    return candidate, version.number


if __name__ == "__main__":
    train_register_release(*sys.argv[1:4])
