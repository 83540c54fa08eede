"""A real Airflow of one's own, with a small model's text and rows: for tests and for measurements.

The data ends now, so that a run of the schedule finds rows.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import psutil
import pytest

from evergreen.demo.airflow_api import FINISHED, AirflowApi
from evergreen.demo.airflow_home import RunningAirflow, start_airflow
from evergreen.ledger import open_ledger
from evergreen.ledger.store import SqlLedger
from tests.waiting import wait_until

ROOT = Path(__file__).parents[2]
PATIENCE_SECONDS = 420
NOW = datetime.now(UTC)
THIS_MONTH = NOW.replace(day=1, hour=0, minute=0, second=0, microsecond=0)

MODEL = """\
schema_version: 1
name: {name}
description: Is it late?
owner: ops@example.com
schedule: {schedule}
start: 2020-01-01
data:
  source:
    type: sql
    connection: warehouse
    query: SELECT * FROM arrivals WHERE at >= :start AND at < :end
  time_column: at
  key: id
  label: {{column: late, delay: 1 day}}
  train_window: 2 months
  test_window: 1 month
  min_rows: 100
train:
  estimator: sklearn.linear_model.LogisticRegression
  refit: {refit}
gate:
  metric: log_loss
  margin: {margin}
  slices: [origin]
{more}"""


def model_text(
    name: str, schedule: str = "null", margin: float = 0.01, more: str = "", refit: str = "false"
) -> str:
    return MODEL.format(name=name, schedule=schedule, margin=margin, more=more, refit=refit)


def write_warehouse(path: Path) -> None:
    """Write 20 arrivals a day of the last 200 days; `late` follows from `wind`."""
    random = np.random.default_rng(7)
    rows = 200 * 20
    begin = NOW - timedelta(days=200)
    wind = random.normal(size=rows)
    late = random.random(rows) < 1 / (1 + np.exp(-2 * wind))
    with sqlite3.connect(path) as database:
        database.execute(
            "CREATE TABLE arrivals (id INTEGER, at TEXT, wind REAL, origin TEXT, late INTEGER)"
        )
        database.executemany(
            "INSERT INTO arrivals VALUES (?, ?, ?, ?, ?)",
            (
                (
                    number,
                    (begin + timedelta(minutes=72 * number)).strftime("%Y-%m-%d %H:%M:%S"),
                    float(wind[number]),
                    ("EWR", "JFK", "LGA")[number % 3],
                    int(late[number]),
                )
                for number in range(rows)
            ),
        )
    database.close()


class Api(AirflowApi):
    """What these tests ask beyond the demo."""

    def trigger(self, dag_id: str, **conf: Any) -> str:
        body = {"logical_date": None, "conf": conf}
        run = self._send("POST", f"/api/v2/dags/{dag_id}/dagRuns", json=body)
        return str(run["dag_run_id"])

    def emit(self, uri: str, **extra: Any) -> None:
        assets = self._send("GET", "/api/v2/assets", params={"uri_pattern": uri})["assets"]
        self._send("POST", "/api/v2/assets/events", json={"asset_id": assets[0]["id"], "extra": extra})

    def run_note(self, dag_id: str, run_id: str) -> str:
        return str(self._send("GET", f"/api/v2/dags/{dag_id}/dagRuns/{run_id}")["note"])

    def details(self, dag_id: str) -> dict[str, Any]:
        found: dict[str, Any] = self._send("GET", f"/api/v2/dags/{dag_id}/details")
        return found

    def run(self, dag_id: str, run_id: str) -> dict[str, Any]:
        found: dict[str, Any] = self._send("GET", f"/api/v2/dags/{dag_id}/dagRuns/{run_id}")
        return found

    def run_of_type(self, dag_id: str, run_type: str) -> str | None:
        runs = self._send("GET", f"/api/v2/dags/{dag_id}/dagRuns", params={"limit": 50})["dag_runs"]
        return next((run["dag_run_id"] for run in runs if run["run_type"] == run_type), None)

    def states(self, dag_id: str, run_id: str) -> dict[str, str | None]:
        path = f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances"
        return {task["task_id"]: task["state"] for task in self._send("GET", path)["task_instances"]}

    def tries(self, dag_id: str, run_id: str, task_id: str) -> int:
        path = f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}"
        return int(self._send("GET", path)["try_number"])

    def told(self, dag_id: str, run_id: str, task_id: str) -> str:
        """Return the log of a task's last try."""
        base = f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}"
        number = self.tries(dag_id, run_id, task_id)
        return str(self._send("GET", f"{base}/logs/{number}", params={"full_content": True}))


