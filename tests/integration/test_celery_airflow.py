"""The demo's way through CeleryExecutor, with the processes and settings of docker-compose.yaml.

One small model is retrained while a worker is killed, released, scored and watched; its alarm asks for a
retrain, which is served, and a mail says so. Snapshots lie on S3, the ledger in PostgreSQL, models in
MLflow behind its server.
"""

from __future__ import annotations

import base64
import json
import sqlite3
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import boto3
import kombu
import psutil
import psycopg
import pytest
from mlflow import MlflowClient
from sqlalchemy import make_url

from tests.integration.airflow_world import NOW, lay_out, model_text
from tests.integration.compose_world import WORKERS, ComposeWorld, compose_world
from tests.integration.postgres import find_binary
from tests.integration.redis import redis_program

pytestmark = [pytest.mark.real_airflow, pytest.mark.needs_postgres, pytest.mark.timeout(900)]

MODEL, DAG = "watched", "watched__retrain"
SHIFTED_SINCE = NOW - timedelta(days=10)
WATCHED = """\
retries: {attempts: 2, delay: 0 minutes}
score: {schedule: null, window: 7 days}
monitor:
  schedule: null
  window: 7 days
  retrain: {after: 1 of 1}
  report: false
"""


def shift_warehouse(path: Path) -> None:
    """Let the wind of the arrivals be another one since ten days."""
    with sqlite3.connect(path) as database:
        database.execute(
            "UPDATE arrivals SET wind = wind + 3 WHERE at >= ?", (f"{SHIFTED_SINCE:%F %T}",)
        )
    database.close()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, s3_endpoint: str) -> Iterator[ComposeWorld]:
    if find_binary("postgres") is None:
        pytest.skip("PostgreSQL is not installed (apt-get install postgresql)")
    redis_program()
    root = tmp_path_factory.mktemp("celery")
    models = lay_out(root)
    shift_warehouse(root / "warehouse.db")
    (models / f"{MODEL}.yaml").write_text(model_text(MODEL, more=WATCHED))
    warehouse = {"conn_type": "sqlite", "host": str(root / "warehouse.db")}
    with compose_world(root, s3_endpoint, {"warehouse": warehouse}) as running, running.api:
        running.api.wait_for_dags([DAG, f"{MODEL}__score", f"{MODEL}__monitor"])
        yield running
    assert running.airflow.processes() == []


@pytest.fixture(scope="module")
def retrained(world: ComposeWorld) -> str:
    """Retrain as of a month ago; the worker that trains is killed while it does."""
    for kind in ("retrain", "score", "monitor"):
        world.api.unpause(f"{MODEL}__{kind}")
    run_id = world.api.trigger(DAG, as_of=(NOW - timedelta(days=30)).isoformat())
    name = world.until("a worker trains", lambda: world.worker_of(DAG, run_id, "train"))
    assert world.kill(name) > 1
    return run_id


@pytest.fixture(scope="module")
def watched(world: ComposeWorld, retrained: str) -> str:
    """Score and watch the champion on rows that have shifted, and return the check's run."""
    assert world.finished(DAG, retrained) == "success"
    scored = world.api.trigger(f"{MODEL}__score", as_of=NOW.isoformat())
    assert world.finished(f"{MODEL}__score", scored) == "success"
    return world.api.trigger(f"{MODEL}__monitor", as_of=NOW.isoformat())


def test_a_task_whose_worker_is_killed_is_tried_again_by_another_and_the_run_releases(world, retrained):
    assert world.finished(DAG, retrained) == "success"
    assert world.api.tries(DAG, retrained, "train") == 2
    entries = world.entries(f"{MODEL}/{retrained}")
    assert entries["run_finished"]["outcome"] == "promoted"
    assert len(world.ledger(model=MODEL, kind="candidate")) == 1
    assert len(world.ledger(model=MODEL, kind="release")) == 1


def test_an_alarm_asks_for_a_retrain_which_another_run_serves(world, watched):
    assert world.finished(f"{MODEL}__monitor", watched) == "success"
    assert world.entries(f"{MODEL}/monitor/{watched}")["verdict"]["answer"] == "alarm"
    world.until("the request is served", lambda: world.ledger(model=MODEL, kind="request_closed"))
    world.until("the retrain ends", lambda: world.api.at_rest(DAG))
    (closed,) = world.ledger(model=MODEL, kind="request_closed")
    assert closed.body["outcome"] in {"promoted", "kept"}
    (asked,) = world.ledger(model=MODEL, kind="retrain_requested")
    run_id = world.api.run_of_type(DAG, "asset_triggered")
    assert asked.body["reason"] in world.entries(f"{MODEL}/{run_id}")["run_started"]["reason"]


def test_a_mail_says_that_there_is_an_alarm(world, watched):
    def found():
        return [mail for mail in world.mail.mails if "alarm" in str(mail).lower()]

    (mail, *_) = world.until("a mail about the alarm", found)
    assert mail["To"] == "ml-oncall@example.com"
    assert MODEL in mail["Subject"]


