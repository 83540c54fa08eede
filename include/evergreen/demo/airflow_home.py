"""A real Airflow on this machine in one folder: start it, find it again, end it to the last process.

Four processes (API server, dag-processor, scheduler, triggerer), SQLite, LocalExecutor, one login. Every
process carries a token in its environment, so `stop` finds each one and its children whatever became
of their parents, and never takes a stranger's process for ours.
"""

from __future__ import annotations

import json
import logging
import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil
import tenacity

from evergreen.demo.airflow_config import (
    USER,
    read_password,
    write_config,
    write_password,
    write_private,
)
from evergreen.errors import BadConfiguration

log = logging.getLogger(__name__)

API_CONNECTION = "this_airflow"
TOKEN_VARIABLE = "EVERGREEN_AIRFLOW_TOKEN"  # noqa: S105 - a variable's name
# The log servers are left out: all logs are on this machine, and their fixed ports would clash.
COMPONENTS: Mapping[str, tuple[str, ...]] = {
    "api-server": ("api-server",),
    "dag-processor": ("dag-processor",),
    "scheduler": ("scheduler", "--skip-serve-logs"),
    "triggerer": ("triggerer", "--skip-serve-logs"),
}
_HEALTH_NAMES = {
    "dag-processor": "dag_processor",
    "scheduler": "scheduler",
    "triggerer": "triggerer",
}
_STATE = "running.json"
_INHERITED_PREFIXES = ("AIRFLOW", "_AIRFLOW", "EVERGREEN", "MLFLOW")


@dataclass(frozen=True, slots=True)
class RunningAirflow:
    """An Airflow that was started in `home` and answers at `url`."""

    home: Path
    url: str
    password: str = field(repr=False)
    token: str = field(repr=False)
    pids: Mapping[str, int]
    user: str = USER

    def check(self) -> None:
        """Raise where a component has ended.

        Raises:
            BadConfiguration: with the end of the component's log.
        """
        for name, pid in self.pids.items():
            if not _alive(pid, self.token):
                raise _component_failed(self.home, name, "has ended")

    def processes(self) -> list[psutil.Process]:
        """Return every process of this Airflow that is alive, tasks and their children included."""
        return _processes(self.token)

    def stop(self) -> int:
        """End every process of this Airflow and return how many there were. Safe to repeat."""
        return stop_airflow(self.home)


def start_airflow(
    home: Path,
    dags_folder: Path,
    *,
    port: int = 8080,
    extra_env: Mapping[str, str] | None = None,
    components: Iterable[str] = tuple(COMPONENTS),
    patience_seconds: float = 240,
) -> RunningAirflow:
    """Start Airflow in `home` and return it once every component is healthy.

    The processes are detached: they outlive the caller until `stop`. A home that was used before keeps
    its database and its password. Where something fails, what was started is ended again.

    Args:
        home: Becomes AIRFLOW_HOME; made where missing.
        dags_folder: The folder of DAG files.
        port: Wanted; where it is taken, a free one is used.
        extra_env: Added to the environment of every process. Variables of the caller that configure
            Airflow, Evergreen or MLflow are not inherited.
        components: Which of `COMPONENTS` to start.
        patience_seconds: How long to wait for each stage of the start.

    Raises:
        BadConfiguration: Airflow runs in this home already, or a component did not come up (with the
            end of its log).
    """
    home = home.absolute()
    if find_airflow(home) is not None:
        raise BadConfiguration("an Airflow runs here already", where=str(home), fix="stop it first")
    stop_airflow(home)
    (home / "logs").mkdir(parents=True, exist_ok=True)
    token = secrets.token_hex(16)
    port = _free_port(port)
    password = write_password(home)
    write_config(home, dags_folder.absolute(), port)
    env = _environment(home, token, {**_way_to_notes(port, password), **(extra_env or {})})
    _migrate(home, env, patience_seconds)
    wanted = list(dict.fromkeys(components))
    pids: dict[str, int] = {}
    url = f"http://127.0.0.1:{port}"
    running = RunningAirflow(home, url, password, token, pids)
    try:
        # Tasks that start before the API server answers fail: the scheduler comes after it.
        early = [name for name in ("api-server", "dag-processor") if name in wanted]
        for names in (early, [name for name in wanted if name not in early]):
            for name in names:
                pids[name] = _launch(name, home, env)
                _write_state(home, running)
            _wait_until_healthy(running, patience_seconds)
    except BaseException:
        stop_airflow(home)
        raise
    log.info("Airflow answers at %s (home %s)", url, home)
    return running


