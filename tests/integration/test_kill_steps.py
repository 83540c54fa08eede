"""Each task's real operator is killed at each failpoint and retried: nothing is lost or done twice."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from evergreen.comparison import Comparison
from evergreen.failpoints import EXIT_CODE
from evergreen.ledger import open_ledger
from evergreen.results import Refit, Release, Snapshot, from_json
from evergreen.steps import STEPS
from evergreen.watch_questions import past_requests
from tests.integration.task_processes import WAITS

ROOT = Path(__file__).parents[2]
NAME = "arrivals"
RUN = f"{NAME}/scheduled__2013-04-01"
TASKS = ("ask", *STEPS)
"""A check of the watch asks for a retrain, and a run of the schedule serves it; a person agrees."""
APPROVER = "alice"

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
expectations: suite.yaml
train: {estimator: sklearn.linear_model.LogisticRegression, refit: true}
gate: {metric: log_loss, margin: 0.01, slices: [c], leaks: {allow: [x]}}
release: {approval: {approvers: [alice, bob]}}
"""
SUITE = """\
expectations:
  - type: expect_column_values_to_not_be_null
    kwargs: {column: late}
  - type: expect_column_values_to_be_between
    kwargs: {column: x, min_value: -2.5, max_value: 2.5}
    severity: warning
"""


REACHED_BY = {
    "ledger.before_migrated": "ask",
    "requests.asked": "ask",
    "requests.taken": "resolve_window",
    "tracking.migrated": "train",
    "requests.closed": "report",
}
"""What is made once, by the first task that needs it, and what the queue of requests is for."""


def failpoints() -> dict[str, list[str]]:
    """The failpoints of the code by the task that reaches them; the ledger's are reached by all.

    A refit is a second training: it reaches those of the trainer, too.
    """
    found: set[str] = set()
    for path in (ROOT / "include" / "evergreen").rglob("*.py"):
        found |= set(re.findall(r'failpoint\("([a-z_.]+)"\)', path.read_text(encoding="utf-8")))
    by_task: dict[str, list[str]] = {task: [] for task in TASKS}
    for name in sorted(found):
        area = name.partition(".")[0]
        if name in REACHED_BY:
            by_task[REACHED_BY[name]].append(name)
        elif area == "ledger":
            for points in by_task.values():
                points.append(name)
        elif area == "train" and name != "train.trained":
            by_task["train"].append(name)
            by_task["refit"].append(name)
        elif area in by_task:  # the others are of checks and of scoring
            by_task[area].append(name)
    return by_task


def rounds() -> list[dict[str, str]]:
    """Whole runs, in the k-th of which each task is killed at its k-th failpoint, if it has so many."""
    by_task = failpoints()
    longest = max(len(points) for points in by_task.values())
    return [
        {step: points[k] for step, points in by_task.items() if k < len(points)} for k in range(longest)
    ]


@dataclass
class Tasks:
    """Processes that run one task each, in whatever home a test names."""

    folder: Path
    process: subprocess.Popen[str]

    def run(
        self,
        home: Path,
        task: str,
        fail: str | None = None,
        try_number: int = 1,
        who: str | None = None,
    ) -> int:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        order = {"home": str(home), "task": task, "fail": fail, "try_number": try_number}
        if who is not None:
            order["who"] = who
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())["code"]

    def log(self) -> str:
        return (self.folder / "log").read_text(encoding="utf-8")[-3000:]


@pytest.fixture(scope="module")
def tasks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tasks]:
    folder = tmp_path_factory.mktemp("kill")
    (folder / f"{NAME}.yaml").write_text(MODEL, encoding="utf-8")
    (folder / "suite.yaml").write_text(SUITE, encoding="utf-8")
    fill_warehouse(folder / "warehouse.db")
    environment = {
        **os.environ,
        "AIRFLOW_HOME": str(folder / "airflow"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW_CONN_KILL_WAREHOUSE": json.dumps(
            {"conn_type": "sqlite", "host": str(folder / "warehouse.db")}
        ),
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "OMP_NUM_THREADS": "1",
    }
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "tests.integration.task_processes",
            str(folder / f"{NAME}.yaml"),
            str(folder / "log"),
        ],
        cwd=ROOT,
        env=environment,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with process:
        assert process.stdout is not None
        assert "ready" in process.stdout.readline()
        yield Tasks(folder, process)


@pytest.fixture(scope="module")
def undisturbed(tasks: Tasks) -> dict:
    """What a run without a kill comes to."""
    home = tasks.folder / "undisturbed"
    for step in TASKS:
        if step == "approve":
            assert tasks.run(home, step) == WAITS, tasks.log()
        assert tasks.run(home, step, who=approver(step)) == 0, tasks.log()
    return state_of(home)


def approver(step: str) -> str | None:
    return APPROVER if step == "approve" else None


