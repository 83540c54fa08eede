"""The store of a real MLflow and its experiments: opened at once, deleted, or not to be reached."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from evergreen.adapters.mlflow_trainer import MlflowTrainer, _experiment
from evergreen.errors import BadConfiguration, StoreUnavailable
from evergreen.failpoints import EXIT_CODE
from evergreen.serving.tracking import open_client
from tests.contracts.trainer import train
from tests.integration.mlflow_bench import client, trainer
from tests.integration.mlflow_store import MlflowStore
from tests.training_runs import spec_of

__all__ = ["client", "trainer"]


def test_processes_that_make_the_experiment_at_once_get_the_same(
    mlflow_store: MlflowStore, client: Any
) -> None:
    with ThreadPoolExecutor(4) as pool:
        ids = set(pool.map(lambda _: _experiment(client, "raced", mlflow_store.artifact_uri), range(8)))
    assert len(ids) == 1
    location = client.get_experiment(ids.pop()).artifact_location
    assert location == f"{mlflow_store.artifact_uri}/raced"


def test_processes_that_open_a_new_store_at_once_all_find_it_whole(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path / 'new' / 'mlflow.db'}"
    code = "import sys; from evergreen.serving.tracking import open_client; open_client(sys.argv[1])"
    command = [sys.executable, "-c", f"{code}.search_experiments()", uri]
    killed = subprocess.run(
        command, env=os.environ | {"EVERGREEN_FAIL": "tracking.migrated"}, check=False
    )
    assert killed.returncode == EXIT_CODE
    openers = [subprocess.Popen(command, stderr=subprocess.PIPE) for _ in range(3)]
    said = [opener.communicate()[1] for opener in openers]
    assert [opener.returncode for opener in openers] == [0, 0, 0], said
    assert not list((tmp_path / "new").glob(".mlflow.db.new*"))


def test_an_experiment_made_by_another_between_look_and_make_is_used(
    mlflow_store: MlflowStore, client: Any
) -> None:
    made = client.create_experiment("made_between")

    class Late:
        """Looks once before the other process made the experiment."""

        looked = False

        def get_experiment_by_name(self, name: str) -> Any:
            first, self.looked = not self.looked, True
            return None if first else client.get_experiment_by_name(name)

        create_experiment = client.create_experiment

    assert _experiment(Late(), "made_between", mlflow_store.artifact_uri) == made


@pytest.mark.parametrize("uri", ["foo://host/name", "mysql://host/name"])
def test_a_tracking_address_of_no_known_kind_is_not_tried_again(uri: str) -> None:
    with pytest.raises(BadConfiguration, match="correct EVERGREEN_TRACKING"):
        open_client(uri)


def test_a_deleted_experiment_is_named_with_the_way_back(trainer: MlflowTrainer, client: Any) -> None:
    train(trainer, "k", spec_of("deleted"))
    client.delete_experiment(client.get_experiment_by_name("deleted").experiment_id)
    with pytest.raises(BadConfiguration, match="mlflow experiments restore"):
        train(trainer, "k2", spec_of("deleted"))


def test_an_unreachable_database_is_said_at_once_without_its_password() -> None:
    trainer = MlflowTrainer("postgresql+psycopg://bob:hunter22@127.0.0.1:9/mlflow", "/nowhere", ())
    with pytest.raises(StoreUnavailable) as caught:
        train(trainer, "k", spec_of("any"))
    assert "bob:***@127.0.0.1" in str(caught.value)
    assert "hunter22" not in str(caught.value)
