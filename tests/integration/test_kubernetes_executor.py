"""The real KubernetesExecutor sends a pod as its model file asks, to a stand-in of Kubernetes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from tests.airflow.conftest import model_text

PODS = """\
pods:
  node_selector: {pool: ml}
  labels: {team: ops}
  steps: {train: {requests: {cpu: 4, memory: 16Gi}, limits: {memory: 16Gi}, gpu: 1}}
"""

# What a scheduler does with a task: read the DAG that the dag-processor stored, hand its task to the
# executor, and let that work off its queue.
SCHEDULE = """
import sys, uuid
from pathlib import Path
from airflow.executors.workloads import ExecuteTask
from airflow.providers.cncf.kubernetes.executors.kubernetes_executor import KubernetesExecutor
from airflow.serialization.serialized_objects import DagSerialization
from evergreen.loading import load_spec
from evergreen_airflow.factory import build_retrain_dag

path = Path(sys.argv[1])
stored = DagSerialization.to_dict(build_retrain_dag(load_spec(path), path))
task = DagSerialization.from_dict(stored).get_task("train")
workload = ExecuteTask.model_validate({
    "token": "t", "dag_rel_path": "models.py", "bundle_info": {"name": "dags-folder"}, "log_path": None,
    "ti": {
        "id": str(uuid.uuid4()), "dag_version_id": str(uuid.uuid4()), "task_id": "train",
        "dag_id": stored["dag"]["dag_id"], "run_id": "manual__1", "try_number": 1, "map_index": -1,
        "pool_slots": 1, "queue": "default", "priority_weight": 1,
    },
})
workload.ti.executor_config = task.executor_config
executor = KubernetesExecutor(parallelism=1)
executor.job_id = "stand-in"
executor.start()
try:
    executor.queue_workload(workload, None)
    executor.trigger_tasks(1)
    executor.sync()
finally:
    executor.end()
"""


class Kubernetes(BaseHTTPRequestHandler):
    """Answers what the executor asks an API server, and keeps the pods it was sent."""

    pods: list[dict[str, Any]]

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/version":
            self._answer({"major": "1", "minor": "33"})
        elif path == "/api":
            self._answer({"kind": "APIVersions", "versions": ["v1"]})
        elif path == "/apis":
            self._answer({"kind": "APIGroupList", "apiVersion": "v1", "groups": []})
        elif path == "/api/v1":
            pods = {
                "name": "pods",
                "namespaced": True,
                "kind": "Pod",
                "verbs": ["list", "watch", "create"],
            }
            self._answer({"kind": "APIResourceList", "groupVersion": "v1", "resources": [pods]})
        elif "watch=" in self.path:
            self._answer(None)
        else:
            self._answer({"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": []})

    def do_POST(self) -> None:
        pod = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.pods.append(pod)
        self._answer(pod, 201)

    def log_message(self, *_: Any) -> None:
        """Keep quiet."""

    def _answer(self, body: dict[str, Any] | None, status: int = 200) -> None:
        content = b"" if body is None else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


@pytest.fixture
def kubernetes() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    pods: list[dict[str, Any]] = []
    handler = type("Handler", (Kubernetes,), {"pods": pods})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}", pods
    server.shutdown()
    server.server_close()
    thread.join()


def test_the_executor_sends_the_pod_that_the_model_file_asks_for(kubernetes, tmp_path: Path):
    url, pods = kubernetes
    model = tmp_path / "churn.yaml"
    model.write_text(model_text("churn", more=PODS))
    known = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "here",
        "clusters": [{"name": "here", "cluster": {"server": url}}],
        "users": [{"name": "me", "user": {}}],
        "contexts": [{"name": "here", "context": {"cluster": "here", "user": "me"}}],
    }
    (tmp_path / "kubeconfig").write_text(yaml.safe_dump(known))
    from airflow.providers.cncf import kubernetes as provider

    template = Path(provider.__path__[0], "kubernetes_executor_templates", "basic_template.yaml")
    options = {
        "AIRFLOW__CORE__EXECUTOR": "KubernetesExecutor",
        "AIRFLOW__KUBERNETES_EXECUTOR__IN_CLUSTER": "False",
        "AIRFLOW__KUBERNETES_EXECUTOR__CONFIG_FILE": str(tmp_path / "kubeconfig"),
        "AIRFLOW__KUBERNETES_EXECUTOR__NAMESPACE": "airflow",
        "AIRFLOW__KUBERNETES_EXECUTOR__POD_TEMPLATE_FILE": str(template),
        "AIRFLOW__KUBERNETES_EXECUTOR__WORKER_CONTAINER_REPOSITORY": "registry.example.com/evergreen",
        "AIRFLOW__KUBERNETES_EXECUTOR__WORKER_CONTAINER_TAG": "1.4",
        "AIRFLOW_HOME": str(tmp_path / "airflow"),
    }
    done = subprocess.run(
        [sys.executable, "-c", SCHEDULE, str(model)],
        env=os.environ | options,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (pod,) = pods
    kubernetes_validate.validate(pod, "1.33", strict=True)
    (container,) = pod["spec"]["containers"]
    assert container["image"] == "registry.example.com/evergreen:1.4"
    assert container["resources"] == {
        "requests": {"cpu": "4", "memory": "16Gi"},
        "limits": {"memory": "16Gi", "nvidia.com/gpu": "1"},
    }
    assert pod["spec"]["nodeSelector"] == {"pool": "ml"}
    assert pod["metadata"]["labels"]["team"] == "ops"
    assert pod["metadata"]["labels"]["dag_id"] == "churn__retrain"
    assert pod["metadata"]["labels"]["airflow-worker"] == "stand-in"
    assert json.loads(container["args"][-1])["ti"]["task_id"] == "train"
