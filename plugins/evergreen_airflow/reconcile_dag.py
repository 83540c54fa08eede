"""Builds `evergreen__reconcile`: finds what a crash left, and finishes or closes it."""

from __future__ import annotations

from collections.abc import MutableMapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from airflow.sdk import DAG

from evergreen.names import RECONCILE_DAG_ID
from evergreen.reconcile_results import WAKE_AFTER
from evergreen_airflow.docs import RECONCILE_DOC
from evergreen_airflow.one_task_dag import one_task_dag
from evergreen_airflow.operators.reconcile import ReconcileOperator

SCHEDULE = "*/10 * * * *"
LONGEST_RUN = timedelta(minutes=30)


def load_reconcile(
    folders: Sequence[Path],
    namespace: MutableMapping[str, Any],
    schedule: str | None = SCHEDULE,
    wake_after: timedelta = WAKE_AFTER,
) -> None:
    """Put `evergreen__reconcile` into `namespace`, a DAG file's `globals()`.

    Args:
        folders: The folders of model files; models that the ledger knows are looked over in any case.
        namespace: The DAG file's `globals()`.
        schedule: Cron expression in UTC, or None: only when triggered.
        wake_after: How long a request may wait for the run that its event was to start.
    """
    namespace[RECONCILE_DAG_ID] = build_reconcile_dag(folders, schedule, wake_after)


def build_reconcile_dag(
    folders: Sequence[Path], schedule: str | None = SCHEDULE, wake_after: timedelta = WAKE_AFTER
) -> DAG:
    """Return `evergreen__reconcile`."""
    dag = one_task_dag(
        RECONCILE_DAG_ID,
        "Evergreen: reconcile",
        "Finds what a crash left half done, finishes or closes it, and says so.",
        RECONCILE_DOC,
        schedule,
    )
    ReconcileOperator(
        task_id="reconcile",
        dag=dag,
        folders=[str(folder) for folder in folders],
        wake_after=wake_after,
        retries=0,
        execution_timeout=LONGEST_RUN,
    )
    return dag
