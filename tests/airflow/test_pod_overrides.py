"""What Airflow is told of a task's pod: valid, stable and plain, or said to be ignored."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import kubernetes_validate
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evergreen.pod_spec import AIRFLOWS_LABELS, Pods
from evergreen.quantities import Quantity
from evergreen.spec import ModelSpec
from evergreen.step_names import STEP_NAMES
from evergreen_airflow import factory, monitor_dag, pod_overrides, score_dag
from evergreen_airflow.pod_overrides import IN_A_POD, Placement
from tests.airflow.conftest import model_text

PATH = Path("models/flight_delay.yaml")
PODS = """\
pods:
  requests: {cpu: 500m, memory: 2Gi}
  limits: {memory: 2Gi}
  node_selector: {pool: ml, kubernetes.io/arch: amd64}
  labels: {team: ops, cost/centre: "7"}
  steps:
    train:
      requests: {cpu: 4, memory: 16Gi}
      limits: {memory: 16Gi}
      gpu: 1
      image: registry.example.com/evergreen-gpu:1.4
      tolerations: [{key: dedicated, value: ml, effect: NoSchedule}]
"""


@pytest.fixture
def with_pods(monkeypatch):
    monkeypatch.setattr(pod_overrides, "placement", Placement)


def dag_of(more: str) -> Any:
    spec = ModelSpec.model_validate(yaml.safe_load(model_text("flight_delay", more=more)))
    return factory.build_retrain_dag(spec, PATH)


def plain(pod: Any) -> dict[str, Any]:
    from kubernetes.client import ApiClient

    found: dict[str, Any] = ApiClient().sanitize_for_serialization(pod)
    return found


def rendered(override: Any, template: str = "basic_template.yaml") -> dict[str, Any]:
    """Return the pod that Airflow's own executor would send, made by its own code."""
    from airflow.providers.cncf import kubernetes
    from airflow.providers.cncf.kubernetes.pod_generator import PodGenerator

    folder = (
        "kubernetes_executor_templates" if template.startswith("basic") else "pod_template_file_examples"
    )
    base = PodGenerator.deserialize_model_file(str(Path(kubernetes.__path__[0], folder, template)))
    pod = PodGenerator.construct_pod(
        dag_id="flight_delay__retrain",
        task_id="train",
        pod_id="flight-delay-retrain-train-x1",
        try_number=1,
        kube_image="registry.example.com/evergreen:1.4",
        date=None,
        args=["python", "-m", "airflow.sdk.execution_time.execute_workload"],
        pod_override_object=override,
        base_worker_pod=base,
        namespace="airflow",
        scheduler_job_id="7",
        run_id="manual__1",
    )
    return plain(pod)


def test_the_steps_of_the_model_file_are_the_tasks_of_its_dags():
    tasks = [step for kind in (factory, score_dag, monitor_dag) for step in kind.OPERATORS]
    assert tuple(tasks) == STEP_NAMES


def test_a_step_gets_its_own_pod_and_the_others_what_all_get(with_pods):
    dag = dag_of(PODS)
    train = plain(dag.get_task("train").executor_config["pod_override"])
    assert train == {
        "metadata": {"labels": {"team": "ops", "cost/centre": "7"}},
        "spec": {
            "containers": [
                {
                    "name": "base",
                    "image": "registry.example.com/evergreen-gpu:1.4",
                    "resources": {
                        "requests": {"cpu": "4", "memory": "16Gi"},
                        "limits": {"memory": "16Gi", "nvidia.com/gpu": "1"},
                    },
                }
            ],
            "nodeSelector": {"pool": "ml", "kubernetes.io/arch": "amd64"},
            "tolerations": [
                {"key": "dedicated", "operator": "Equal", "value": "ml", "effect": "NoSchedule"}
            ],
        },
    }
    ingest = plain(dag.get_task("ingest").executor_config["pod_override"])["spec"]
    assert ingest["containers"][0]["resources"]["requests"] == {"cpu": "500m", "memory": "2Gi"}
    assert "tolerations" not in ingest


def test_a_step_that_asks_nothing_is_left_alone(with_pods):
    dag = dag_of("pods: {steps: {train: {gpu: 1}}}\n")
    assert dag.get_task("train").executor_config
    assert not dag.get_task("ingest").executor_config
    assert "Pods" not in dag.doc_md


