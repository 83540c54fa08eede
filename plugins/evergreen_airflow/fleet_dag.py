"""Builds `evergreen__fleet`: what no model's own DAG can see, and what waits to be told."""

from __future__ import annotations

from collections.abc import MutableMapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from airflow.sdk import DAG

from evergreen.names import FLEET_DAG_ID
from evergreen_airflow.docs import FLEET_DOC
from evergreen_airflow.one_task_dag import one_task_dag
from evergreen_airflow.operators.tell import TellOperator

SCHEDULE = "*/5 * * * *"
LONGEST_RUN = timedelta(minutes=10)


def load_fleet(
    folders: Sequence[Path], namespace: MutableMapping[str, Any], schedule: str | None = SCHEDULE
) -> None:
    """Put `evergreen__fleet` into `namespace`, a DAG file's `globals()`.

    Args:
        folders: The folders of model files that it looks after.
        namespace: The DAG file's `globals()`.
        schedule: Cron expression in UTC, or None: only when triggered.
    """
    namespace[FLEET_DAG_ID] = build_fleet_dag(folders, schedule)


def build_fleet_dag(folders: Sequence[Path], schedule: str | None = SCHEDULE) -> DAG:
    """Return `evergreen__fleet`."""
    dag = one_task_dag(
        FLEET_DAG_ID,
        "Evergreen: fleet",
        "Tells people what waits to be told; looks for stale models and broken model files.",
        FLEET_DOC,
        schedule,
    )
    TellOperator(
        task_id="tell",
        dag=dag,
        folders=[str(folder) for folder in folders],
        retries=0,
        execution_timeout=LONGEST_RUN,
    )
    return dag
