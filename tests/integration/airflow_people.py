"""A real Airflow with several users, of whom one starts a run of each model and others answer."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx

from evergreen.airflow_rest import run_path
from evergreen.demo.airflow_api import AirflowApi
from tests.integration.airflow_world import Api, World, lay_out, model_text, running

SETTLED_SECONDS = 10
"""Airflow takes an answer that comes within a few seconds of the question for a task ended by others,
and tries it again, which asks anew: people read before they answer."""


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
    passwords: dict[str, str]
    runs: dict[str, str]

    def as_user(self, name: str) -> Person:
        return Person(replace(self.airflow, user=name, password=self.passwords[name]))

    def asked(self, model: str, words: str = "") -> str:
        """Wait until the model's run asks and its task has logged the words; return the run's id."""
        run_id = self.runs[model]
        self.until(
            f"{model} asks, and says {words!r}",
            lambda: (
                self.api.waits(model, run_id)
                and words in self.api.told(f"{model}__retrain", run_id, "approve")
            ),
        )
        time.sleep(SETTLED_SECONDS)
        assert self.api.waits(model, run_id)
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


@contextmanager
def asked_people(
    root: Path, asking: Mapping[str, str], users: Mapping[str, str], *, port: int
) -> Iterator[People]:
    """Run an Airflow of these users, by their roles, in which bob has started a run of each model.

    Args:
        root: Its folder.
        asking: Models by what their files say beyond the usual.
        users: Roles by name; an admin is among them.
        port: Wanted.
    """
    models = lay_out(root)
    for name, more in asking.items():
        (models / f"{name}.yaml").write_text(model_text(name, more=more))
    logins = ",".join(f"{name}:{role}" for name, role in users.items())
    more = {"AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": logins}
    dags = [f"{name}__retrain" for name in asking]
    with running(root, FormApi, dags, port=port, more=more) as (airflow, api):
        passwords = json.loads((airflow.home / "passwords.json").read_text())
        people = People(airflow, api, models, root / "evergreen", passwords, {})
        with people.as_user("bob") as bob:
            for name in asking:
                api.unpause(f"{name}__retrain")
                people.runs[name] = bob.start(name)
        yield people
