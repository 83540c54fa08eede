"""Carries out faults. Each returns what it hit, for the log, or None where nothing was there."""

from __future__ import annotations

import os
import re
import signal
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import psutil
import tenacity

from tests.chaos.world import LEASE_SECONDS, World

Hit = dict[str, Any]
_T = TypeVar("_T")

AWAY_SECONDS = {"api_server_away": 60.0, "registry_away": 30.0}
DISK_FULL_SECONDS = 20.0
STOPPED_SECONDS = LEASE_SECONDS + 15.0
WAIT_SECONDS = 20.0
"""How long a fault waits for a task that it can hit."""
_TASK = re.compile(r"airflow worker -- ([0-9a-f-]{36})")
"""What the process of a task is called. LocalExecutor's own are called otherwise."""


def one_of(candidates: Sequence[_T], pick: float) -> _T | None:
    """Return the candidate that a pick in [0, 1) stands for, or None where there is none."""
    return candidates[int(pick * len(candidates))] if candidates else None


def kill_task(world: World, pick: float) -> Hit | None:
    """Kill the process that runs a task's code; its supervisor tells Airflow."""
    return _signal_a_task(world, pick, signal.SIGKILL)


def kill_supervisor(world: World, pick: float) -> Hit | None:
    """Kill the process above a task: nobody tells Airflow, and its heartbeat stops."""
    process, hit = _a_task(world, pick)
    if process is None:
        return None
    with suppress(psutil.Error):
        parent = process.parent()
        if parent is not None and parent.pid not in world.airflow.pids.values():
            parent.kill()
            return hit | _now()
    return None


def stop_task(world: World, pick: float) -> Hit | None:
    """Stop a task's process until its lease has expired, then wake it. Takes its time."""
    hit = _signal_a_task(world, pick, signal.SIGSTOP)
    if hit is not None:
        time.sleep(STOPPED_SECONDS)
        with suppress(ProcessLookupError):
            os.kill(hit["pid"], signal.SIGCONT)
    return hit


def _kill_server(name: str) -> Callable[[World, float], Hit | None]:
    def kill(world: World, pick: float) -> Hit | None:
        pid = world.servers.kill(name)
        return None if pid is None else {"server": name, "pid": pid}

    return kill


def _away(name: str, move: str) -> Callable[[World, float], Hit | None]:
    def away(world: World, pick: float) -> Hit | None:
        world.servers.away(name, AWAY_SECONDS[move], signal.SIGTERM)
        return {"server": name, "seconds": AWAY_SECONDS[move]}

    return away


def database_restarted(world: World, pick: float) -> Hit | None:
    """End PostgreSQL at once, as `pg_ctl -m immediate` does, or by cutting its clients off."""
    how = signal.SIGQUIT if pick < 0.5 else signal.SIGINT
    world.servers.away("database", 1.0, how)
    return {"server": "database", "how": how.name}


def disk_full(world: World, pick: float) -> Hit | None:
    """Fill the store's disk for a while."""
    if world.disk is None:
        return None
    written = 0
    with tempfile.NamedTemporaryFile(buffering=0, dir=world.disk) as filler:
        with suppress(OSError):
            while True:
                written += filler.write(b"\0" * 4096)
        time.sleep(DISK_FULL_SECONDS)
    return {"disk": str(Path(world.disk).name), "bytes": written}


FAULTS: dict[str, Callable[[World, float], Hit | None]] = {
    "kill_task": kill_task,
    "kill_supervisor": kill_supervisor,
    "kill_scheduler": _kill_server("scheduler"),
    "kill_dag_processor": _kill_server("dag-processor"),
    "kill_triggerer": _kill_server("triggerer"),
    "kill_api_server": _kill_server("api-server"),
    "kill_registry": _kill_server("registry"),
    "stop_task": stop_task,
    "api_server_away": _away("api-server", "api_server_away"),
    "registry_away": _away("registry", "registry_away"),
    "database_restarted": database_restarted,
    "disk_full": disk_full,
}


@tenacity.retry(
    stop=tenacity.stop_after_delay(WAIT_SECONDS),
    wait=tenacity.wait_fixed(0.5),
    retry=tenacity.retry_if_result(lambda found: found[0] is None),
    retry_error_callback=lambda _: (None, {}),
)
def _a_task(world: World, pick: float) -> tuple[psutil.Process | None, Hit]:
    """Return one of the tasks that run, or of the next that will."""
    tasks: list[tuple[str, psutil.Process]] = []
    for process in world.airflow.processes():
        with suppress(psutil.Error, IndexError):
            title = _TASK.fullmatch(process.cmdline()[0])
            if title and process.status() != psutil.STATUS_STOPPED:
                tasks.append((title[1], process))
    chosen = one_of(sorted(tasks, key=lambda task: task[0]), pick)
    return (None, {}) if chosen is None else (chosen[1], {"task": chosen[0], "pid": chosen[1].pid})


def _signal_a_task(world: World, pick: float, sent: signal.Signals) -> Hit | None:
    process, hit = _a_task(world, pick)
    if process is None:
        return None
    try:
        process.send_signal(sent)
    except psutil.Error:
        return None
    return hit | _now()


def _now() -> Hit:
    """Return when a signal was sent: the task to be hit may have begun after the move."""
    return {"sent": datetime.now(UTC).isoformat()}
