"""Training, registering and releasing into a real MLflow, killed anywhere, end as if never killed."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest

from evergreen.failpoints import EXIT_CODE
from tests.integration.mlflow_bench import client, runs_of
from tests.integration.mlflow_process import train_register_release
from tests.integration.mlflow_store import MlflowStore

__all__ = ["client"]

FAILPOINTS = [
    "train.run_created",
    "train.model_logged",
    "train.candidate_logged",
    "train.remembered",
    "train.model_ready",
    "register.version_created",
    "register.aliased",
    "release.alias_moved",
]


@pytest.mark.parametrize("failpoint", FAILPOINTS)
def test_a_process_killed_at_any_point_and_retried_ends_as_if_never_killed(
    failpoint: str, mlflow_store: MlflowStore, client: Any
) -> None:
    model = "killed_" + failpoint.replace(".", "_")
    uris = (mlflow_store.tracking_uri, mlflow_store.artifact_uri)
    command = [sys.executable, "-m", "tests.integration.mlflow_process", *uris, model]
    killed = subprocess.run(
        command, env=os.environ | {"EVERGREEN_FAIL": failpoint}, capture_output=True, check=False
    )
    assert killed.returncode == EXIT_CODE, killed.stderr
    candidate, number = train_register_release(*uris, model)
    assert (candidate, number) == train_register_release(*uris, model)
    assert number == 1
    found = runs_of(client, model, "tags.`evergreen.candidate_key` = 'key'")
    assert [(run.info.run_id, run.info.status) for run in found] == [(candidate.run_id, "FINISHED")]
    assert {run.info.status for run in runs_of(client, model)} <= {"FINISHED", "KILLED"}
    aliases = client.get_registered_model(model).aliases
    assert {alias: int(version) for alias, version in aliases.items()} == {"champion": 1}
    version = client.get_model_version(model, "1")
    assert version.tags["evergreen.candidate_key"] == "key"
    assert version.tags["evergreen.run_key"] == "run"
    assert len(client.search_model_versions(f"name = '{model}'")) == 1
