"""Airflow DAGs of every model file in models/: one file per model, nothing else to write."""

from pathlib import Path

from evergreen_airflow.loader import load_models

load_models(Path(__file__).parent / "models", globals())
