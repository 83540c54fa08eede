"""A retrain, a scoring and a check on object storage give what they give on a disk."""

from __future__ import annotations

import json
import random
import sqlite3
from contextlib import closing
from datetime import date, timedelta
from pathlib import Path

import pytest

from evergreen.cli.exit_codes import OK
from evergreen.cli.main import main
from evergreen.settings import Settings
from evergreen.wiring import open_ledger

MODEL = """\
schema_version: 1
name: churn
description: Will it?
owner: team@example.com
schedule: null
data:
  source:
    type: sql
    connection: warehouse
    query: SELECT * FROM events WHERE at >= :start AND at < :end
  time_column: at
  key: id
  label: {column: late}
  train_window: 2 months
  test_window: 1 month
  min_rows: 10
expectations: suite.yaml
train: {estimator: sklearn.linear_model.LogisticRegression}
gate: {metric: log_loss, margin: 0.01}
score: {schedule: "@daily", window: 7 days}
monitor: {schedule: "@daily", window: 7 days, false_alarms: 1 per quarter}
"""
SUITE = """\
expectations:
  - type: expect_column_values_to_be_between
    severity: warning
    why: higher ones are mistakes
    kwargs: {column: x, min_value: -2.0, max_value: 2.0}
"""
COMMANDS = (
    ("run", "churn", "--as-of", "2024-04-01"),
    ("score", "churn", "--as-of", "2024-04-08"),
    ("monitor", "churn", "--as-of", "2024-04-08"),
)
SAME = ("snapshot", "validation", "candidate", "comparison", "scored", "profiled", "observed", "verdict")
CHANGES = ("run_id", "model", "serving", "words")
"""What chance, the clock and the machine decide in any two runs: MLflow's ids, which stand in the
model's files, too, and how fast the model was there."""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "churn.yaml").write_text(MODEL)
    (tmp_path / "models" / "suite.yaml").write_text(SUITE)
    dice = random.Random(2024)
    with closing(sqlite3.connect(tmp_path / "warehouse.db")) as database, database:
        database.execute("CREATE TABLE events (id, at, x, late)")
        for number in range(1200):
            x, day = dice.gauss(0, 1), date(2024, 1, 1) + timedelta(days=number // 12)
            row = (number, f"{day} {number % 24:02}:00:00", x, int(dice.random() < 1 / (1 + 2**-x)))
            database.execute("INSERT INTO events VALUES (?, ?, ?, ?)", row)
    monkeypatch.setenv("EVERGREEN_MODELS", str(tmp_path / "models"))
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", f"sqlite:///{tmp_path}/warehouse.db")
    return tmp_path


def worked(home: Path, monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Do everything and return what the ledger remembers of it, without where it lies."""
    monkeypatch.setenv("EVERGREEN_HOME", str(home))
    for command in COMMANDS:
        assert main(command) == OK, command
    assert main(["audit"]) == OK
    settings = Settings.from_environment()
    with open_ledger(settings) as ledger:
        entries = ledger.entries(model="churn")
    bodies = [(entry.kind, entry.body) for entry in entries if entry.kind in SAME]
    assert {kind for kind, _ in bodies} == set(SAME)
    told = json.dumps(bodies, default=dict)
    return [_timeless(body) for body in json.loads(told.replace(settings.store_uri, "STORE"))]


def _timeless(value: object) -> object:
    if isinstance(value, dict):
        return {name: _timeless(inner) for name, inner in value.items() if name not in CHANGES}
    return [_timeless(inner) for inner in value] if isinstance(value, list) else value


def test_all_of_evergreen_on_object_storage_is_all_of_it_on_a_disk(
    place, s3_bucket, s3_endpoint, monkeypatch
):
    local = worked(place / "local", monkeypatch)
    extra = {"endpoint_url": s3_endpoint, "region_name": "us-east-1"}
    lake = {"conn_type": "aws", "login": "tester", "password": "not-a-secret", "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_LAKE", json.dumps(lake))
    monkeypatch.setenv("EVERGREEN_STORE_CONNECTION", "lake")
    monkeypatch.setenv("EVERGREEN_STORE", f"{s3_bucket.url}/store")
    monkeypatch.setenv("EVERGREEN_ARTIFACTS", f"{s3_bucket.url}/artifacts")
    monkeypatch.setenv("MLFLOW_S3_ENDPOINT_URL", s3_endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "tester")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not-a-secret")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    remote = worked(place / "remote", monkeypatch)
    for there, here in zip(remote, local, strict=True):
        assert there == here
    found = s3_bucket.client.list_objects_v2(Bucket=s3_bucket.name)["Contents"]
    kinds = {"/".join(entry["Key"].split("/")[:2]) for entry in found}
    assert kinds >= {f"store/{kind}" for kind in ("snapshots", "quarantine", "predictions", "watch")}
    assert any(kind.startswith("artifacts/") for kind in kinds)
    left = {path.name for path in (place / "remote").iterdir()}
    assert not left & {"store", "artifacts"}, "nothing of them lies on this machine"