def fill_warehouse(path: Path) -> None:
    rng = np.random.default_rng(0)
    start = datetime(2013, 1, 1, tzinfo=UTC)
    rows = []
    for number in range(1200):
        x = float(rng.normal())
        late = int(rng.uniform() < 1 / (1 + np.exp(-2 * x)))
        at = start + timedelta(minutes=108 * number)
        rows.append((number, f"{at:%Y-%m-%d %H:%M:%S}", x, str(rng.choice(["a", "b"])), late))
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE rows (id INTEGER, at TEXT, x REAL, c TEXT, late INTEGER)")
    connection.executemany("INSERT INTO rows VALUES (?, ?, ?, ?, ?)", rows)
    connection.commit()
    connection.close()


def state_of(home: Path) -> dict:
    """What a run left in the ledger and the world, without what names a try (ids, times, digests)."""
    import mlflow

    client = mlflow.MlflowClient(f"sqlite:///{home / 'mlflow.db'}")
    ledger = open_ledger(f"sqlite:///{home / 'ledger.db'}", 600)
    try:
        audit = ledger.verify()
        entries = list(ledger.entries())
        requests = past_requests(ledger, NAME)
    finally:
        ledger.close()
    bodies = {entry.kind: entry.body for entry in entries}
    comparison = from_json(Comparison, bodies["comparison"])
    release = from_json(Release, bodies["release"])
    experiment = client.get_experiment_by_name(NAME)
    finished = client.search_runs([experiment.experiment_id], "attributes.status = 'FINISHED'")
    versions = client.search_model_versions(f"name = '{NAME}'")
    pointer = json.loads((home / "releases" / f"{NAME}.json").read_text(encoding="utf-8"))
    snapshots = home / "store" / "snapshots" / NAME
    refit = from_json(Refit, bodies["refit"])
    assert release.candidate == refit.candidate
    assert release.candidate.run_id in {run.info.run_id for run in finished}
    assert pointer["model"]["digest"] == release.version.model.digest
    return {
        "chain": audit.ok,
        "kinds": [entry.kind for entry in entries if entry.kind != "told"],
        "told": sorted(entry.key for entry in entries if entry.kind == "told"),
        "snapshot": from_json(Snapshot, bodies["snapshot"]).digest,
        "snapshots": sorted(path.name for path in snapshots.glob("[0-9a-f]*")),
        "candidate": release.candidate.key,
        "tested": refit.tested,
        "losses": [
            comparison.promote,
            comparison.evidence.over_baseline.value,
            comparison.evidence.over_baseline.other,
        ],
        "mlflow runs": len(finished),
        "versions": [version.version for version in versions],
        "aliases": dict(client.get_registered_model(NAME).aliases),
        "serving": pointer["version"],
        "outcome": bodies["run_finished"]["outcome"],
        "approved by": bodies["approval_answered"]["who"],
        "requests": [(past.request.key, past.taken_by, past.outcome) for past in requests],
    }


def test_the_undisturbed_run_promotes_its_challenger(undisturbed: dict):
    assert undisturbed["outcome"] == "promoted"
    assert undisturbed["chain"]
    assert undisturbed["mlflow runs"] == 2  # the one that was tested and the refitted one
    assert len(undisturbed["snapshots"]) == 1
    assert undisturbed["serving"] == 1
    assert undisturbed["aliases"] == {"champion": 1}
    assert undisturbed["requests"] == [(f"{NAME}/monitor/1", RUN, "promoted")]


@pytest.mark.parametrize("killed_at", rounds(), ids=lambda points: f"{len(points)}-tasks-killed")
def test_tasks_killed_and_retried_end_as_if_they_had_never_been_killed(
    tasks: Tasks, undisturbed: dict, killed_at: dict[str, str], request: pytest.FixtureRequest
):
    home = tasks.folder / request.node.name
    for step in TASKS:
        if step == "approve" and killed_at.get(step) != "approve.answered":
            ask = killed_at.get(step)
            assert tasks.run(home, step, fail=ask) == (EXIT_CODE if ask else WAITS), tasks.log()
            assert tasks.run(home, step, try_number=2) == WAITS, tasks.log()
        elif step == "approve":
            assert tasks.run(home, step) == WAITS, tasks.log()
            killed = tasks.run(home, step, fail=killed_at[step], who=APPROVER)
            assert killed == EXIT_CODE, tasks.log()
            assert tasks.run(home, step, try_number=2) == 0, tasks.log()
            continue
        elif step in killed_at:
            assert tasks.run(home, step, fail=killed_at[step]) == EXIT_CODE, tasks.log()
        assert tasks.run(home, step, try_number=2, who=approver(step)) == 0, tasks.log()
    assert state_of(home) == undisturbed


def test_every_task_has_a_place_to_be_killed_at():
    assert all(failpoints().values())
