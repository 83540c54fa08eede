"""Builds the DAG of a task that looks after all models: on a schedule, and never two at once."""

from __future__ import annotations

from airflow.sdk import DAG, CronTriggerTimetable

from evergreen_airflow.task_row import EPOCH


def one_task_dag(dag_id: str, name: str, description: str, page: str, schedule: str | None) -> DAG:
    """Return the DAG without its task.

    Args:
        dag_id: Its id.
        name: Shown in Airflow.
        description: One line.
        page: Its documentation (Markdown).
        schedule: Cron expression in UTC, or None: only when triggered.
    """
    return DAG(
        dag_id,
        dag_display_name=name,
        description=description,
        doc_md=page,
        schedule=None if schedule is None else CronTriggerTimetable(schedule, timezone="UTC"),
        start_date=EPOCH,
        catchup=False,
        max_active_runs=1,
        tags=["evergreen", "fleet"],
    )