def test_the_override_lies_over_the_template_field_by_field(with_pods):
    override = dag_of(PODS).get_task("train").executor_config["pod_override"]
    pod = rendered(override)
    assert pod["metadata"]["labels"]["team"] == "ops"
    assert pod["metadata"]["labels"]["mylabel"] == "foo", "the template's own labels stay"
    assert pod["metadata"]["labels"]["dag_id"] == "flight_delay__retrain"
    (container,) = pod["spec"]["containers"]
    assert container["image"] == "registry.example.com/evergreen-gpu:1.4"
    assert container["args"][0] == "python"
    assert {one["name"] for one in container["env"]} >= {"AIRFLOW_HOME", IN_A_POD}
    assert container["volumeMounts"]
    assert pod["spec"]["serviceAccountName"] == "airflow-worker"


@pytest.mark.parametrize(
    "template", ["basic_template.yaml", "dags_in_image_template.yaml", "git_sync_template.yaml"]
)
def test_the_pod_that_is_sent_is_one_that_kubernetes_knows(with_pods, template):
    override = dag_of(PODS).get_task("train").executor_config["pod_override"]
    kubernetes_validate.validate(rendered(override, template), "1.33", strict=True)


def test_the_check_against_kubernetes_refuses_what_it_does_not_know():
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(
            {"apiVersion": "v1", "kind": "Pod", "spec": {"containers": [{"name": "a", "gpu": 1}]}},
            "1.33",
            strict=True,
        )


NAMES = st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?", fullmatch=True)
KEYS = st.one_of(
    NAMES,
    st.builds(
        "{}/{}".format,
        st.from_regex(r"[a-z]([a-z0-9-]{0,20}[a-z])?(\.[a-z]{2,9})?", fullmatch=True),
        NAMES,
    ),
)
VALUES = st.one_of(st.just(""), NAMES)
CPU = st.one_of(
    st.integers(1, 10_000),
    st.integers(1, 10_000_000).map("{}m".format),
    st.integers(1, 10_000_000).map(lambda thousandths: f"{thousandths / 1000:.3f}"),
)
BYTES = st.one_of(
    st.integers(2**20, 2**62),
    st.builds(
        "{}{}".format, st.integers(2, 7), st.sampled_from(["G", "Gi", "T", "Ti", "Pi", "Ei", "M", "Mi"])
    ),
)
AMOUNTS = st.fixed_dictionaries({}, optional={"cpu": CPU, "memory": BYTES, "ephemeral_storage": BYTES})
TOLERATIONS = st.one_of(
    st.fixed_dictionaries({"operator": st.just("Exists")}, optional={"key": KEYS}),
    st.fixed_dictionaries(
        {"key": KEYS},
        optional={
            "value": VALUES,
            "effect": st.sampled_from(["NoSchedule", "PreferNoSchedule", "NoExecute"]),
        },
    ),
)
POD = {
    "requests": AMOUNTS,
    "limits": AMOUNTS,
    "gpu": st.integers(0, 64),
    "gpu_resource": st.sampled_from(["nvidia.com/gpu", "amd.com/gpu", "gpu.intel.com/i915"]),
    "image": st.sampled_from(["ml", "team/ml:1.4", f"r.example.com:5000/a/b@sha256:{'0' * 64}"]),
    "node_selector": st.dictionaries(KEYS, VALUES, max_size=4),
    "tolerations": st.lists(TOLERATIONS, max_size=3),
    "labels": st.dictionaries(KEYS.filter(lambda key: key not in AIRFLOWS_LABELS), VALUES, max_size=4),
}
SECTIONS = st.fixed_dictionaries(
    {
        "steps": st.dictionaries(
            st.sampled_from(STEP_NAMES), st.fixed_dictionaries({}, optional=POD), max_size=2
        )
    },
    optional=POD,
)


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(SECTIONS)
def test_whatever_a_model_file_asks_becomes_a_pod_that_kubernetes_knows(section):
    pods = Pods.model_validate(section)
    for step in {*section["steps"], "register"}:
        asked = pods.of(step)
        if asked is not None:
            pod = rendered(pod_overrides._v1_pod(asked))
            kubernetes_validate.validate(pod, "1.33", strict=True)
            assert asked.labels.items() <= pod["metadata"]["labels"].items()


@settings(deadline=None)
@given(CPU, BYTES)
def test_amounts_are_what_kubernetes_own_client_takes_them_for(cpu, size):
    from kubernetes.utils.quantity import parse_quantity

    for read, written in ((Quantity.cpu, cpu), (Quantity.memory, size)):
        amount = read(written)
        assert parse_quantity(str(amount)) == amount.value


def test_airflow_stores_plain_values_and_reads_the_same_pod_from_them(with_pods):
    from airflow.models.taskinstance import TaskInstance
    from airflow.serialization.serialized_objects import DagSerialization
    from sqlalchemy.dialects import sqlite

    dag = dag_of(PODS)
    stored = json.loads(json.dumps(DagSerialization.to_dict(dag)))
    config = DagSerialization.from_dict(stored).get_task("train").executor_config
    assert config["pod_override"] == dag.get_task("train").executor_config["pod_override"]
    column, dialect = TaskInstance.__table__.c.executor_config.type, sqlite.dialect()
    row = column.bind_processor(dialect)(config)
    assert b"kubernetes.client" not in row, "a pickled object would be code of the library"
    assert column.result_processor(dialect, None)(row) == config


