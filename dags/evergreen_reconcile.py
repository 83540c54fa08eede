"""The Airflow DAG that finds what a crash left of any model, and finishes or closes it."""

from pathlib import Path

from evergreen_airflow.reconcile_dag import load_reconcile

load_reconcile([Path(__file__).parent / "models"], globals())
