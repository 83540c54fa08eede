"""What the fleet is asked to do meanwhile, through Airflow's API and the ledger."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import timedelta
from types import SimpleNamespace

from evergreen.demo.airflow_api import FINISHED
from evergreen.errors import BadConfiguration, EvergreenError
from evergreen.steps import requests
from evergreen.watch_results import RetrainRequest
from evergreen.wiring import open_ledger
from tests.chaos.faults import Hit, one_of
from tests.chaos.fleet import is_timed
from tests.chaos.world import World
from tests.integration.airflow_world import NOW, THIS_MONTH

MOST_RUNS = 12
"""With so many runs under way nothing more is asked for: the machine would only queue it."""
DAYS_BACK = 20


def retrain(world: World, pick: float) -> Hit | None:
    """Trigger a retrain as of a day of late."""
    return _trigger(world, "retrain", pick)


def monitor(world: World, pick: float) -> Hit | None:
    """Trigger a check."""
    return _trigger(world, "monitor", pick)


def ask(world: World, pick: float) -> Hit | None:
    """Put a request into the queue and wake the retrain once."""
    return _ask(world, pick, wake_ups=1)


def ask_unheard(world: World, pick: float) -> Hit | None:
    """Put a request into the queue; its event is lost."""
    return _ask(world, pick, wake_ups=0)


def ask_doubled(world: World, pick: float) -> Hit | None:
    """Put a request into the queue; its event arrives twice."""
    return _ask(world, pick, wake_ups=2)


def ask_shuffled(world: World, pick: float) -> Hit | None:
    """Ask for three models; the events arrive in another order."""
    draw = random.Random(pick)
    names = draw.sample(world.names, min(3, len(world.names)))
    asked = [(name, put_request(world, name, draw.random())) for name in names]
    for name, key in draw.sample(asked, len(asked)):
        world.api.emit(f"evergreen://{name}/retrain-request", request=key, reason="shuffled")
    return {"requests": [key for _, key in asked]}


def clear_task(world: World, pick: float) -> Hit | None:
    """Clear a task of a run that ended, with all that came after it: they run again."""
    return _clear(world, pick, ("ingest", "evaluate", "release"))


def clear_run(world: World, pick: float) -> Hit | None:
    """Clear a whole run that ended."""
    return _clear(world, pick, ("resolve_window",))


def backfill(world: World, pick: float) -> Hit | None:
    """Ask for the two months before this one."""
    name = one_of([name for name in world.names if is_timed(name)], pick)
    if name is None:
        return None
    last = (THIS_MONTH - timedelta(days=1)).replace(day=1)
    first = (last - timedelta(days=1)).replace(day=1)
    world.api.backfill(f"{name}__retrain", first.date(), last.date())
    return {"dag": f"{name}__retrain"}


WORK: dict[str, Callable[[World, float], Hit | None]] = {
    "retrain": retrain,
    "monitor": monitor,
    "ask": ask,
    "ask_unheard": ask_unheard,
    "ask_doubled": ask_doubled,
    "ask_shuffled": ask_shuffled,
    "clear_task": clear_task,
    "clear_run": clear_run,
    "backfill": backfill,
}


def put_request(world: World, name: str, pick: float) -> str:
    """Put a request into the queue, as a check does; once this returns it must not be lost."""
    as_of = NOW - timedelta(days=int(pick * DAYS_BACK))
    key = f"{name}/monitor/by-hand-{pick:.6f}"
    with open_ledger(world.settings) as ledger:
        lease = ledger.acquire(name, key, "monitor")
        request = RetrainRequest(key, as_of, "asked for by the chaos", "watch")
        requests.ask(SimpleNamespace(ledger=ledger), request, lease)
        ledger.free(lease)
    return key


def under_way(world: World) -> int:
    """Return how many runs have not ended."""
    return len([run for run in all_runs(world) if run["state"] not in FINISHED])


def all_runs(world: World) -> list[dict]:
    """Return every run that Airflow knows, as its API gives them."""
    found: list[dict] = []
    while True:
        asked = {"limit": 100, "offset": len(found), "order_by": "id"}
        page = world.api._send("GET", "/api/v2/dags/~/dagRuns", params=asked)["dag_runs"]
        found += page
        if len(page) < asked["limit"]:
            return found


def _trigger(world: World, kind: str, pick: float) -> Hit | None:
    draw = random.Random(pick)
    dag_id = f"{draw.choice(world.names)}__{kind}"
    as_of = NOW - timedelta(days=draw.randrange(DAYS_BACK))
    return {"dag": dag_id, "run": world.api.trigger(dag_id, as_of=as_of.isoformat(timespec="seconds"))}


def _ask(world: World, pick: float, wake_ups: int) -> Hit | None:
    draw = random.Random(pick)
    name = draw.choice(world.names)
    try:
        key = put_request(world, name, draw.random())
    except EvergreenError as exc:
        return {"refused": str(exc)[:200]}
    for _ in range(wake_ups):
        world.api.emit(f"evergreen://{name}/retrain-request", request=key, reason="asked")
    return {"requests": [key]}


def _clear(world: World, pick: float, tasks: tuple[str, ...]) -> Hit | None:
    draw = random.Random(pick)
    ended = [run for run in all_runs(world) if run["state"] in FINISHED and "__retrain" in run["dag_id"]]
    run = one_of(ended, draw.random())
    if run is None:
        return None
    task = draw.choice(tasks)
    body = {
        "dag_run_id": run["dag_run_id"],
        "task_ids": [task],
        "include_downstream": True,
        "only_failed": False,
        "dry_run": False,
    }
    try:
        world.api._send("POST", f"/api/v2/dags/{run['dag_id']}/clearTaskInstances", json=body)
    except BadConfiguration as exc:
        return {"refused": str(exc)[:200]}
    return {"dag": run["dag_id"], "run": run["dag_run_id"], "cleared": task}