def find_airflow(home: Path) -> RunningAirflow | None:
    """Return the Airflow that runs in `home`, or None where it does not (or only in part)."""
    home = home.absolute()
    state = _read_state(home)
    if state is None or not all(_alive(pid, state["token"]) for pid in state["pids"].values()):
        return None
    password = read_password(home)
    return RunningAirflow(home, state["url"], password or "", state["token"], state["pids"])


def stop_airflow(home: Path, *, grace_seconds: float = 5) -> int:
    """End every process of the Airflow in `home`; return how many there were. Safe to repeat.

    Asks first (SIGTERM), then insists (SIGKILL), until none is left. Tasks that were running are ended
    and count as failed: the next start may retry them.

    Raises:
        BadConfiguration: a process could not be ended.
    """
    home = home.absolute()
    state = _read_state(home)
    if state is None:
        return 0
    token, server = state["token"], state["pids"].get("api-server")
    seen: set[int] = set()
    # The API server last: the supervisors of ended tasks report to it.
    for spared in (server, None):
        _end([p for p in _processes(token) if p.pid != spared], grace_seconds, seen)
    left = _processes(token)
    if left:
        raise BadConfiguration(
            "some processes of Airflow did not end",
            where=str(home),
            got=", ".join(str(process.pid) for process in left),
            fix="end them by hand",
        )
    (home / _STATE).unlink(missing_ok=True)
    return len(seen)


def _end(processes: list[psutil.Process], grace_seconds: float, seen: set[int]) -> None:
    pids = {process.pid for process in processes}
    seen |= pids
    for process in processes:
        # Parents end their children themselves, and sooner than children that are asked twice.
        with suppress(psutil.Error):
            if process.ppid() not in pids:
                process.terminate()
    psutil.wait_procs(processes, timeout=grace_seconds)
    for _ in range(10):
        left = [process for process in processes if _runs(process)]
        # Children before parents: a supervisor outlives its task long enough to say that it ended.
        leaves = [process for process in left if not _children(process)]
        for process in leaves or left:
            with suppress(psutil.Error):
                process.kill()
        if not psutil.wait_procs(left, timeout=2 if left else 0)[1]:
            return


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return [child for child in process.children() if _runs(child)]
    except psutil.Error:
        return []


