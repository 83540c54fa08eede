"""The Airflow DAG that looks after all models of models/: messages, stale models, broken files."""

from pathlib import Path

from evergreen_airflow.fleet_dag import load_fleet

load_fleet([Path(__file__).parent / "models"], globals())
