"""A retrain through CeleryExecutor beside the same retrain through LocalExecutor, task by task.

Both run in the deployment of `docker-compose.yaml`, started by hand on one machine: the same PostgreSQL,
MLflow server, S3 (moto) and API server, one after the other; only who runs the tasks differs. *Between*
is the time from the end of a task to the start of the next: the scheduler's loop, and for Celery the way
through Redis to a worker. *Running* is the time from Airflow's start of a task to its end, the same work
in both. The first retrain of each is left out.
"""

from __future__ import annotations

import argparse
import json
import logging
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from statistics import median

from moto.server import ThreadedMotoServer

from evergreen.demo.airflow_api import DagRun
from tests.integration.airflow_world import NOW, lay_out, model_text
from tests.integration.compose_world import WORKERS, ComposeWorld, compose_world

EXECUTORS = {"CeleryExecutor": "by_celery", "LocalExecutor": "by_local"}


@dataclass(frozen=True, slots=True)
class Seconds:
    """Of the tasks of some runs of one executor."""

    between: list[float]
    running: list[float]
    whole: list[float]


def measure(count: int) -> dict[str, Seconds]:
    """Retrain so often, and once more at first, with each executor."""
    logging.getLogger("werkzeug").setLevel(logging.WARNING)  # moto's line for each request
    store = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    store.start()
    try:
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            models = lay_out(folder)
            for model in EXECUTORS.values():
                (models / f"{model}.yaml").write_text(model_text(model))
            host, port = store.get_host_and_port()
            warehouse = {"conn_type": "sqlite", "host": str(folder / "warehouse.db")}
            with (
                compose_world(folder, f"http://{host}:{port}", {"warehouse": warehouse}) as world,
                world.api,
            ):
                world.api.wait_for_dags([f"{model}__retrain" for model in EXECUTORS.values()])
                by_celery = retrains(world, EXECUTORS["CeleryExecutor"], count)
                run_tasks_locally(world)
                by_local = retrains(world, EXECUTORS["LocalExecutor"], count)
    finally:
        store.stop()
    return {"CeleryExecutor": by_celery, "LocalExecutor": by_local}


def run_tasks_locally(world: ComposeWorld) -> None:
    """End the workers, and let the scheduler do what they did, with what they were given."""
    for name in ("scheduler", *WORKERS):
        world.kill(name)
    scheduler, worker = world.services["scheduler"], world.services["worker"]
    executor = {"AIRFLOW__CORE__EXECUTOR": "LocalExecutor"}
    both = replace(
        scheduler,
        environment={**worker.environment, **scheduler.environment, **executor},
        secrets=(*dict.fromkeys((*scheduler.secrets, *worker.secrets)),),
    )
    process = world.deployment.start(both)
    world.airflow = replace(world.airflow, pids={**world.airflow.pids, "scheduler": process.pid})
    time.sleep(5)  # the health page tells of the scheduler that was killed for a moment longer
    world.deployment.wait_until_healthy(both)


def retrains(world: ComposeWorld, model: str, count: int) -> Seconds:
    """Retrain one after another as of successive days; return the seconds of all but the first."""
    dag_id = f"{model}__retrain"
    world.api.unpause(dag_id)
    for number in range(count + 1):
        as_of = NOW - timedelta(days=count - number)
        assert world.finished(dag_id, world.api.trigger(dag_id, as_of=as_of.isoformat())) == "success"
    return seconds(world, world.api.runs([dag_id])[1:])


def seconds(world: ComposeWorld, runs: Iterable[DagRun]) -> Seconds:
    """Return the seconds of the runs' tasks that were run."""
    found = Seconds([], [], [])
    for run in runs:
        ran = sorted(
            (task.started, task.ended)
            for task in world.api.tasks(run)
            if task.state == "success" and task.started and task.ended
        )
        found.running.extend((ended - started).total_seconds() for started, ended in ran)
        found.between.extend((after[0] - before[1]).total_seconds() for before, after in pairwise(ran))
        assert run.started is not None
        assert run.ended is not None
        found.whole.append((run.ended - run.started).total_seconds())
    return found


def markdown(figures: dict[str, Seconds]) -> str:
    """Return the medians as Markdown."""
    lines = ["| | between two tasks, s | running, s | a retrain, s |", "|---|---|---|---|"]
    for executor, found in figures.items():
        lines.append(
            f"| {executor} | {median(found.between):.2f} | {median(found.running):.2f} "
            f"| {median(found.whole):.1f} |"
        )
    celery, local = figures["CeleryExecutor"], figures["LocalExecutor"]
    each = median(celery.between) + median(celery.running)
    beside = median(local.between) + median(local.running)
    lines += [
        "",
        f"Medians of {len(celery.running)} and {len(local.running)} tasks. A task through Celery takes "
        f"**{each - beside:+.2f} s** ({each:.2f} s instead of {beside:.2f} s from the end of the one "
        "before to its own end).",
    ]
    return "\n".join(lines)


def main() -> None:
    """Measure, print Markdown, and write JSON where asked."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--count", type=int, default=5, help="how many retrains each")
    parser.add_argument("--out", type=Path, help="write the figures as JSON")
    arguments = parser.parse_args()
    figures = measure(arguments.count)
    print(markdown(figures))
    if arguments.out:
        plain = {
            executor: {"between": found.between, "running": found.running, "whole": found.whole}
            for executor, found in figures.items()
        }
        arguments.out.write_text(json.dumps(plain, indent=2) + "\n")


if __name__ == "__main__":
    main()
