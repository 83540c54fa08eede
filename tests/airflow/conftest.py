"""An Airflow home of its own for these tests; set before anything imports Airflow."""

import os
import tempfile
from pathlib import Path

import pytest

os.environ.setdefault("AIRFLOW_HOME", tempfile.mkdtemp(prefix="evergreen-airflow-"))
os.environ.setdefault("AIRFLOW__CORE__LOAD_EXAMPLES", "False")

MODEL = """\
schema_version: 1
name: {name}
description: Will a flight arrive more than 15 minutes late?
owner: ops@example.com
schedule: {schedule}
start: 2013-01-01
data:
  source:
    type: sql
    connection: flights
    query: SELECT * FROM flights WHERE scheduled_departure >= :start AND scheduled_departure < :end
  time_column: scheduled_departure
  key: flight_id
  label: {{column: late, delay: 1 day}}
  train_window: 3 months
  test_window: 1 month
train:
  estimator: sklearn.ensemble.HistGradientBoostingClassifier
gate:
  metric: log_loss
{more}"""


def model_text(name: str, schedule: str = '"0 6 1 * *"', more: str = "") -> str:
    return MODEL.format(name=name, schedule=schedule, more=more)


@pytest.fixture
def models(tmp_path: Path) -> Path:
    folder = tmp_path / "models"
    folder.mkdir()
    return folder
