"""Messages from a real Airflow: who is told what, from the processes where callbacks really run.

Slack is a local HTTP server, mail a local SMTP server. Models whose table is empty fail at their second
task at once.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import quote

import pytest

from tests.contracts.mail_server import Mailbox, mail_server
from tests.contracts.web_server import WebServer, web_server
from tests.integration.airflow_world import Api, World, lay_out, model_text, running

pytestmark = [pytest.mark.real_airflow, pytest.mark.timeout(900)]

ALERTS = """\
retries: {attempts: 0, delay: 0 minutes}
alerts:
  - {type: slack, connection: slack_local}
  - {type: email, connection: smtp_local, to: [team@example.com], events: [failed, promoted, recovered]}
"""
NEVER_THERE = """\
retries: {attempts: 0, delay: 0 minutes}
alerts:
  - {type: slack, connection: slack_gone}
  - {type: email, connection: no_such_connection, to: [team@example.com]}
"""
FLEET = "alerts:\n  - {type: email, connection: smtp_local, to: [platform@example.com]}\n"
OTHER_DAG = '''\
"""A DAG of somebody else's, for Airflow to run."""
from airflow.sdk import DAG, task
from evergreen_airflow.notifiers import EvergreenNotifier

with DAG("load_arrivals", schedule=None, catchup=False):

    @task(on_failure_callback=EvergreenNotifier(
        headline="{{ dag.dag_id }} failed <at once>",
        event="failed",
        cause="load",
        channels=[{"type": "slack", "connection": "slack_local"}],
    ))
    def load():
        raise RuntimeError("no arrivals")

    load()