AnyApi = TypeVar("AnyApi", bound=AirflowApi)


def lay_out(root: Path, *loaders: str) -> Path:
    """Make the folders of an Airflow, with Evergreen's loaders and the warehouse; return its models'."""
    models = root / "dags" / "models"
    models.mkdir(parents=True)
    for name in loaders or ("evergreen_models.py",):
        shutil.copy(ROOT / "dags" / name, root / "dags")
    write_warehouse(root / "warehouse.db")
    return models


def environment(root: Path) -> dict[str, str]:
    """Return what tells Evergreen of what lies in `root`."""
    return {
        "EVERGREEN_HOME": str(root / "evergreen"),
        "AIRFLOW_CONN_WAREHOUSE": f"sqlite:///{root / 'warehouse.db'}",
    }


@contextmanager
def running(
    root: Path,
    api: type[AnyApi],
    dags: Collection[str],
    *,
    port: int,
    more: Mapping[str, str] | None = None,
) -> Iterator[tuple[RunningAirflow, AnyApi]]:
    """Run an Airflow on what was laid out in `root`; leave none of its processes.

    Args:
        root: The folder; the DAGs lie in `root / "dags"`.
        api: What is to ask it.
        dags: Waited for before anything is asked.
        port: Wanted; where it is taken, another is used.
        more: Added to the environment of every process.
    """
    airflow = start_airflow(
        root / "airflow", root / "dags", port=port, extra_env=environment(root) | dict(more or {})
    )
    try:
        with api(airflow) as asking:
            asking.wait_for_dags(dags)
            yield airflow, asking
    finally:
        airflow.stop()
    assert airflow.processes() == []


@dataclass
class World:
    """A running Airflow, its models and its ledger."""

    airflow: RunningAirflow
    api: Api
    models: Path
    home: Path

    def until(self, what: str, found: Callable[[], Any]) -> Any:
        """Wait until something is found, and return it."""

        def looked_for() -> Any:
            self.airflow.check()
            return found()

        return wait_until(looked_for, PATIENCE_SECONDS) or pytest.fail(
            f"{what}: not within {PATIENCE_SECONDS} s; imports: {self.api.import_errors()}"
        )

    def finished(self, dag_id: str, run_id: str) -> str:
        """Wait for a run's end and return its state."""

        def state() -> str | None:
            found = self.api.run(dag_id, run_id)["state"]
            return found if found in FINISHED else None

        return str(self.until(f"{dag_id} {run_id} ends", state))

    @contextmanager
    def opened_ledger(self) -> Iterator[SqlLedger]:
        """Open the ledger for a moment."""
        ledger = open_ledger(f"sqlite:///{self.home / 'ledger.db'}", 600)
        try:
            yield ledger
        finally:
            ledger.close()

    def entries(self, run_key: str) -> dict[str, Any]:
        """Return the newest body of each kind that a run left in the ledger."""
        with self.opened_ledger() as ledger:
            return {
                entry.kind: entry.body
                for entry in ledger.entries(model=run_key.partition("/")[0])
                if entry.key.partition("/")[2].startswith(run_key)
            }

    def kill_try(self, try_id: str) -> bool:
        """Kill the process of a task's try as the kernel would, and leave its supervisor alone.

        Returns whether there was one; it may not have begun, or may have ended.
        """
        for process in self.airflow.processes():
            with suppress(psutil.Error, IndexError):
                if process.cmdline()[0] == f"airflow worker -- {try_id}":
                    process.kill()
                    return True
        return False
