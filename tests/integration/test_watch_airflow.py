"""The queue of retrain requests on a real Airflow: events get lost or doubled, schedulers race.

One Airflow on PostgreSQL, for two schedulers on one database are wanted. Where a test is about the queue
alone, its model's table is empty: the retrain that serves a request ends at its second step, and fails.
"""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from evergreen.demo.airflow_api import FINISHED
from evergreen.retraining import PastRequest
from evergreen.steps import requests
from evergreen.watch_questions import past_requests
from evergreen.watch_results import RetrainRequest
from tests.integration.airflow_world import (
    NOW,
    PATIENCE_SECONDS,
    THIS_MONTH,
    Api,
    World,
    environment,
    lay_out,
    model_text,
    running,
)
from tests.integration.postgres import find_binary, start_postgres

pytestmark = [pytest.mark.real_airflow, pytest.mark.needs_postgres, pytest.mark.timeout(900)]

QUEUES = ("doubled", "dropped", "lost", "paused", "raced_a", "raced_b")
"""Models whose table is empty."""
SHIFTED_SINCE = NOW - timedelta(days=10)
MONITORED = """\
retries: {attempts: 2, delay: 0 minutes}
monitor:
  schedule: null
  window: 7 days
  retrain: {after: 1 of 1}
  report: false
  source:
    source:
      type: sql
      connection: warehouse
      query: SELECT id, at, wind, origin, 0.5 AS p FROM arrivals WHERE at >= :start AND at < :end
    prediction: p
"""
"""The team logs predictions itself, and one alarm is enough."""
RECONCILE = """\
# a dag of airflow
from datetime import timedelta
from pathlib import Path

from evergreen_airflow.reconcile_dag import load_reconcile

load_reconcile([Path(__file__).parent / "models"], globals(), None, wake_after=timedelta(0))
"""
"""It runs when a test asks for it, and gives no event time to come by itself."""


class WatchApi(Api):
    """What these tests ask beyond the others."""

    def run_ids(self, dag_id: str) -> list[str]:
        path = f"/api/v2/dags/{dag_id}/dagRuns"
        found = self._send("GET", path, params={"limit": 50, "order_by": "id"})["dag_runs"]
        return [run["dag_run_id"] for run in found]

    def at_rest(self, dag_id: str) -> bool:
        """Return whether no run is under way and no event waits for one."""
        queued = f"/api/v2/dags/{dag_id}/assets/queuedEvents"
        waiting = self._send("GET", queued, fine=(404,)).get("total_entries", 0)
        runs = self._send("GET", f"/api/v2/dags/{dag_id}/dagRuns", params={"limit": 50})["dag_runs"]
        return not waiting and all(run["state"] in FINISHED for run in runs)

    def running_task(self, dag_id: str, run_id: str) -> str:
        """Return the id of the try that is under way, by which its supervisor's process is called."""
        path = f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances"
        (task,) = self._send("GET", path, params={"state": "running"})["task_instances"]
        return str(task["id"])

    def schedulers(self) -> int:
        jobs = self._send("GET", "/api/v2/jobs", params={"job_type": "SchedulerJob", "is_alive": True})
        return int(jobs["total_entries"])


