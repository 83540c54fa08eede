"""Turns what a model file says under `pods` into what Airflow's executor is told of a task.

Nothing of Kubernetes is imported before a model asks for a pod where there are pods: its client takes
longer to import than a hundred models take to build. What is handed to Airflow holds plain values only.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from evergreen.pod_spec import CONTAINER, Pod, Pods, resources_of
from evergreen.text import markdown

if TYPE_CHECKING:
    from airflow.sdk import Context
    from kubernetes.client import V1Pod

log = logging.getLogger(__name__)

PROVIDER = "apache-airflow-providers-cncf-kubernetes"
IN_A_POD = "AIRFLOW_IS_K8S_EXECUTOR_POD"
"""Set by Airflow in each pod that it starts; the executor named in its configuration is another one."""
_WITH_PODS = "KubernetesExecutor"
_NOTE = "what the model file says under pods is ignored"


@dataclass(frozen=True, slots=True)
class Placement:
    """Where tasks that ask for pods go.

    `executor` is the one to name at the task, None: the installation's default. `no_pods` says why
    there are none, None: there are.
    """

    executor: str | None = None
    no_pods: str | None = None


def task_arguments(pods: Pods | None, steps: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Return the arguments that the operators of these steps get for their pods, by step."""
    if pods is None:
        return {}
    common = _arguments(pods.of(None))
    return {step: _arguments(pods.of(step)) if step in pods.steps else common for step in steps}


def page_note(pods: Pods | None) -> str | None:
    """Return what a DAG's page says of pods (Markdown), or None: nothing."""
    why = None if pods is None else placement().no_pods
    return None if why is None else f"**Pods**: {_NOTE}: {markdown(why)}."


def _arguments(pod: Pod | None) -> dict[str, Any]:
    if pod is None:
        return {}
    place = placement()
    if place.no_pods is not None:
        return {"pre_execute": _noted_in_the_log(place.no_pods)}
    named = {} if place.executor is None else {"executor": place.executor}
    return {"executor_config": {"pod_override": _v1_pod(pod)}, **named}


@cache
def placement() -> Placement:
    """Return where tasks that ask for pods go in this installation."""
    from airflow.executors.executor_loader import ExecutorLoader

    names = [one for one in ExecutorLoader.get_executor_names(validate_teams=False) if not one.team_name]
    default = names[0]
    found = next((one for one in names if one.module_path.endswith(_WITH_PODS)), None)
    if found is None:
        return Placement(no_pods=f"tasks run on {_shown(default)}, which has no pods")
    if find_spec("kubernetes") is None or find_spec("airflow.providers.cncf.kubernetes") is None:
        return Placement(no_pods=f"{PROVIDER} is not installed where DAG files are parsed")
    return Placement(executor=None if found is default else found.alias or found.module_path)


def _shown(executor: Any) -> str:
    return str(executor.module_path.rpartition(".")[2])


@cache
def _noted_in_the_log(why: str) -> Callable[[Context], None]:
    """Return what a task does before it runs: say once that it has no pod of its own."""

    def note(context: Context) -> None:  # noqa: ARG001 - as Airflow calls it
        if IN_A_POD not in os.environ:
            log.info("%s: %s", _NOTE, why)

    return note


def _v1_pod(pod: Pod) -> V1Pod:
    """Return what differs from the pod template, as Airflow wants it."""
    from kubernetes.client import models as k8s

    resources: Mapping[str, Any] = resources_of(pod)
    tolerations = [
        k8s.V1Toleration(key=one.key, operator=one.operator, value=one.value, effect=one.effect)
        for one in pod.tolerations or ()
    ]
    container = k8s.V1Container(
        name=CONTAINER,
        image=pod.image,
        resources=k8s.V1ResourceRequirements(**resources) if resources else None,
    )
    return k8s.V1Pod(
        metadata=k8s.V1ObjectMeta(labels=dict(pod.labels)) if pod.labels else None,
        spec=k8s.V1PodSpec(
            containers=[container],
            node_selector=dict(pod.node_selector) or None,
            tolerations=tolerations or None,
        ),
    )
