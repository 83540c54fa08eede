"""Builds `NAME__monitor`: a check of the watch, step by step."""

from __future__ import annotations

from pathlib import Path

from airflow.sdk import DAG

from evergreen.names import monitor_dag_id
from evergreen.spec import ModelSpec
from evergreen_airflow.callbacks import run_failed
from evergreen_airflow.docs import monitor_doc
from evergreen_airflow.operators.judge import JudgeOperator
from evergreen_airflow.operators.measure import MeasureOperator
from evergreen_airflow.operators.profile import ProfileOperator
from evergreen_airflow.operators.request import RequestOperator
from evergreen_airflow.step_operator import StepOperator
from evergreen_airflow.task_row import BARE, EPOCH, every, in_a_row, tags_of, terms_of, when_and_why

OPERATORS: dict[str, type[StepOperator]] = {
    "profile": ProfileOperator,
    "measure": MeasureOperator,
    "judge": JudgeOperator,
    "request": RequestOperator,
}


def wants_watching(spec: ModelSpec) -> bool:
    """Return whether a model file asks for `NAME__monitor`."""
    return spec.monitor is not None


def build_monitor_dag(spec: ModelSpec, path: Path) -> DAG:
    """Return `NAME__monitor` of a model file that has a section `monitor`."""
    assert spec.monitor is not None
    cron = spec.monitor.schedule
    dag = DAG(
        monitor_dag_id(spec.name),
        dag_display_name=f"{spec.display_name or spec.name}: monitor",
        description=spec.description,
        doc_md=monitor_doc(spec, spec.monitor),
        schedule=None if cron is None else every(cron),
        start_date=spec.starts_at,
        catchup=False,
        max_active_runs=1,
        tags=tags_of(spec),
        on_failure_callback=run_failed,
    )
    return in_a_row(
        dag, spec.name, path, OPERATORS, terms_of(spec), when_and_why("check"), waiting=OPERATORS
    )


def build_bare_monitor_dag(name: str, path: Path) -> DAG:
    """Return `NAME__monitor` without its model file, for a task of a run that began before it broke."""
    dag = DAG(monitor_dag_id(name), schedule=None, start_date=EPOCH)
    return in_a_row(dag, name, path, OPERATORS, BARE, when_and_why("check"), waiting=OPERATORS)