'''


@dataclass
class AlertWorld(World):
    """A running Airflow with its receivers."""

    slack: WebServer
    mail: Mailbox

    def posted(self, *words: str) -> dict:
        """Wait for a message in Slack that holds all these words, and return it."""

        def found() -> dict | None:
            texts = [request.json for request in self.slack.requests]
            return next((t for t in texts if all(word in json.dumps(t) for word in words)), None)

        return self.until(f"a message with {words}", found)

    def mailed(self, *words: str) -> str:
        """Wait for a mail that holds all these words, and return its source."""
        return self.until(
            f"a mail with {words}",
            lambda: next((m for m in self.mails() if all(word in m for word in words)), None),
        )

    def mails(self) -> list[str]:
        """Return each mail as its headers and its plain text."""
        return [
            "\n".join(f"{name}: {value}" for name, value in mail.items())
            + f"\n\n{mail.get_body(('plain',)).get_content()}"
            for mail in list(self.mail.mails)
        ]

    def kill(self, dag_id: str, run_id: str, task_id: str) -> None:
        """Kill the process of a task once there is one."""
        path = f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances"

        def killed() -> bool:
            tasks = self.api._send("GET", path, params={"state": "running"})["task_instances"]
            return any(self.kill_try(task["id"]) for task in tasks if task["task_id"] == task_id)

        self.until("a task to kill", killed)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AlertWorld]:
    root = tmp_path_factory.mktemp("alerts")
    models = lay_out(root, "evergreen_models.py", "evergreen_fleet.py")
    (root / "dags" / "load_arrivals.py").write_text(OTHER_DAG)
    (root / "fleet.yaml").write_text(FLEET)
    with sqlite3.connect(root / "warehouse.db") as database:
        database.execute("CREATE TABLE no_rows AS SELECT * FROM arrivals WHERE id < 0")
    database.close()
    alerts = dict.fromkeys(("fails", "mended", "killed"), ALERTS) | {"unheard": NEVER_THERE}
    for name, more in alerts.items():
        text = model_text(name, more=more)
        table = "arrivals" if name in {"mended", "killed"} else "no_rows"
        (models / f"{name}.yaml").write_text(text.replace("FROM arrivals", f"FROM {table}"))
    (models / "broken.yaml").write_text(model_text("broken", more="colour: red\n"))
    with web_server() as slack, mail_server() as mail:
        connections = {
            "SLACK_LOCAL": {
                "conn_type": "slackwebhook",
                "host": f"http://127.0.0.1:{slack.port}",
                "password": "T0/B0/s3cret",
            },
            "SLACK_GONE": {"conn_type": "slackwebhook", "host": "http://127.0.0.1:9", "password": "T0"},
            "SMTP_LOCAL": {
                "conn_type": "smtp",
                "host": "127.0.0.1",
                "port": mail.port,
                "extra": {
                    "disable_ssl": True,
                    "disable_tls": True,
                    "from_email": "evergreen@example.com",
                },
            },
        }
        more = {
            "EVERGREEN_ALERTS": str(root / "fleet.yaml"),
            **{f"AIRFLOW_CONN_{name}": json.dumps(one) for name, one in connections.items()},
        }
        dags = [f"{name}__retrain" for name in alerts]
        with running(root, Api, [*dags, "load_arrivals"], port=18100, more=more) as (airflow, api):
            for dag_id in dags:
                api.unpause(dag_id)
            yield AlertWorld(airflow, api, models, root / "evergreen", slack, mail)


def test_a_task_that_fails_tells_slack_and_the_owner_once_with_its_reason(world):
    run = world.api.trigger("fails__retrain")
    assert world.finished("fails__retrain", run) == "failed"
    told = json.dumps(world.posted("The retrain of fails failed", "ingest"))
    assert "DataUnusable" in told
    assert "ops@example.com" in told
    assert f"/dags/fails__retrain/runs/{quote(run)}" in told
    assert "s3cret" not in told
    mail = world.mailed("The retrain of fails failed")
    assert "team@example.com" in mail
    texts = [json.dumps(request.json) for request in world.slack.requests]
    about = [text for text in texts if "The retrain of fails failed" in text]
    assert len(about) == 1
    told_entry = world.entries(f"fails/{run}")
    assert told_entry["run_finished"]["outcome"] == "failed"


def test_a_task_killed_from_outside_is_told_of_by_the_report(world):
    run = world.api.trigger("killed__retrain")
    world.kill("killed__retrain", run, "train")
    assert world.finished("killed__retrain", run) == "failed"
    told = json.dumps(world.posted("killed", "failed task: train"))
    assert f"/dags/killed__retrain/runs/{quote(run)}" in told


def test_a_run_that_succeeds_again_closes_the_incident_in_its_own_words(world):
    path = world.models / "mended.yaml"
    text = path.read_text()
    path.write_text(text.replace("FROM arrivals", "FROM no_rows"))
    first = world.api.trigger("mended__retrain")
    assert world.finished("mended__retrain", first) == "failed"
    world.mailed("The retrain of mended failed")
    path.write_text(text)
    second = world.api.trigger("mended__retrain")
    assert world.finished("mended__retrain", second) == "success"
    closing = world.mailed("Subject: Re: ", "mended", "recovered")
    assert "In-Reply-To:" in closing
    world.posted("mended", "promoted version 1")


def test_channels_that_are_down_or_unknown_fail_no_task_and_are_shown(world):
    run = world.api.trigger("unheard__retrain")
    assert world.finished("unheard__retrain", run) == "failed"
    assert world.api.states("unheard__retrain", run)["report"] == "failed"
    log = world.api.told("unheard__retrain", run, "ingest")
    assert "postponed" in log or "given up" in log

    def given_up() -> list[dict]:
        with world.opened_ledger() as ledger:
            return [e.body for e in ledger.entries(model="unheard", kind="not_told")]

    (body,) = world.until("what was given up", given_up)
    assert "no_such_connection" in json.dumps(body)


def test_the_fleet_dag_tells_of_a_broken_model_file_and_of_its_mending(world):
    world.api.unpause("evergreen__fleet")
    run = world.api.trigger("evergreen__fleet")
    assert world.finished("evergreen__fleet", run) == "success"
    mail = world.mailed("The model file broken.yaml cannot be used", "platform@example.com")
    assert "colour" in mail
    (world.models / "broken.yaml").write_text(model_text("broken"))
    again = world.api.trigger("evergreen__fleet")
    assert world.finished("evergreen__fleet", again) == "success"
    world.mailed("broken", "can be used again", "Subject: Re: ")


def test_the_notifier_works_in_anyones_dag(world):
    world.api.unpause("load_arrivals")
    run = world.api.trigger("load_arrivals")
    assert world.finished("load_arrivals", run) == "failed"
    world.posted("load_arrivals failed", "&lt;at once&gt;")


def test_the_ledger_still_verifies(world):
    with world.opened_ledger() as ledger:
        assert ledger.verify().ok
        told = {e.model for e in ledger.entries(kind="told")}
    assert {"fails", "mended", "killed"} <= told
