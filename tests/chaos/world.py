"""Starts the world of a fleet: PostgreSQL, an MLflow server, a store on a small disk, and Airflow.

Airflow's database and the ledger lie in one PostgreSQL, each in its own database. Every process of
Airflow and the MLflow server are looked after, as by an init system.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
import psycopg

from evergreen.demo.airflow_home import RunningAirflow, start_airflow
from evergreen.fleet_file import read_fleet
from evergreen.settings import Settings
from tests.chaos.fleet import add_moved, write_models
from tests.chaos.receiver import Receiver, receiver
from tests.chaos.servers import Server, Servers, python_module
from tests.integration.airflow_world import NOW, Api, environment, lay_out
from tests.integration.postgres import Postgres, start_postgres
from tests.waiting import wait_until

LEASE_SECONDS = 30
STORE_SIZE = "256m"
LOCKS = "20s"
"""How long PostgreSQL keeps the locks of a transaction in which nothing happens."""
FLEET_FILE = "alerts:\n  - {type: webhook, connection: receiver, private_network: true}\n"


@dataclass
class World:
    """What the faults hit and the judge looks at."""

    root: Path
    names: tuple[str, ...]
    airflow: RunningAirflow
    api: Api
    servers: Servers
    receiver: Receiver
    environment: dict[str, str]
    disk: Path | None

    @property
    def settings(self) -> Settings:
        """How the fleet's Evergreen is set up."""
        return Settings.from_environment(self.environment)


@contextmanager
def world(root: Path, names: tuple[str, ...], parallelism: int) -> Iterator[World]:
    """Start everything in `root`, with a first champion of each model, and end it with the context."""
    models = lay_out(root, "evergreen_models.py", "evergreen_fleet.py", "evergreen_reconcile.py")
    write_models(models, names)
    add_moved(root / "warehouse.db")
    (root / "fleet.yaml").write_text(FLEET_FILE)
    read_fleet(root / "fleet.yaml")
    with ExitStack() as stack:
        postgres = stack.enter_context(start_postgres())
        post = stack.enter_context(receiver())
        disk = stack.enter_context(_small_disk(root / "store"))
        environment = _environment(root, _databases(postgres), post)
        registry = _registry(root, environment["EVERGREEN_TRACKING"])
        registry.start()
        stack.callback(registry.end, 15)
        _wait_for(registry, f"{environment['EVERGREEN_TRACKING']}/health")
        _first_champions(names, models, environment)
        airflow = start_airflow(
            root / "airflow",
            root / "dags",
            port=18120,
            extra_env=environment | {"AIRFLOW__CORE__PARALLELISM": str(parallelism)},
        )
        stack.callback(airflow.stop)
        servers = stack.enter_context(Servers())
        servers.add(registry)
        for name, pid in airflow.pids.items():
            servers.add(_component(name, pid, airflow))
        servers.add(_database(postgres))
        api = stack.enter_context(Api(airflow))
        api.wait_for_dags([f"{name}__{kind}" for name in names for kind in ("retrain", "monitor")])
        yield World(root, names, airflow, api, servers, post, environment, disk)


def _environment(root: Path, databases: dict[str, str], post: Receiver) -> dict[str, str]:
    hook = {
        "conn_type": "http",
        "host": "127.0.0.1",
        "schema": "http",
        "port": post.server_port,
        "password": "signed with this",
    }
    return environment(root) | {
        "EVERGREEN_STORE": str(root / "store"),
        "EVERGREEN_LEDGER": databases["ledger"],
        "EVERGREEN_TRACKING": f"http://127.0.0.1:{_free_port()}",
        "EVERGREEN_ALERTS": str(root / "fleet.yaml"),
        "EVERGREEN_LEASE_SECONDS": str(LEASE_SECONDS),
        "AIRFLOW_CONN_RECEIVER": json.dumps(hook),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": databases["airflow"],
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC": databases["airflow"],
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "30",
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "5",
        "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "20",
        "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "20",
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3",
        "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
        "GIT_PYTHON_REFRESH": "quiet",
    }


def _databases(postgres: Postgres) -> dict[str, str]:
    plain = postgres.url.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(plain, autocommit=True) as connection:
        for name in ("ledger", "airflow"):
            connection.execute(f"CREATE DATABASE {name}")
        # LocalExecutor's processes inherit a killed scheduler's connection, and with it its locks.
        connection.execute(f"ALTER DATABASE airflow SET idle_in_transaction_session_timeout = '{LOCKS}'")
    return {
        name: postgres.url.set(database=name).render_as_string(hide_password=False)
        for name in ("ledger", "airflow")
    }


def _database(postgres: Postgres) -> Server:
    """Return the running PostgreSQL as a server that is looked after from now on."""
    folder_owner = postgres.folder.owner()
    return Server(
        "database",
        [str(part) for part in postgres.process.args],
        os.environ,
        postgres.folder,
        postgres.folder / "log",
        None if folder_owner == "root" else folder_owner,
        postgres.process.pid,
        1,
    )


def _component(name: str, pid: int, airflow: RunningAirflow) -> Server:
    process = psutil.Process(pid)
    log = airflow.home / "logs" / f"{name}.log"
    command = python_module("airflow", *_ARGUMENTS[name])
    return Server(name, command, process.environ(), airflow.home, log, None, pid, 1)


_ARGUMENTS = {
    "api-server": ("api-server",),
    "dag-processor": ("dag-processor",),
    "scheduler": ("scheduler", "--skip-serve-logs"),
    "triggerer": ("triggerer", "--skip-serve-logs"),
}


def _registry(root: Path, url: str) -> Server:
    folder = root / "mlflow"
    folder.mkdir()
    command = python_module(
        "mlflow",
        "server",
        "--backend-store-uri",
        f"sqlite:///{folder / 'mlflow.db'}",
        "--default-artifact-root",
        (folder / "artifacts").as_uri(),
        "--host",
        "127.0.0.1",
        "--port",
        url.rpartition(":")[2],
        "--workers",
        "1",
    )
    environment = os.environ | {
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    return Server("registry", command, environment, folder, root / "mlflow.log", whole=True)


def _first_champions(names: tuple[str, ...], models: Path, environment: dict[str, str]) -> None:
    """Retrain every model once, beside Airflow, in one process: each has a champion then."""
    as_of = f"{NOW:%Y}-{NOW:%m}-01"
    program = (
        "import sys\nfrom evergreen.cli.main import main\n"
        "for name in sys.argv[3:]:\n"
        "    code = main(['run', name, '--as-of', sys.argv[1], '--models', sys.argv[2]])\n"
        "    assert code == 0, (name, code)\n"
    )
    done = subprocess.run(
        [python_module("x")[0], "-c", program, as_of, str(models), *names],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"the first champions were not made: {done.stdout}{done.stderr}")


@contextmanager
def _small_disk(place: Path) -> Iterator[Path | None]:
    """Put the store on a disk of its own that can be filled; None where this user may not mount one."""
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={STORE_SIZE}", "store", str(place)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        yield None
        return
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_for(server: Server, url: str, patience_seconds: float = 180) -> None:
    def answers() -> bool:
        try:
            return httpx.get(url, timeout=5, trust_env=False).is_success
        except httpx.TransportError:
            return False

    if not wait_until(lambda: answers() or not server.runs(), patience_seconds) or not server.runs():
        raise RuntimeError(f"{server.name} did not answer at {url}: {server.log.read_text()[-2000:]}")
