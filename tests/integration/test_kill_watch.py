"""The tasks of scoring and checks are killed at each failpoint and retried: nothing lost or doubled."""

from __future__ import annotations

import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from evergreen.failpoints import EXIT_CODE
from evergreen.ledger import open_ledger
from evergreen.steps import STEPS
from evergreen.watch_questions import past_requests

ROOT = Path(__file__).parents[2]
NAME = "arrivals"
APRIL = datetime(2013, 4, 1, tzinfo=UTC)
AFTER_A_WEEK = APRIL + timedelta(days=7)
TASKS = {"score": "score", "profile": "monitor", "measure": "monitor"} | {
    "judge": "monitor",
    "request": "monitor",
}
"""Each task and its DAG, in their order."""

MODEL = """\
schema_version: 1
name: arrivals
description: Is it late?
owner: ops@example.com
schedule: "@monthly"
start: 2013-01-01
data:
  source:
    type: sql
    connection: kill_warehouse
    query: SELECT * FROM rows WHERE at >= :start AND at < :end
  time_column: at
  key: id
  label: {column: late, delay: 1 day}
  train_window: 2 months
  test_window: 1 month
  min_rows: 100
train: {estimator: sklearn.linear_model.LogisticRegression}
gate: {metric: log_loss, margin: 0.01, leaks: {allow: [x]}}
score: {schedule: "@weekly", window: 7 days}
monitor:
  schedule: "@weekly"
  window: 7 days
  min_rows: 50
  retrain: {after: 1 of 1}
"""


def fill_warehouse(path: Path) -> None:
    """Write 20 rows a day from January on; from April on x lies elsewhere."""
    rng = np.random.default_rng(0)
    start = datetime(2013, 1, 1, tzinfo=UTC)
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE rows (id INTEGER, at TEXT, x REAL, c TEXT, late INTEGER)")
        for number in range(2200):
            at = start + timedelta(minutes=72 * number)
            x = float(rng.normal()) + (3.0 if at >= APRIL else 0.0)
            late = int(rng.uniform() < 1 / (1 + np.exp(-2 * x)))
            row = (number, f"{at:%Y-%m-%d %H:%M:%S}", x, str(rng.choice(["a", "b"])), late)
            database.execute("INSERT INTO rows VALUES (?, ?, ?, ?, ?)", row)
    database.close()


def failpoints() -> dict[str, list[str]]:
    """The failpoints of the code by the task that reaches them; the ledger's are reached by all."""
    found: set[str] = set()
    for path in (ROOT / "include" / "evergreen").rglob("*.py"):
        found |= set(re.findall(r'failpoint\("([a-z_.]+)"\)', path.read_text(encoding="utf-8")))
    everywhere = ["ledger.before_commit", "ledger.after_commit"]
    by_task = {task: [p for p in sorted(found) if p.startswith(f"{task}.")] for task in TASKS}
    by_task["request"].append("requests.asked")
    return {task: [*points, *everywhere] for task, points in by_task.items()}


def rounds() -> list[dict[str, str]]:
    """Whole weeks, in the k-th of which each task is killed at its k-th failpoint, if it has so many."""
    by_task = failpoints()
    longest = max(map(len, by_task.values()))
    return [
        {task: points[k] for task, points in by_task.items() if k < len(points)} for k in range(longest)
    ]


class Tasks:
    """Runs one task a process, in whatever home a test names; `champion` is a home with a champion."""

    def __init__(self, folder: Path, process: subprocess.Popen[str]) -> None:
        self.folder = folder
        self.champion = folder / "champion"
        self._process = process

    def run(
        self, home: Path, task: str, dag: str, end: datetime, fail: str | None = None, tries: int = 1
    ) -> int:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        order = {"home": str(home), "task": task, "dag": dag, "end": end.isoformat()}
        order |= {"fail": fail, "try_number": tries}
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return int(json.loads(self._process.stdout.readline())["code"])

    def log(self) -> str:
        return (self.folder / "log").read_text(encoding="utf-8")[-3000:]

    def home(self, name: str) -> Path:
        """Return a new home that has a champion."""
        home = self.folder / name
        shutil.copytree(self.champion, home)
        # MLflow keeps where artifacts lie as absolute paths, so all homes read those of the first.
        return home

    def week(self, home: Path, killed_at: dict[str, str]) -> None:
        for task, dag in TASKS.items():
            if task in killed_at:
                code = self.run(home, task, dag, AFTER_A_WEEK, fail=killed_at[task])
                assert code == EXIT_CODE, f"{task} at {killed_at[task]}: {code}; {self.log()}"
            assert self.run(home, task, dag, AFTER_A_WEEK, tries=2) == 0, self.log()


