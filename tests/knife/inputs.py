"""The model that is cut at, its rules and its rows."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

NAME = "arrivals"
APRIL = datetime(2013, 4, 1, tzinfo=UTC)
MAY = datetime(2013, 5, 1, tzinfo=UTC)
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
    url: sqlite:///{warehouse}
    query: SELECT * FROM rows WHERE at >= :start AND at < :end
  time_column: at
  key: id
  label: {{column: late, delay: 1 day}}
  train_window: 2 months
  test_window: 1 month
  min_rows: 100
expectations: suite.yaml
train: {{estimator: sklearn.linear_model.LogisticRegression, refit: true}}
gate: {{metric: log_loss, margin: 0.01, leaks: {{allow: [x]}}}}
release: {{approval: {{approvers: [alice, bob]}}}}
score: {{schedule: "@weekly", window: 7 days}}
monitor:
  schedule: "@weekly"
  window: 7 days
  min_rows: 50
  retrain: {{after: 1 of 1, cooldown: 1 day}}
"""
SUITE = """\
expectations:
  - type: expect_column_values_to_not_be_null
    kwargs: {column: late}
  - type: expect_column_values_to_be_between
    kwargs: {column: x, min_value: -2.5, max_value: 2.5}
    severity: warning
"""


def write_inputs(folder: Path) -> None:
    """Write the model file, its suite, and 20 rows a day from January on; from April on x drifts."""
    folder.mkdir(parents=True)
    warehouse = folder / "warehouse.db"
    (folder / f"{NAME}.yaml").write_text(MODEL.format(warehouse=warehouse), encoding="utf-8")
    (folder / "suite.yaml").write_text(SUITE, encoding="utf-8")
    rng = np.random.default_rng(0)
    start = datetime(2013, 1, 1, tzinfo=UTC)
    with sqlite3.connect(warehouse) as database:
        database.execute("CREATE TABLE rows (id INTEGER, at TEXT, x REAL, c TEXT, late INTEGER)")
        for number in range(2500):
            at = start + timedelta(minutes=72 * number)
            x = float(rng.normal()) + (3.0 if at >= APRIL else 0.0)
            late = int(rng.uniform() < 1 / (1 + np.exp(-2 * x)))
            row = (number, f"{at:%Y-%m-%d %H:%M:%S}", x, str(rng.choice(["a", "b"])), late)
            database.execute("INSERT INTO rows VALUES (?, ?, ?, ?, ?)", row)
    database.close()