SERIALISE = """
import json, sys, yaml
from pathlib import Path
from airflow.serialization.serialized_objects import DagSerialization
from evergreen.spec import ModelSpec
from evergreen_airflow.factory import build_retrain_dag
spec = ModelSpec.model_validate(yaml.safe_load(sys.stdin.read()))
dag = build_retrain_dag(spec, Path("/any/where.yaml"))
told = {
    "dag": DagSerialization.to_dict(dag),
    "loaded": sorted({"kubernetes"} & set(sys.modules)),
}
print(json.dumps(told, sort_keys=True))
"""


def serialised(executor: str, more: str = PODS, hash_seed: str = "0") -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-c", SERIALISE],
        input=model_text("flight_delay", more=more),
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONHASHSEED": hash_seed, "AIRFLOW__CORE__EXECUTOR": executor},
    )
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


def test_two_parses_under_two_hash_seeds_give_one_version_of_the_dag():
    one, other = (serialised("KubernetesExecutor", hash_seed=seed) for seed in "12")
    assert one == other
    assert "nvidia.com/gpu" in json.dumps(one)


@pytest.mark.parametrize(("executor", "more"), [("KubernetesExecutor", ""), ("LocalExecutor", PODS)])
def test_nothing_of_kubernetes_is_imported_where_no_task_gets_a_pod_of_its_own(executor, more):
    assert serialised(executor, more)["loaded"] == []


@pytest.fixture
def installed(monkeypatch):
    """Pretend that these executors are configured."""
    from airflow.executors import executor_loader

    def of(executor: str) -> None:
        monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", executor)
        monkeypatch.setattr(executor_loader, "_executor_names", [])
        pod_overrides.placement.cache_clear()

    yield of
    pod_overrides.placement.cache_clear()


@pytest.mark.parametrize("executor", ["LocalExecutor", "CeleryExecutor", "my.own.executors.EcsExecutor"])
def test_an_executor_without_pods_gets_none_and_the_page_says_so_once(installed, executor):
    installed(executor)
    dag = dag_of(PODS)
    assert not any(task.executor_config for task in dag.tasks)
    assert dag.doc_md.count("under pods is ignored") == 1
    assert dag.doc_md.endswith(f"tasks run on {executor.split('.')[-1]}, which has no pods.")
    assert "Pods" not in dag_of("").doc_md


def test_of_several_executors_the_one_with_pods_gets_the_tasks_that_ask_for_one(installed):
    installed("CeleryExecutor,KubernetesExecutor")
    dag = dag_of("pods: {steps: {train: {gpu: 1}}}\n")
    assert dag.get_task("train").executor == "KubernetesExecutor"
    assert dag.get_task("ingest").executor is None
    installed("KubernetesExecutor,CeleryExecutor")
    assert dag_of(PODS).get_task("train").executor is None, "it is the one that tasks go to anyway"
    installed("LocalExecutor,boats:my.own.SmallKubernetesExecutor")
    assert dag_of(PODS).get_task("train").executor == "boats"


def test_without_the_provider_the_page_says_what_is_missing_and_nothing_fails(installed, monkeypatch):
    installed("KubernetesExecutor")
    monkeypatch.setattr(pod_overrides, "find_spec", lambda name: None)
    dag = dag_of(PODS)
    assert "providers-cncf-kubernetes is not installed" in dag.doc_md.replace("\\", "")
    assert not any(task.executor_config for task in dag.tasks)


def test_a_task_without_its_pod_says_so_once_and_one_in_a_pod_says_nothing(monkeypatch, caplog):
    monkeypatch.setattr(
        pod_overrides, "placement", lambda: Placement(no_pods="tasks run on LocalExecutor")
    )
    task = dag_of("pods: {steps: {train: {gpu: 1}}}\n").get_task("train")
    assert dag_of("pods: {steps: {train: {gpu: 1}}}\n").get_task("ingest")._pre_execute_hook is None
    caplog.set_level(logging.INFO, logger="evergreen_airflow.pod_overrides")
    task._pre_execute_hook(SimpleNamespace())
    assert [record.getMessage() for record in caplog.records] == [
        "what the model file says under pods is ignored: tasks run on LocalExecutor"
    ]
    caplog.clear()
    monkeypatch.setenv(IN_A_POD, "True")
    task._pre_execute_hook(SimpleNamespace())
    assert not caplog.records
