"""Builds `NAME__score`: one task that scores the window's rows with the champion of the as-of."""

from __future__ import annotations

from pathlib import Path

from airflow.sdk import DAG

from evergreen.names import score_dag_id
from evergreen.spec import ModelSpec
from evergreen_airflow.callbacks import run_failed
from evergreen_airflow.docs import score_doc
from evergreen_airflow.operators.score import ScoreOperator
from evergreen_airflow.step_operator import StepOperator
from evergreen_airflow.task_row import BARE, EPOCH, every, in_a_row, tags_of, terms_of, when_and_why

OPERATORS: dict[str, type[StepOperator]] = {"score": ScoreOperator}


def wants_scoring(spec: ModelSpec) -> bool:
    """Return whether a model file asks for `NAME__score`."""
    return spec.score is not None


def build_score_dag(spec: ModelSpec, path: Path) -> DAG:
    """Return `NAME__score` of a model file that has a `score` section."""
    assert spec.score is not None
    cron = spec.score.schedule
    dag = DAG(
        score_dag_id(spec.name),
        dag_display_name=f"{spec.display_name or spec.name}: score",
        description=spec.description,
        doc_md=score_doc(spec, spec.score),
        schedule=None if cron is None else every(cron),
        start_date=spec.starts_at,
        catchup=False,
        max_active_runs=1,
        tags=tags_of(spec),
        on_failure_callback=run_failed,
    )
    return in_a_row(dag, spec.name, path, OPERATORS, terms_of(spec), when_and_why("scoring"))


def build_bare_score_dag(name: str, path: Path) -> DAG:
    """Return `NAME__score` without its model file, for a task of a run that began before it broke."""
    dag = DAG(score_dag_id(name), schedule=None, start_date=EPOCH)
    return in_a_row(dag, name, path, OPERATORS, BARE, when_and_why("scoring"))
