"""The names of the steps, in order, by the DAG that they are tasks of.

It imports nothing: what Airflow reads of this package at its own start needs the names, too.
"""

from __future__ import annotations

RETRAIN_STEPS = (
    "resolve_window",
    "ingest",
    "validate",
    "train",
    "evaluate",
    "refit",
    "register",
    "approve",
    "release",
    "report",
)
SCORE_STEPS = ("score",)
MONITOR_STEPS = ("profile", "measure", "judge", "request")
STEP_NAMES: tuple[str, ...] = (*RETRAIN_STEPS, *SCORE_STEPS, *MONITOR_STEPS)
"""The steps of all of a model's DAGs, which are the ids of its tasks."""
FLEET_TASKS = ("tell", "reconcile")
"""The tasks of the DAGs that look after all models."""
