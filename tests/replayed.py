"""A small stream with its model file, for tests of the replay: rows of a known law, changed or not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from scipy.special import expit

FIRST_DAY = datetime(2024, 1, 1, tzinfo=UTC)
START, END = datetime(2024, 2, 1, tzinfo=UTC), datetime(2024, 5, 1, tzinfo=UTC)
CHANGE = datetime(2024, 3, 8, tzinfo=UTC)
DAYS = 125
ROWS_A_DAY = 120

MODEL = """
schema_version: 1
name: clicks
description: Will they click?
owner: team@example.com
schedule: {schedule}
data:
  source: {{ type: files, paths: ["clicks.parquet"], format: parquet }}
  time_column: at
  key: id
  label: {{ column: clicked, delay: 1 day }}
  train_window: 2 weeks
  test_window: 1 week
  min_rows: 600
train:
  estimator: sklearn.linear_model.LogisticRegression
gate:
  metric: log_loss
  margin: 0.02
  cluster: row
{watch}"""

WATCH = """
score: { schedule: "@daily", window: 1 day }
monitor:
  schedule: "@weekly"
  window: 7 days
  retrain: { after: 2 of 3, cooldown: 7 days, at_most: 4 per month }
"""


def stream(*, changes: bool) -> pa.Table:
    """Return four months of rows; from `CHANGE` on, `x` means the contrary of what it meant."""
    rng = np.random.default_rng(7)
    count = DAYS * ROWS_A_DAY
    at = [FIRST_DAY + timedelta(days=row / ROWS_A_DAY) for row in range(count)]
    x, y = rng.normal(size=count), rng.normal(size=count)
    kind = rng.choice(["new", "old", "guest"], size=count, p=[0.5, 0.3, 0.2])
    after = np.array([time >= CHANGE for time in at]) & changes
    chance = expit(np.where(after, -2.0, 2.0) * x + 0.5 * y + 0.5 * (kind == "old"))
    return pa.table(
        {
            "id": pa.array(range(count), pa.int64()),
            "at": pa.array(at, pa.timestamp("us", "UTC")),
            "x": pa.array(x),
            "y": pa.array(y),
            "kind": pa.array(kind),
            "clicked": pa.array((rng.random(count) < chance).astype(np.int64)),
        }
    )


def model_file(
    folder: Path, *, changes: bool, schedule: str = "null", watch: str = WATCH, name: str = "clicks.yaml"
) -> Path:
    """Write the stream and a model file beside it, and return the model file."""
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(stream(changes=changes), folder / "clicks.parquet")
    path = folder / name
    path.write_text(MODEL.format(schedule=schedule, watch=watch), encoding="utf-8")
    return path