@dataclass
class WatchWorld(World):
    """A running Airflow with its queue of requests.

    `champion` is the command that makes the first version of `watched`.
    """

    api: WatchApi
    champion: subprocess.Popen[bytes]

    def ask(self, model: str) -> str:
        """Put a request into the queue, as a check does, and return its key; nobody is woken."""
        request = RetrainRequest(f"{model}/monitor/check", THIS_MONTH, "wind drifted", "watch")
        with self.opened_ledger() as ledger:
            lease = ledger.acquire(model, request.key, "monitor")
            requests.ask(SimpleNamespace(ledger=ledger), request, lease)
            ledger.free(lease)
        return request.key

    def wake(self, model: str, key: str) -> None:
        """Emit the event of a request."""
        self.api.emit(f"evergreen://{model}/retrain-request", request=key, reason="wind drifted")

    def requests(self, model: str) -> list[PastRequest]:
        with self.opened_ledger() as ledger:
            return past_requests(ledger, model)

    def count(self, model: str, kind: str) -> int:
        with self.opened_ledger() as ledger:
            return len(list(ledger.entries(model=model, kind=kind)))

    def kill_task(self, dag_id: str, run_id: str) -> None:
        """Kill the process of the run's task."""
        task = self.api.running_task(dag_id, run_id)
        assert self.kill_try(task), f"there is no process of task {task}"

    def runs_until(self, dag_id: str, number: int) -> list[str]:
        """Wait for so many runs and return their ids, the oldest first."""
        return self.until(
            f"{number} runs of {dag_id}",
            lambda: ids if len(ids := self.api.run_ids(dag_id)) >= number else None,
        )

    def served_once(self, model: str, outcome: str = "failed") -> str:
        """Wait for the end of all runs, and return the one that served the model's only request."""
        dag_id = f"{model}__retrain"
        self.until(f"the runs of {dag_id} end", lambda: self.api.at_rest(dag_id))
        (past,) = self.requests(model)
        assert past.outcome == outcome
        assert self.count(model, "request_taken") == self.count(model, "request_closed") == 1
        assert self.count(model, "run_started") == 1
        assert past.taken_by is not None
        served_by = past.taken_by.removeprefix(f"{model}/")
        for run_id in self.api.run_ids(dag_id):
            if run_id != served_by:
                self.skipped(model, run_id, past.taken_by)
        return served_by

    def skipped(self, model: str, run_id: str, served_by: str) -> None:
        """Hold that a run was skipped, was no failure, and says who served what it was woken for."""
        dag_id = f"{model}__retrain"
        assert self.api.run(dag_id, run_id)["state"] == "success"
        states = self.api.states(dag_id, run_id)
        assert states.pop("report") == "success"
        assert set(states.values()) == {"skipped"}
        told = self.entries(f"{model}/{run_id}")["run_finished"]
        assert told["outcome"] == "skipped"
        assert f"served already by run {served_by}" in told["summary"] or "no retrain" in told["summary"]


def make_champion(models: Path, env: dict[str, str]) -> subprocess.Popen[bytes]:
    """Begin to retrain `watched` as of a month ago, beside Airflow, which takes its time to start."""
    as_of = NOW - timedelta(days=30)
    command = ["evergreen.cli.main", "run", "watched", "--as-of", f"{as_of:%F}", "--models", str(models)]
    return subprocess.Popen([sys.executable, "-m", *command], env=os.environ | env)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WatchWorld]:
    if find_binary("postgres") is None:
        pytest.skip("PostgreSQL is not installed (apt-get install postgresql)")
    root = tmp_path_factory.mktemp("watch")
    models = lay_out(root)
    (root / "dags" / "evergreen_reconcile.py").write_text(RECONCILE)
    with sqlite3.connect(root / "warehouse.db") as database:
        database.execute("CREATE TABLE no_rows AS SELECT * FROM arrivals WHERE id < 0")
        database.execute("CREATE TABLE moved AS SELECT * FROM arrivals")
        database.execute("UPDATE moved SET wind = wind + 3 WHERE at >= ?", (f"{SHIFTED_SINCE:%F %T}",))
    database.close()
    for name in (*QUEUES, "watched"):
        table = "moved" if name == "watched" else "no_rows"
        text = model_text(name, more=MONITORED).replace("FROM arrivals", f"FROM {table}")
        (models / f"{name}.yaml").write_text(text)
    dags = [f"{name}__retrain" for name in (*QUEUES, "watched")]
    with start_postgres() as server, make_champion(models, environment(root)) as champion:
        url = server.url.render_as_string(hide_password=False)
        database = {
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": url,
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC": url,
        }
        with running(root, WatchApi, [*dags, "evergreen__reconcile"], port=18090, more=database) as (
            airflow,
            api,
        ):
            yield WatchWorld(airflow, api, models, root / "evergreen", champion)


def test_a_doubled_event_gives_one_retrain_and_the_other_run_is_skipped(world):
    world.api.unpause("doubled__retrain")
    key = world.ask("doubled")
    world.wake("doubled", key)
    (first,) = world.runs_until("doubled__retrain", 1)
    world.wake("doubled", key)
    world.runs_until("doubled__retrain", 2)
    assert world.served_once("doubled") == first
    begun = world.entries(f"doubled/{first}")["run_started"]
    assert begun["reason"] == "request of the watch: wind drifted"
    assert begun["windows"]["as_of"] == f"{THIS_MONTH:%Y-%m-%dT%H:%M:%SZ}"


def test_a_request_waits_while_its_dag_is_paused_and_is_served_at_the_next_wake_up(world):
    key = world.ask("paused")
    world.wake("paused", key)
    world.api.unpause("paused__retrain")
    before = world.api.run_ids("paused__retrain")
    world.wake("paused", key)
    world.runs_until("paused__retrain", len(before) + 1)
    world.served_once("paused")


