"""Twenty small models and their rows: quick to train, some of them shifted so that the watch alarms."""

from __future__ import annotations

import sqlite3
from datetime import timedelta
from pathlib import Path

from tests.integration.airflow_world import NOW, model_text

NAMES = tuple(f"m{number:02}" for number in range(20))
SHIFTED_SINCE = NOW - timedelta(days=12)
_MORE = """\
retries: {{attempts: 20, delay: 0 minutes}}
timeout: 10 minutes
monitor:
  schedule: null
  window: 7 days
  retrain: {{after: 1 of 1}}
  report: false
  source:
    source:
      type: sql
      connection: warehouse
      query: SELECT id, at, wind, origin, 0.5 AS p FROM {table} WHERE at >= :start AND at < :end
    prediction: p
"""


def is_timed(name: str) -> bool:
    """Return whether a model has a schedule, so that it can be backfilled."""
    return NAMES.index(name) % 4 == 0


def write_models(folder: Path, names: tuple[str, ...]) -> None:
    """Write the model files of a fleet."""
    for name in names:
        table = "moved" if NAMES.index(name) % 3 == 0 else "arrivals"
        schedule = '"@monthly"' if is_timed(name) else "null"
        text = model_text(name, schedule=schedule, more=_MORE.format(table=table))
        (folder / f"{name}.yaml").write_text(text.replace("FROM arrivals", f"FROM {table}"))


def add_moved(path: Path) -> None:
    """Put a second table beside the warehouse's, which has changed of late."""
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE moved AS SELECT * FROM arrivals")
        database.execute("UPDATE moved SET wind = wind + 3 WHERE at >= ?", (f"{SHIFTED_SINCE:%F %T}",))
    database.close()
