"""Puts a run's steps in a row of tasks: what every DAG of a model has in common."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from copy import copy
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

from airflow.sdk import DAG, BaseOperator, CronDataIntervalTimetable, Param, TriggerRule
from airflow.sdk.definitions.param import ParamsDict

from evergreen.durations import Duration
from evergreen.pod_spec import Pods
from evergreen.spec import ModelSpec, Retries
from evergreen_airflow.callbacks import task_failed
from evergreen_airflow.pod_overrides import page_note, task_arguments
from evergreen_airflow.step_operator import StepOperator

# Shorter than the ledger's lease, so that a task waiting for its next try does not lose its run's.
LONGEST_RETRY_DELAY = timedelta(minutes=5)
LEASE_WAITS = 40
EPOCH = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Terms:
    """On whose behalf tasks run, how long, how often they are tried again, in what pods and pool."""

    owner: str
    retries: Retries
    timeout: timedelta
    pods: Pods | None = None
    pool: str | None = None


BARE = Terms("airflow", Retries(), timedelta(hours=6))
"""For a task of a run that began before its model file broke or vanished."""


def terms_of(spec: ModelSpec) -> Terms:
    """Return what a model file says of its tasks."""
    return Terms(spec.owner, spec.retries, _as_timedelta(spec.timeout), spec.pods, spec.pool)


def tags_of(spec: ModelSpec) -> list[str]:
    """Return the tags of a model's DAGs."""
    return ["evergreen", f"model:{spec.name}", f"tier:{spec.tier}", *spec.tags]


def every(cron: str) -> CronDataIntervalTimetable:
    """Return the timetable of a cron expression in UTC: each run's as-of is the end of its interval.

    Raises:
        AirflowTimetableInvalid: not a cron expression.
    """
    timetable = CronDataIntervalTimetable(cron, timezone="UTC")
    timetable.validate()
    return timetable


def in_a_row(
    dag: DAG,
    model: str,
    path: Path,
    operators: Mapping[str, type[StepOperator]],
    terms: Terms,
    form: ParamsDict,
    always: Collection[str] = (),
    waiting: Collection[str] | None = None,
) -> DAG:
    """Add a task for each operator, one after another, and return the DAG.

    The first, or those in `waiting`, wait for the model's lease beyond their tries; those in `always`
    run whatever became of the tasks before them. `form` is what the trigger form asks for.
    """
    delay = _as_timedelta(terms.retries.delay)
    for_pods = task_arguments(terms.pods, operators)
    before: BaseOperator | None = None
    for task_id, operator in operators.items():
        task = operator(
            task_id=task_id,
            dag=dag,
            model=model,
            model_file=path,
            owner=terms.owner,
            retries=terms.retries.attempts,
            lease_waits=LEASE_WAITS if _waits(task_id, before, waiting) else 0,
            retry_delay=delay,
            execution_timeout=terms.timeout,
            pool=terms.pool,
            retry_exponential_backoff=2,
            max_retry_delay=max(delay, LONGEST_RETRY_DELAY),
            trigger_rule=TriggerRule.ALL_DONE if task_id in always else TriggerRule.ALL_SUCCESS,
            on_failure_callback=task_failed,
            **for_pods.get(task_id, {}),
        )
        if before is not None:
            before.set_downstream(task)
        before = task
    note = page_note(terms.pods)
    if note is not None:
        dag.doc_md = f"{dag.doc_md}\n\n{note}"
    # After the tasks: each keeps a copy of the params that its DAG has when it joins, 1 KB when stored.
    # Past the setter: it judges the defaults anew for every DAG, a third of what a DAG costs to build.
    object.__setattr__(dag, "params", copy(form))
    return dag


def _waits(task_id: str, before: BaseOperator | None, waiting: Collection[str] | None) -> bool:
    return before is None if waiting is None else task_id in waiting


@cache
def when_and_why(what: str) -> ParamsDict:
    """Return the part of a trigger form that every DAG has; `what` names what is asked for."""
    return validated(
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
                description=f"Why this {what}; kept with its result.",
                source="dag",
            ),
        }
    )


def validated(params: dict[str, Param]) -> ParamsDict:
    """Return a trigger form whose defaults were judged once, for all DAGs that have it."""
    form = ParamsDict(params)
    form.validate()
    return form


def _as_timedelta(duration: Duration) -> timedelta:
    return duration.after(EPOCH) - EPOCH