def test_a_request_whose_event_was_lost_is_served_after_the_next_check(world):
    key = world.ask("lost")
    for kind in ("monitor", "retrain"):
        world.api.unpause(f"lost__{kind}")
    check = world.api.trigger("lost__monitor", as_of=NOW.isoformat())
    assert world.finished("lost__monitor", check) == "success"
    assert world.entries(f"lost/monitor/{check}")["retrain_decided"]["request"] is None
    world.runs_until("lost__retrain", 1)
    served_by = world.served_once("lost")
    assert world.requests("lost")[0].request.key == key
    assert world.entries(f"lost/{served_by}")["run_started"]["reason"].endswith("wind drifted")


def test_a_request_whose_event_was_dropped_is_served_after_the_next_pass(world):
    key = world.ask("dropped")
    for dag_id in ("dropped__retrain", "evergreen__reconcile"):
        world.api.unpause(dag_id)
    run = world.api.trigger("evergreen__reconcile")
    assert world.finished("evergreen__reconcile", run) == "success"
    world.runs_until("dropped__retrain", 1)
    served_by = world.served_once("dropped")
    assert world.requests("dropped")[0].request.key == key
    begun = world.entries(f"dropped/{served_by}")["run_started"]
    assert begun["reason"] == "request of the watch: wind drifted"
    again = world.api.trigger("evergreen__reconcile")
    assert world.finished("evergreen__reconcile", again) == "success"
    assert world.count("dropped", "reconciled") == 1
    assert world.api.run_ids("dropped__retrain") == [served_by]


def test_a_check_that_is_killed_and_tried_again_asks_once_and_its_retrain_says_why(world):
    assert world.champion.wait(PATIENCE_SECONDS) == 0
    for kind in ("monitor", "retrain"):
        world.api.unpause(f"watched__{kind}")
    check = world.api.trigger("watched__monitor", as_of=NOW.isoformat())
    world.until("the check begins", lambda: world.count("watched", "check_started"))
    world.kill_task("watched__monitor", check)
    assert world.finished("watched__monitor", check) == "success"
    assert world.api.tries("watched__monitor", check, "profile") == 2
    verdict = world.entries(f"watched/monitor/{check}")["verdict"]
    assert verdict["answer"] == "alarm"
    world.runs_until("watched__retrain", 1)
    world.until("the retrain ends", lambda: world.api.at_rest("watched__retrain"))
    (past,) = world.requests("watched")
    assert past.request.key == f"watched/monitor/{check}"
    assert past.outcome in {"promoted", "kept"}
    assert world.count("watched", "retrain_requested") == 1
    begun = world.entries(past.taken_by)["run_started"]
    assert begun["windows"]["as_of"] == f"{NOW:%Y-%m-%dT%H:%M:%S.%fZ}"
    assert begun["reason"] == f"request of the watch: {past.request.reason}"
    assert past.request.reason.startswith("alarm of ")
    run_id = past.taken_by.removeprefix("watched/")
    assert begun["reason"] in world.api.told("watched__retrain", run_id, "report")


@pytest.fixture
def second_scheduler(world: WatchWorld) -> Iterator[None]:
    """Start another scheduler on the same database."""
    first = psutil.Process(world.airflow.pids["scheduler"])
    log = world.airflow.home / "logs" / "scheduler2.log"
    with (
        log.open("wb") as output,
        subprocess.Popen(
            [sys.executable, "-m", "airflow", "scheduler", "--skip-serve-logs"],
            env=first.environ(),
            cwd=world.airflow.home,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        ) as process,
    ):
        world.until("two schedulers are alive", lambda: world.api.schedulers() == 2)
        yield
        assert process.poll() is None, log.read_text(encoding="utf-8")[-3000:]
        process.kill()  # a polite request is lost where Python collects garbage as it comes


@pytest.mark.usefixtures("second_scheduler")
def test_two_schedulers_serve_each_request_once(world):
    keys = {model: world.ask(model) for model in ("raced_a", "raced_b")}
    for model in keys:
        world.api.unpause(f"{model}__retrain")
    for _ in range(2):
        for model, key in keys.items():
            world.wake(model, key)
    for model in keys:
        world.runs_until(f"{model}__retrain", 1)
        world.served_once(model)
