"""Builds a model's DAG: its steps in a row, and nothing that differs between two parses."""

from __future__ import annotations

from copy import copy
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import get_args

from airflow.sdk import (
    DAG,
    Asset,
    AssetOrTimeSchedule,
    BaseOperator,
    CronDataIntervalTimetable,
    Param,
    TriggerRule,
)
from airflow.sdk.definitions.param import ParamsDict

from evergreen.durations import Duration
from evergreen.names import retrain_dag_id
from evergreen.results import ReleaseWish
from evergreen.spec import ModelSpec, Retries
from evergreen_airflow.docs import retrain_doc
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

OPERATORS: dict[str, type[StepOperator]] = {
    "resolve_window": ResolveWindowOperator,
    "ingest": IngestOperator,
    "validate": ValidateOperator,
    "train": TrainOperator,
    "evaluate": EvaluateOperator,
    "refit": RefitOperator,
    "register": RegisterOperator,
    "release": ReleaseOperator,
    "report": ReportOperator,
}

# Shorter than the ledger's lease, so that a task waiting for its next try does not lose its run's.
LONGEST_RETRY_DELAY = timedelta(minutes=5)
LONGEST_BARE_TASK = timedelta(hours=6)
LEASE_WAITS = 40

_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)


def retrain_request(name: str) -> Asset:
    """Return the asset whose events wake the model's retrain."""
    return Asset(name=f"evergreen/{name}/retrain-request", uri=f"evergreen://{name}/retrain-request")


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
        tags=["evergreen", f"model:{spec.name}", f"tier:{spec.tier}", *spec.tags],
    )
    left_out = frozenset() if spec.train.refit else frozenset({"refit"})
    timeout = _as_timedelta(spec.timeout)
    return _with_steps(dag, spec.name, path, spec.owner, spec.retries, timeout, left_out)


def build_bare_retrain_dag(name: str, path: Path) -> DAG:
    """Return `NAME__retrain` without its model file, for a task of a run that began before it broke.

    Only a task's own process uses it: the scheduler never sees it.
    """
    dag = DAG(retrain_dag_id(name), schedule=None, start_date=_EPOCH)
    return _with_steps(dag, name, path, "airflow", Retries(), LONGEST_BARE_TASK)


def _timed(cron: str, asset: Asset) -> AssetOrTimeSchedule:
    timetable = CronDataIntervalTimetable(cron, timezone="UTC")
    timetable.validate()
    return AssetOrTimeSchedule(timetable=timetable, assets=[asset])


@cache
def _form() -> ParamsDict:
    """Return what the trigger form asks for; the same for every model."""
    form = ParamsDict(
        {
            "as_of": Param(
                None,
                type=["null", "string"],
                format="date-time",
                title="As of",
                description="The instant the run pretends it is; empty: now. Scheduled and backfill "
                "runs take the end of their interval instead.",
                source="dag",
            ),
            "reason": Param(
                None,
                type=["null", "string"],
                maxLength=300,
                title="Reason",
                description="Why this retrain; kept with its decision.",
                source="dag",
            ),
            "release": Param(
                "auto",
                enum=list(get_args(ReleaseWish)),
                type="string",
                title="Release",
                description="auto: the new version is released where the gate says so. "
                "never: it is only registered. unopposed: it is released where it beats the base rate, "
                "without comparing it with a champion that cannot be scored any more.",
                source="dag",
            ),
        }
    )
    form.validate()
    return form


def _with_steps(
    dag: DAG,
    name: str,
    path: Path,
    owner: str,
    retries: Retries,
    timeout: timedelta,
    left_out: frozenset[str] = frozenset(),
) -> DAG:
    delay = _as_timedelta(retries.delay)
    before: BaseOperator | None = None
    for task_id, operator in OPERATORS.items():
        if task_id in left_out:
            continue
        first, last = task_id == "resolve_window", task_id == "report"
        task = operator(
            task_id=task_id,
            dag=dag,
            model=name,
            model_file=path,
            owner=owner,
            retries=retries.attempts,
            lease_waits=LEASE_WAITS if first else 0,
            retry_delay=delay,
            execution_timeout=timeout,
            retry_exponential_backoff=2,
            max_retry_delay=max(delay, LONGEST_RETRY_DELAY),
            trigger_rule=TriggerRule.ALL_DONE if last else TriggerRule.ALL_SUCCESS,
        )
        if before is not None:
            before.set_downstream(task)
        before = task
    # After the tasks: each keeps a copy of the params that its DAG has when it joins, 1 KB when stored.
    # Past the setter: it judges the defaults anew for every DAG, a third of what a DAG costs to build.
    object.__setattr__(dag, "params", copy(_form()))
    return dag


def _as_timedelta(duration: Duration) -> timedelta:
    return duration.after(_EPOCH) - _EPOCH
