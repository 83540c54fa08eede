"""The smallest whole run in a real Airflow, for the oldest that is supported: retrain, ask, release.

`make test-floor` runs it there; it holds in any other as well. The model asks for pods, too, which the
LocalExecutor does not have.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator

import pytest

from evergreen.demo.airflow_home import start_airflow
from evergreen.steps import STEPS
from tests.integration.test_approval_airflow import FormApi, People
from tests.integration.test_real_airflow import ROOT, model_text, write_warehouse

pytestmark = [pytest.mark.real_airflow, pytest.mark.timeout(900)]

USERS = {"admin": "admin", "alice": "user", "bob": "user"}
ASKS = """\
release: {approval: {approvers: [alice]}}
retries: {attempts: 2, delay: 0 minutes}
pods: {steps: {train: {requests: {cpu: 2}}}}
"""
NOTE = "what the model file says under pods is ignored: tasks run on LocalExecutor, which has no pods"


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Iterator[People]:
    root = tmp_path_factory.mktemp("floor")
    models = root / "dags" / "models"
    models.mkdir(parents=True)
    shutil.copy(ROOT / "dags" / "evergreen_models.py", root / "dags")
    write_warehouse(root / "warehouse.db")
    (models / "floor.yaml").write_text(model_text("floor", more=ASKS))
    airflow = start_airflow(
        root / "airflow",
        root / "dags",
        port=18120,
        extra_env={
            "EVERGREEN_HOME": str(root / "evergreen"),
            "AIRFLOW_CONN_WAREHOUSE": f"sqlite:///{root / 'warehouse.db'}",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": ",".join(f"{n}:{r}" for n, r in USERS.items()),
        },
    )
    try:
        with FormApi(airflow) as api:
            api.wait_for_dags(["floor__retrain"])
            passwords = json.loads((airflow.home / "passwords.json").read_text())
            world = People(airflow, api, models, root / "evergreen", root, passwords, {})
            api.unpause("floor__retrain")
            with world.as_user("bob") as bob:
                world.runs["floor"] = bob.start("floor")
            yield world
    finally:
        airflow.stop()
    assert airflow.processes() == []


def test_a_model_is_retrained_approved_and_released(people):
    assert people.api.import_errors() == []
    run_id = people.asked("floor")
    evidence = people.api.form("floor", run_id)["params"]["evidence"]["value"]
    with people.as_user("bob") as starter:
        assert starter.answer("floor", run_id, "Approve").status_code == 403
    with people.as_user("alice") as alice:
        assert alice.answer("floor", run_id, "Approve", "good", evidence=evidence).status_code == 200
    told = people.ended("floor")
    assert told["run_finished"]["outcome"] == "promoted"
    assert told["release"]["version"]["number"] == 1
    answered = told["approval_answered"]
    assert (answered["who"], answered["how"], answered["reason"]) == ("alice", "airflow", "good")
    states = people.api.states("floor__retrain", run_id)
    assert states == dict.fromkeys((step for step in STEPS if step != "refit"), "success")


def test_pods_that_the_executor_does_not_have_are_noted_in_the_log_and_on_the_page(people):
    people.ended("floor")
    run_id = people.runs["floor"]
    assert people.api.told("floor__retrain", run_id, "train").count(NOTE) == 1
    assert NOTE not in people.api.told("floor__retrain", run_id, "ingest")
    assert people.api.details("floor__retrain")["doc_md"].count(NOTE) == 1
