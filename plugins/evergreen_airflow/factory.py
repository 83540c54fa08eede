"""Builds a model's retrain DAG: its steps in a row, and nothing that differs between two parses."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import get_args

from airflow.sdk import DAG, Asset, AssetOrTimeSchedule, Param
from airflow.sdk.definitions.param import ParamsDict

from evergreen.names import retrain_dag_id
from evergreen.results import ReleaseWish
from evergreen.spec import ModelSpec
from evergreen_airflow.assets import retrain_request
from evergreen_airflow.callbacks import run_failed
from evergreen_airflow.docs import retrain_doc
from evergreen_airflow.operators.approve import ApproveOperator
from evergreen_airflow.operators.evaluate import EvaluateOperator
from evergreen_airflow.operators.ingest import IngestOperator
from evergreen_airflow.operators.refit import RefitOperator
from evergreen_airflow.operators.register import RegisterOperator
from evergreen_airflow.operators.release import ReleaseOperator
from evergreen_airflow.operators.report import ReportOperator
from evergreen_airflow.operators.resolve_window import ResolveWindowOperator
from evergreen_airflow.operators.train import TrainOperator
from evergreen_airflow.operators.validate import ValidateOperator
from evergreen_airflow.step_operator import StepOperator
from evergreen_airflow.task_row import (
    BARE,
    EPOCH,
    every,
    in_a_row,
    tags_of,
    terms_of,
    validated,
    when_and_why,
)

OPERATORS: dict[str, type[StepOperator]] = {
    "resolve_window": ResolveWindowOperator,
    "ingest": IngestOperator,
    "validate": ValidateOperator,
    "train": TrainOperator,
    "evaluate": EvaluateOperator,
    "refit": RefitOperator,
    "register": RegisterOperator,
    "approve": ApproveOperator,
    "release": ReleaseOperator,
    "report": ReportOperator,
}
_ALWAYS = ("report",)
_WAITING = ("resolve_window", "approve")
"""The tasks before which the run holds no lease, and which wait for it."""


def build_retrain_dag(spec: ModelSpec, path: Path) -> DAG:
    """Return `NAME__retrain` of a model file."""
    asset = retrain_request(spec.name)
    dag = DAG(
        retrain_dag_id(spec.name),
        dag_display_name=f"{spec.display_name or spec.name}: retrain",
        description=spec.description,
        doc_md=retrain_doc(spec),
        schedule=[asset] if spec.schedule is None else _timed(spec.schedule, asset),
        start_date=spec.starts_at,
        catchup=False,
        max_active_runs=1,
        tags=tags_of(spec),
        on_failure_callback=run_failed,
    )
    wanted = {"refit": spec.train.refit, "approve": spec.approval is not None}
    steps = {name: step for name, step in OPERATORS.items() if wanted.get(name, True)}
    return in_a_row(dag, spec.name, path, steps, terms_of(spec), _form(), _ALWAYS, _WAITING)


def build_bare_retrain_dag(name: str, path: Path) -> DAG:
    """Return `NAME__retrain` without its model file, for a task of a run that began before it broke.

    Only a task's own process uses it: the scheduler never sees it.
    """
    dag = DAG(retrain_dag_id(name), schedule=None, start_date=EPOCH)
    return in_a_row(dag, name, path, OPERATORS, BARE, _form(), _ALWAYS, _WAITING)


def _timed(cron: str, asset: Asset) -> AssetOrTimeSchedule:
    return AssetOrTimeSchedule(timetable=every(cron), assets=[asset])


@cache
def _form() -> ParamsDict:
    """Return what the trigger form asks for; the same for every model."""
    release = Param(
        "auto",
        enum=list(get_args(ReleaseWish)),
        type="string",
        title="Release",
        description="auto: the new version is released where the gate says so. "
        "never: it is only registered. unopposed: it is released where it beats the base rate, "
        "without comparing it with a champion that cannot be scored any more.",
        source="dag",
    )
    common = when_and_why("retrain")
    return validated({**{name: common.get_param(name) for name in common}, "release": release})
