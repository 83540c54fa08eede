"""What docker-compose.yaml describes, running on this machine: for the test and for the benchmark."""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from evergreen.demo.airflow_home import RunningAirflow
from evergreen.ledger import open_ledger
from tests.contracts.mail_server import Mailbox, mail_server
from tests.integration.airflow_world import World
from tests.integration.compose import PATIENCE_SECONDS, ROOT, Deployment, Service, free_port, services
from tests.integration.postgres import Postgres, start_postgres
from tests.integration.test_watch_airflow import WatchApi

AIRFLOW = ("api-server", "scheduler", "dag-processor", "triggerer")
WORKERS = ("worker1", "worker2")
SECRETS = ROOT / "deploy" / "make_secrets.py"


@dataclass
class ComposeWorld(World):
    """A running deployment, and what stands in for a container's hosts; `book` is its ledger."""

    api: WatchApi
    deployment: Deployment
    services: Mapping[str, Service]
    postgres: Postgres
    store: str
    mail: Mailbox
    book: Any

    def url_of(self, name: str) -> str:
        """Return the URL of a database, with its user's password."""
        return url_of(name, self.deployment.secrets, self.postgres)

    def ledger(self, **which: str) -> list[Any]:
        """Return entries of the ledger, the oldest first."""
        return list(self.book.entries(**which))

    def entries(self, run_key: str) -> dict[str, Any]:
        found = self.ledger(model=run_key.partition("/")[0])
        return {e.kind: e.body for e in found if e.key.partition("/")[2].startswith(run_key)}

    def worker_of(self, dag_id: str, run_id: str, task_id: str) -> str | None:
        """Return which worker runs a task now, by the process of the try; None: none does."""
        path = f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}"
        task = self.api._send("GET", path)
        if task["state"] != "running":
            return None
        for name in WORKERS:
            for process in family(self.deployment.processes[name].pid):
                with suppress(psutil.Error, IndexError):
                    if process.cmdline()[0] == f"airflow worker -- {task['id']}":
                        return name
        return None

    def kill(self, name: str) -> int:
        """Kill a service as the kernel kills a container: every process at once."""
        processes = family(self.deployment.processes[name].pid)
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        self.deployment.processes.pop(name).wait()
        return len(processes)


def url_of(name: str, kept: Path, postgres: Postgres) -> str:
    """Return the URL of a database, with its user's password."""
    password = (kept / f"{name}_pgpass").read_text().rpartition(":")[2]
    url = postgres.url.set(username=name, password=password, database=name)
    return url.render_as_string(hide_password=False)


def family(pid: int) -> list[psutil.Process]:
    """Return a process with all its descendants, the eldest first."""
    eldest = psutil.Process(pid)
    return [eldest, *eldest.children(recursive=True)]


def make_secrets(folder: Path, more: Mapping[str, Any]) -> Path:
    """Make the secret files as `make compose-secrets` does, and add connections as its reader would."""
    command = [SECRETS, "--folder", folder / "secrets", "--env-file", folder / ".env"]
    subprocess.run([sys.executable, *command], check=True, capture_output=True)
    path = folder / "secrets" / "connections.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | dict(more)))
    return folder / "secrets"


@contextmanager
def compose_world(
    folder: Path, store: str, connections: Mapping[str, Any], **more: str
) -> Iterator[ComposeWorld]:
    """Start every service of the file; DAGs and models lie in `folder / "dags"` already.

    Args:
        folder: Empty but for the DAGs.
        store: The address of a server that speaks S3.
        connections: Added to those of the secret file.
        more: Added to the environment of every service.
    """
    with start_postgres() as postgres, mail_server() as mail:
        found = services({"EVERGREEN_UID": "50000", **more})
        kept = make_secrets(folder, connections)
        (kept / "postgres_password").write_text(postgres.url.password or "")
        deployment = Deployment(
            folder, secrets.token_hex(16), places(folder, postgres, store, mail), kept, more
        )
        try:
            world = _started(deployment, found, postgres, store, mail)
            try:
                yield world
            finally:
                world.book.close()
        finally:
            end(deployment)


def places(folder: Path, postgres: Postgres, store: str, mail: Mailbox) -> dict[str, str]:
    """Return by what each text of a container is replaced, the most particular first."""
    redis, mlflow, api = free_port(), free_port(), free_port()
    database = f"127.0.0.1:{postgres.url.port}"
    for name in ("logs", "home"):
        (folder / name).mkdir()
    return {
        "postgres@postgres/": f"{postgres.url.username}@{database}/",
        "@postgres/": f"@{database}/",
        "http://store:7070": store,
        '"mail"': '"127.0.0.1"',
        "1025": str(mail.port),
        "redis:6379": f"127.0.0.1:{redis}",
        "6379": str(redis),
        "mlflow:5000": f"127.0.0.1:{mlflow}",
        "5000": str(mlflow),
        "http://api-server:8080": f"http://127.0.0.1:{api}",
        '"api-server"': '"127.0.0.1"',
        "8080": str(api),
        "0.0.0.0": "127.0.0.1",
        "/opt/airflow/dags": str(folder / "dags"),
        "/opt/airflow/logs": str(folder / "logs"),
        "/opt/airflow/home": str(folder / "home"),
        "/opt/airflow/deploy": str(ROOT / "deploy"),
    }


def _started(
    deployment: Deployment,
    found: Mapping[str, Service],
    postgres: Postgres,
    store: str,
    mail: Mailbox,
) -> ComposeWorld:
    """Start the services in the order of their `depends_on`."""
    deployment.start(found["redis"])
    deployment.run(found["init"])
    deployment.start(found["mlflow"])
    deployment.start(found["api-server"])
    for name in ("redis", "api-server"):
        deployment.wait_until_healthy(found[name])
    logs = {name: str(free_port()) for name in ("triggerer", *WORKERS)}
    deployment.start(found["scheduler"])
    deployment.start(found["dag-processor"])
    deployment.start(found["triggerer"], AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT=logs["triggerer"])
    deployment.wait_until_healthy(found["mlflow"])
    for name in WORKERS:
        deployment.start(
            found["worker"],
            name,
            ("--celery-hostname", name),
            AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT=logs[name],
        )
    for name in ("scheduler", "dag-processor", "triggerer"):
        deployment.wait_until_healthy(found[name])
    for name in WORKERS:
        deployment.wait_until_healthy(found["worker"], name)
    airflow = RunningAirflow(
        deployment.folder / "api-server",
        deployment.here("http://api-server:8080", "api-server"),
        json.loads((deployment.secrets / "airflow_passwords.json").read_text())["admin"],
        deployment.token,
        {name: deployment.processes[name].pid for name in AIRFLOW},
    )
    models = deployment.folder / "dags" / "models"
    api = WatchApi(airflow)
    return ComposeWorld(
        airflow,
        api,
        models,
        deployment.folder / "home",
        deployment=deployment,
        services=found,
        postgres=postgres,
        store=store,
        mail=mail,
        book=open_ledger(url_of("ledger", deployment.secrets, postgres), 600),
    )


def end(deployment: Deployment) -> None:
    """End every process of a deployment, to the last one."""
    everything = RunningAirflow(deployment.folder, "", "", deployment.token, {})
    for process in deployment.processes.values():
        process.kill()  # Redis shows no token: its title took the place of its environment
        process.wait()
    until = time.monotonic() + PATIENCE_SECONDS
    while left := everything.processes():
        for process in left:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(left, timeout=5)
        assert time.monotonic() < until, f"still there: {left}"
