"""People asked by a real Airflow: answers through its REST API and the command line, by five users.

Every run is started before the first is waited for; each model is asked about once.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from evergreen.airflow_rest import run_path
from evergreen.demo.airflow_api import AirflowApi
from evergreen.demo.airflow_home import start_airflow
from tests.integration.test_real_airflow import ROOT, Api, World, model_text, write_warehouse

pytestmark = [pytest.mark.real_airflow, pytest.mark.timeout(900)]

USERS = {"admin": "admin", "alice": "user", "bob": "user", "carol": "user", "vera": "viewer"}
ASKING = {
    "named": "release: {approval: {approvers: [alice, bob]}}\n",
    "typed": "release: {approval: {approvers: [alice]}}\n",
    "anyone": "tier: high\n",
    "hurried": "release: {approval: {timeout: 1 minute}}\n",
}
"""Models by what they say of approval."""
AT_ONCE = "retries: {attempts: 2, delay: 0 minutes}\n"
"""Airflow takes an answer that comes within a second or two of the question for a task ended by others,
and tries it again: that try finds the answer in the ledger."""


class Person(AirflowApi):
    """A user of Airflow who answers; what the API says is returned as it is."""

    def answer(
        self, model: str, run_id: str, option: str, reason: str | None = None, **entered: Any
    ) -> httpx.Response:
        path = f"{run_path(f'{model}__retrain', run_id)}/taskInstances/approve/-1/hitlDetails"
        body = {"chosen_options": [option], "params_input": {"reason": reason, **entered}}
        return self._client.patch(path, json=body)

    def start(self, model: str) -> str:
        run = self._send(
            "POST", f"/api/v2/dags/{model}__retrain/dagRuns", json={"logical_date": None, "conf": {}}
        )
        return str(run["dag_run_id"])


class FormApi(Api):
    """What these tests ask beyond the others."""

    def form(self, model: str, run_id: str) -> dict[str, Any]:
        path = f"{run_path(f'{model}__retrain', run_id)}/taskInstances/approve/-1/hitlDetails"
        found: dict[str, Any] = self._send("GET", path)
        return found

    def waits(self, model: str, run_id: str) -> bool:
        states = self.states(f"{model}__retrain", run_id)
        return states.get("approve") in {"awaiting_input", "deferred"}

    def forge(self, model: str, run_id: str, value: Any) -> None:
        """Leave an XCom as if the task approve had."""
        path = f"{run_path(f'{model}__retrain', run_id)}/taskInstances/approve/xcomEntries"
        self._send("POST", path, json={"key": "return_value", "value": value, "map_index": -1})


@dataclass
class People(World):
    """A running Airflow with its users, and the runs that bob started, by model."""

    api: FormApi
    root: Path
    passwords: dict[str, str]
    runs: dict[str, str]

    def as_user(self, name: str) -> Person:
        return Person(replace(self.airflow, user=name, password=self.passwords[name]))

    def asked(self, model: str) -> str:
        """Wait until the model's run asks, and return the run's id."""
        run_id = self.runs[model]
        self.until(f"{model} asks", lambda: self.api.waits(model, run_id))
        return run_id

    def ended(self, model: str) -> dict[str, Any]:
        """Wait for the end of the model's run, and return what the ledger holds of it."""
        assert self.finished(f"{model}__retrain", self.runs[model]) == "success"
        return self.entries(f"{model}/{self.runs[model]}")

    def command(self, *words: str, user: str) -> subprocess.CompletedProcess[str]:
        """Run a command with a connection to Airflow of the user's own."""
        host, _, port = self.airflow.url.removeprefix("http://").partition(":")
        connection = {
            "conn_type": "http",
            "host": host,
            "port": int(port),
            "login": user,
            "password": self.passwords[user],
        }
        env = os.environ | {
            "EVERGREEN_HOME": str(self.home),
            "EVERGREEN_AIRFLOW_CONNECTION": "airflow_api",
            "AIRFLOW_CONN_AIRFLOW_API": json.dumps(connection),
        }
        return subprocess.run(
            [sys.executable, "-m", "evergreen.cli.main", *words],
            env=env,
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Iterator[People]:
    root = tmp_path_factory.mktemp("approval")
    models = root / "dags" / "models"
    models.mkdir(parents=True)
    shutil.copy(ROOT / "dags" / "evergreen_models.py", root / "dags")
    write_warehouse(root / "warehouse.db")
    for name, more in ASKING.items():
        (models / f"{name}.yaml").write_text(model_text(name, more=more + AT_ONCE))
    airflow = start_airflow(
        root / "airflow",
        root / "dags",
        port=18110,
        extra_env={
            "EVERGREEN_HOME": str(root / "evergreen"),
            "AIRFLOW_CONN_WAREHOUSE": f"sqlite:///{root / 'warehouse.db'}",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": ",".join(f"{n}:{r}" for n, r in USERS.items()),
        },
    )
    try:
        with FormApi(airflow) as api:
            api.wait_for_dags([f"{name}__retrain" for name in ASKING])
            passwords = json.loads((airflow.home / "passwords.json").read_text())
            world = People(airflow, api, models, root / "evergreen", root, passwords, {})
            with world.as_user("bob") as bob:
                for name in ASKING:
                    api.unpause(f"{name}__retrain")
                    world.runs[name] = bob.start(name)
            yield world
    finally:
        airflow.stop()
    assert airflow.processes() == []


def test_only_an_approver_who_did_not_start_the_run_is_let_answer_and_the_ledger_names_them(people):
    run_id = people.asked("named")
    form = people.api.form("named", run_id)
    assert form["subject"] == "Release version 1 of named as the first champion?"
    assert form["options"] == ["Approve", "Reject", "Ask for more data"]
    assert "**Promote: the new model is proven better" in form["body"]
    assert form["assigned_users"] == [{"id": "alice", "name": "alice"}], "bob started the run"
    with people.as_user("vera") as viewer, people.as_user("carol") as unnamed:
        assert viewer.answer("named", run_id, "Approve").status_code == 403
        assert unnamed.answer("named", run_id, "Approve").status_code == 403
    with people.as_user("bob") as starter:
        assert starter.answer("named", run_id, "Approve").status_code == 403
    assert people.api.waits("named", run_id)
    evidence = form["params"]["evidence"]["value"]
    with people.as_user("alice") as alice:
        assert alice.answer("named", run_id, "Approve", "good", evidence=evidence).status_code == 200
        assert alice.answer("named", run_id, "Reject", "bad", evidence=evidence).status_code == 409
    told = people.ended("named")
    assert told["run_finished"]["outcome"] == "promoted"
    answered, asked = told["approval_answered"], told["approval_asked"]
    assert (answered["answer"], answered["who"], answered["how"]) == ("approve", "alice", "airflow")
    assert (answered["reason"], answered["number"]) == ("good", 1)
    assert answered["evidence"] == asked["evidence"]
    assert asked["evidence"].startswith(evidence)
    assert asked["triggered_by"] == "bob"
    assert any("approved by alice" in line for line in told["run_finished"]["lines"])


def test_where_anyone_may_answer_the_starter_may_not_and_a_no_needs_a_reason(people):
    run_id = people.asked("anyone")
    people.api.forge("anyone", run_id, {"answer": "approve", "who": "alice"})

    def refused(words: str) -> None:
        people.until(
            f"told {words}",
            lambda: (
                people.api.waits("anyone", run_id)
                and words in people.api.told("anyone__retrain", run_id, "approve")
            ),
        )
        assert "approval_answered" not in people.entries(f"anyone/{run_id}")

    with people.as_user("bob") as starter:
        assert starter.answer("anyone", run_id, "Approve").status_code == 200
    refused("who started the run may not answer for it")
    with people.as_user("carol") as carol:
        assert carol.answer("anyone", run_id, "Reject").status_code == 200
        refused("a rejection needs a reason")
        assert carol.answer("anyone", run_id, "Reject", "JFK is worse").status_code == 200
    told = people.ended("anyone")
    assert told["run_finished"]["outcome"] == "kept"
    assert told["run_finished"]["summary"].endswith("(rejected by carol: JFK is worse)")
    assert "release" not in told
    states = people.api.states("anyone__retrain", run_id)
    assert (states["approve"], states["release"], states["report"]) == ("skipped", "skipped", "success")


def test_the_command_line_answers_through_airflow_as_the_connections_user(people):
    run_id = people.asked("typed")
    key = f"typed/{run_id}"
    listed = people.command("approvals", "typed", "--json", user="alice")
    assert [asked["run_key"] for asked in json.loads(listed.stdout)] == [key]
    by_the_starter = people.command("approve", key, user="bob")
    assert by_the_starter.returncode == 1
    assert "who started the run may not answer for it" in by_the_starter.stderr
    by_another = people.command("approve", key, user="carol")
    assert by_another.returncode == 1
    assert "Airflow does not let carol answer" in by_another.stderr
    done = people.command("approve", "typed", "--why", "as agreed", user="alice")
    assert (done.returncode, done.stderr) == (0, "")
    assert f"{key}: approve by alice, given to Airflow" in done.stdout
    told = people.ended("typed")
    assert told["run_finished"]["outcome"] == "promoted"
    answered = told["approval_answered"]
    assert (answered["who"], answered["how"], answered["reason"]) == ("alice", "airflow", "as agreed")
    again = people.command("approve", key, user="alice")
    assert again.returncode == 1
    assert "answered already" in again.stderr


def test_where_nobody_answers_in_time_the_champion_is_kept_and_the_task_does_not_fail(people):
    told = people.ended("hurried")
    answered = told["approval_answered"]
    assert (answered["answer"], answered["who"], answered["how"]) == ("timeout", None, "scheduler")
    assert told["run_finished"]["outcome"] == "kept"
    assert "nobody answered in time" in told["run_finished"]["summary"]
    assert people.api.states("hurried__retrain", people.runs["hurried"])["approve"] == "skipped"
