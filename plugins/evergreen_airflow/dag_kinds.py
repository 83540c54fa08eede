"""The kinds of DAG a model may have. A new kind is one row."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from airflow.sdk import DAG

from evergreen.names import monitor_dag_id, retrain_dag_id, score_dag_id
from evergreen.ports import Duty
from evergreen.spec import ModelSpec
from evergreen_airflow.factory import build_bare_retrain_dag, build_retrain_dag
from evergreen_airflow.monitor_dag import build_bare_monitor_dag, build_monitor_dag, wants_watching
from evergreen_airflow.score_dag import build_bare_score_dag, build_score_dag, wants_scoring


@dataclass(frozen=True, slots=True)
class DagKind:
    """How one kind of DAG is named, when a model file asks for it, and how it is built.

    `bare` builds it without the model file, for a task of a run that began before the file broke,
    vanished or stopped asking for it. `duty` is that of its runs.
    """

    duty: Duty
    dag_id: Callable[[str], str]
    asked_for: Callable[[ModelSpec], bool]
    build: Callable[[ModelSpec, Path], DAG]
    bare: Callable[[str, Path], DAG]


def _always(spec: ModelSpec) -> bool:  # noqa: ARG001 - as every kind's
    return True


KINDS: tuple[DagKind, ...] = (
    DagKind("retrain", retrain_dag_id, _always, build_retrain_dag, build_bare_retrain_dag),
    DagKind("score", score_dag_id, wants_scoring, build_score_dag, build_bare_score_dag),
    DagKind("monitor", monitor_dag_id, wants_watching, build_monitor_dag, build_bare_monitor_dag),
)
