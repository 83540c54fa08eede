"""The smallest whole run in a real Airflow, for the oldest that is supported: retrain, ask, release.

`make test-floor` runs it there; it holds in any other as well. The model asks for pods, too, which the
LocalExecutor does not have.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from evergreen.steps import STEPS
from tests.integration.airflow_people import People, asked_people

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
    with asked_people(tmp_path_factory.mktemp("floor"), {"floor": ASKS}, USERS, port=18120) as people:
        yield people


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