@pytest.fixture(scope="module")
def tasks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tasks]:
    folder = tmp_path_factory.mktemp("kill_watch")
    model_file = folder / f"{NAME}.yaml"
    model_file.write_text(MODEL, encoding="utf-8")
    fill_warehouse(folder / "warehouse.db")
    connection = {"conn_type": "sqlite", "host": str(folder / "warehouse.db")}
    environment = {
        **os.environ,
        "AIRFLOW_HOME": str(folder / "airflow"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW_CONN_KILL_WAREHOUSE": json.dumps(connection),
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "OMP_NUM_THREADS": "1",
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.integration.task_processes", model_file, folder / "log"],
        cwd=ROOT,
        env=environment,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with process:
        assert process.stdout is not None
        assert "ready" in process.stdout.readline()
        made = Tasks(folder, process)
        for step in (step for step in STEPS if step not in {"refit", "approve"}):
            assert made.run(made.champion, step, "retrain", APRIL) == 0, made.log()
        yield made


@pytest.fixture(scope="module")
def undisturbed(tasks: Tasks) -> dict:
    """What a week without a kill comes to."""
    home = tasks.home("undisturbed")
    tasks.week(home, {})
    return state_of(home)


def state_of(home: Path) -> dict:
    """What a week left in the ledger and in the prediction log."""
    ledger = open_ledger(f"sqlite:///{home / 'ledger.db'}", 600)
    try:
        audit, entries = ledger.verify(), list(ledger.entries(model=NAME))
        requests = past_requests(ledger, NAME)
    finally:
        ledger.close()
    watched = [entry for entry in entries if "/score/" in entry.key or "/monitor/" in entry.key]
    bodies = {entry.kind: json.loads(json.dumps(entry.body).replace(str(home), "")) for entry in watched}
    # Evidently's page holds random ids, and so another digest each time.
    bodies.pop("alarm_reported")
    log = home / "store" / "predictions" / NAME
    rows = [pq.read_table(path).to_pylist() for path in sorted(log.rglob("*.parquet"))]
    return {
        "chain": audit.ok,
        "kinds": Counter(entry.kind for entry in watched),
        "bodies": bodies,
        "requests": [(past.request.key, past.request.as_of, past.outcome) for past in requests],
        "rows": sorted(json.dumps(row, default=str, sort_keys=True) for day in rows for row in day),
    }


def test_an_undisturbed_week_is_scored_alarms_and_asks_once(undisturbed: dict):
    assert undisturbed["chain"]
    assert set(undisturbed["kinds"].values()) == {1}
    assert undisturbed["bodies"]["verdict"]["answer"] == "alarm"
    assert undisturbed["requests"] == [
        (f"{NAME}/monitor/scheduled__{AFTER_A_WEEK:%Y-%m-%d}", AFTER_A_WEEK, None)
    ]
    assert len(undisturbed["rows"]) == 7 * 20


@pytest.mark.parametrize("killed_at", rounds(), ids=lambda points: f"{len(points)}-tasks-killed")
def test_tasks_killed_and_retried_end_as_if_they_had_never_been_killed(
    tasks: Tasks, undisturbed: dict, killed_at: dict[str, str], request: pytest.FixtureRequest
):
    home = tasks.home(request.node.name)
    tasks.week(home, killed_at)
    found = state_of(home)
    for kind, body in undisturbed["bodies"].items():
        assert found["bodies"][kind] == body
    assert found == undisturbed


def test_every_task_has_a_place_of_its_own_to_be_killed_at():
    assert all(len(points) > 2 for points in failpoints().values())