def log_tail(path: Path, lines: int = 25) -> str:
    """Return the last lines of a log file, or a word about why there are none."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as exc:
        return f"({exc})"
    return "\n".join(text.splitlines()[-lines:]) or "(empty)"


def _free_port(wanted: int) -> int:
    for port in (wanted, 0):
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise BadConfiguration("no free port", where="127.0.0.1", fix="close a program that listens")


def _environment(home: Path, token: str, extra: Mapping[str, str]) -> dict[str, str]:
    inherited = {
        key: value for key, value in os.environ.items() if not key.startswith(_INHERITED_PREFIXES)
    }
    scripts = str(Path(sys.executable).parent)
    return {
        **inherited,
        "PATH": os.pathsep.join([scripts, inherited.get("PATH", os.defpath)]),
        "AIRFLOW_HOME": str(home),
        "MLFLOW_DISABLE_TELEMETRY": "true",
        # Process titles must not overwrite the environment that `stop` looks for the token in.
        "SPT_NOENV": "1",
        "PYTHONUNBUFFERED": "1",
        **extra,
        TOKEN_VARIABLE: token,
    }


def _way_to_notes(port: int, password: str) -> dict[str, str]:
    """Return what lets the task report write a run's note: a connection to this Airflow's own API."""
    connection = {
        "conn_type": "http",
        "host": "127.0.0.1",
        "port": port,
        "login": USER,
        "password": password,
    }
    return {
        f"AIRFLOW_CONN_{API_CONNECTION.upper()}": json.dumps(connection),
        "EVERGREEN_AIRFLOW_CONNECTION": API_CONNECTION,
    }


def _migrate(home: Path, env: Mapping[str, str], patience_seconds: float) -> None:
    path = home / "logs" / "db-migrate.log"
    with path.open("wb") as output:
        try:
            done = subprocess.run(
                [sys.executable, "-m", "airflow", "db", "migrate"],
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                timeout=patience_seconds,
                check=False,
            )
        except subprocess.TimeoutExpired as exc:
            raise _component_failed(home, "db-migrate", "did not finish in time") from exc
    if done.returncode != 0:
        raise _component_failed(home, "db-migrate", f"ended with code {done.returncode}")


def _launch(name: str, home: Path, env: Mapping[str, str]) -> int:
    with (home / "logs" / f"{name}.log").open("ab") as output:
        process = subprocess.Popen(  # noqa: S603 - our own interpreter, fixed arguments
            [sys.executable, "-m", "airflow", *COMPONENTS[name]],
            env=env,
            cwd=home,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    # The process outlives this one on purpose; without this, Python warns about it.
    process.returncode = 0
    return process.pid


def _wait_until_healthy(running: RunningAirflow, patience_seconds: float) -> None:
    started = time.monotonic()
    for attempt in tenacity.Retrying(
        stop=tenacity.stop_after_delay(patience_seconds),
        wait=tenacity.wait_fixed(0.25),
        retry=tenacity.retry_if_exception_type((httpx.HTTPError, _NotYet)),
        reraise=True,
    ):
        with attempt:
            running.check()
            try:
                _ask_health(running)
            except (httpx.HTTPError, _NotYet) as exc:
                if time.monotonic() - started >= patience_seconds:
                    name = exc.component if isinstance(exc, _NotYet) else "api-server"
                    raise _component_failed(
                        running.home, name, f"was not healthy after {patience_seconds:.0f} s"
                    ) from exc
                raise


class _NotYet(Exception):
    def __init__(self, component: str) -> None:
        self.component = component
        super().__init__(component)


def _ask_health(running: RunningAirflow) -> None:
    answer = httpx.get(f"{running.url}/api/v2/monitor/health", timeout=10, trust_env=False)
    answer.raise_for_status()
    health: dict[str, dict[str, Any] | None] = answer.json()
    for name, key in _HEALTH_NAMES.items():
        if name in running.pids and (health.get(key) or {}).get("status") != "healthy":
            raise _NotYet(name)


def _component_failed(home: Path, name: str, what: str) -> BadConfiguration:
    path = home / "logs" / f"{name}.log"
    return BadConfiguration(
        f"Airflow's {name} {what}",
        where=str(home),
        fix=f"see {path}, which ends:\n{log_tail(path)}",
    )


def _processes(token: str) -> list[psutil.Process]:
    ours: dict[int, psutil.Process] = {}
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.environ().get(TOKEN_VARIABLE) == token and _runs(process):
                ours[process.pid] = process
                ours.update({child.pid: child for child in process.children(recursive=True)})
    ours.pop(os.getpid(), None)
    return [process for process in ours.values() if _runs(process)]


def _runs(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running()) and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _alive(pid: int, token: str) -> bool:
    try:
        process = psutil.Process(pid)
        return _runs(process) and process.environ().get(TOKEN_VARIABLE) == token
    except psutil.Error:
        return False


def _write_state(home: Path, running: RunningAirflow) -> None:
    state = {"url": running.url, "token": running.token, "pids": dict(running.pids)}
    temporary = home / f"{_STATE}.tmp"
    write_private(temporary, json.dumps(state))
    temporary.replace(home / _STATE)


def _read_state(home: Path) -> dict[str, Any] | None:
    try:
        state = json.loads((home / _STATE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return state if isinstance(state, dict) else None