def test_snapshots_predictions_and_models_lie_on_the_store_and_versions_in_the_registry(world, watched):
    world.finished(f"{MODEL}__monitor", watched)
    client = boto3.client(
        "s3",
        endpoint_url=world.store,
        region_name="us-east-1",
        aws_access_key_id="reader",
        aws_secret_access_key="not-a-secret",
    )

    def keys(bucket: str) -> list[str]:
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket)
        return [found["Key"] for page in pages for found in page.get("Contents", ())]

    kept = keys("evergreen")
    for folder in ("snapshots", "predictions", "watch"):
        assert any(key.startswith(f"store/{folder}/") for key in kept), kept
    assert any(key.endswith("model.skops") for key in keys("mlflow"))
    assert not (world.home / "store").exists()
    tracking = world.deployment.here("http://mlflow:5000", "worker1")
    version = MlflowClient(tracking, registry_uri=tracking).get_model_version_by_alias(MODEL, "champion")
    champion = world.ledger(model=MODEL, kind="release")[-1].body["candidate"]["key"]
    assert version.tags["evergreen.candidate_key"] == champion


def test_no_database_lets_in_the_user_of_another(world):
    for user, database in (("ledger", "airflow"), ("airflow", "ledger"), ("mlflow", "ledger")):
        url = make_url(world.url_of(user)).set(drivername="postgresql", database=database)
        with pytest.raises(psycopg.OperationalError, match="permission denied"):
            psycopg.connect(url.render_as_string(hide_password=False))


def test_a_worker_has_no_way_to_the_metadata_database_nor_to_the_keys_of_airflow(world):
    worker = world.services["worker"]
    held = {*worker.secrets}
    assert held == {"celery_pgpass", "ledger_pgpass", "broker_url", "api_secret_key"}
    assert not any("SQL_ALCHEMY_CONN" in name for name in worker.environment)


def test_no_secret_stands_in_an_environment_a_command_line_or_a_log(world, watched):
    world.finished(f"{MODEL}__monitor", watched)
    canaries = secret_values(world.deployment.secrets)
    assert len(canaries) >= 12
    seen = {}
    for process in world.airflow.processes():
        with suppress(psutil.Error):
            seen[str(process)] = json.dumps([process.cmdline(), process.environ()])
    for path in world.deployment.logs():
        seen[str(path)] = path.read_text(errors="replace")
    assert len(seen) > 20
    for where, text in seen.items():
        assert not [name for name, value in canaries.items() if value in text], where


def secret_values(folder: Path) -> dict[str, str]:
    """Return each secret by its file, without what stands around it."""
    values = {path.name: path.read_text().strip() for path in folder.iterdir()}
    connections = json.loads(values.pop("connections.json"))
    passwords = json.loads(values.pop("airflow_passwords.json"))
    values.pop("postgres_password")  # the stand-in's
    values.pop("store_root")  # the same as those of the connection
    values.pop("store_credentials")
    values["broker_url"] = values["broker_url"].removeprefix("redis://:").partition("@")[0]
    values["redis.conf"] = values["redis.conf"].removeprefix("requirepass ")
    return (
        {name: value.rpartition(":")[2] for name, value in values.items()}
        | {f"login {user}": password for user, password in passwords.items()}
        | {
            f"connection {name}": one["password"]
            for name, one in connections.items()
            if "password" in one
        }
    )


def test_the_broker_answers_nobody_without_its_password(world):
    url = (world.deployment.folder / "scheduler" / "secrets" / "broker_url").read_text()
    with kombu.Connection(url) as connection:
        connection.ensure_connection(max_retries=1)
    host = url.rpartition("@")[2]
    with (
        kombu.Connection(f"redis://{host}") as stranger,
        pytest.raises(kombu.exceptions.OperationalError, match="Authentication required"),
    ):
        stranger.ensure_connection(max_retries=1)


def test_a_message_that_redis_delivers_again_runs_nothing_twice(world, watched):
    """The killed worker never acknowledged its task: after the visibility timeout Redis hands it out."""
    world.until("all is at rest", lambda: world.api.at_rest(DAG))
    before = [entry.seq for entry in world.ledger(model=MODEL)]
    log = world.deployment.folder / f"{left(world)}.log"
    url = (world.deployment.folder / "scheduler" / "secrets" / "broker_url").read_text()
    with kombu.Connection(url) as connection:
        client = connection.default_channel.client
        task, tag = world.until("one message has no worker", lambda: orphan(client, log))
        message, _, queue = json.loads(client.hget("unacked", tag))
        client.lpush(queue, json.dumps(message))
        client.hdel("unacked", tag)
        client.zrem("unacked_index", tag)
        world.until("it is taken", lambda: f"Task execute_workload[{task}] received" in log.read_text())
        world.until("it is answered", lambda: task not in unacknowledged(client))
    runs = world.api.run_ids(DAG)
    assert all(world.api.run(DAG, run_id)["state"] == "success" for run_id in runs)
    assert [entry.seq for entry in world.ledger(model=MODEL)] == before


def unacknowledged(client) -> dict[str, bytes]:
    """Return the tags of the model's messages that workers took and did not answer, by task."""
    found = ((json.loads(text)[0], tag) for tag, text in client.hgetall("unacked").items())
    return {
        message["headers"]["id"]: tag
        for message, tag in found
        if DAG in base64.b64decode(message["body"]).decode()
    }


def orphan(client, log: Path) -> tuple[str, bytes] | None:
    """Return task and tag of a message that the living worker, whose log this is, never took."""
    waiting, taken = unacknowledged(client), log.read_text()
    return next(((task, tag) for task, tag in waiting.items() if task not in taken), None)


def left(world: ComposeWorld) -> str:
    """Return the worker that was not killed."""
    (name,) = (name for name in WORKERS if name in world.deployment.processes)
    return name


def test_the_worker_that_is_left_still_says_that_it_is_healthy(world, watched):
    world.deployment.wait_until_healthy(world.services["worker"], left(world))
