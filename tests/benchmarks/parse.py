"""Seconds and memory to parse models into DAGs: Evergreen, dag-factory, hand-written DAG files.

    python -m tests.benchmarks.parse [--out parse.json]

Every figure comes from a fresh child process that has imported Airflow already, as the dag-processor's
children have. All three build the same eight tasks of the same operators, with the same schedule,
Params, retries and tags. "A DAG" is what one
more DAG costs: (100 models - 1 model) / 99. The lowest of several rounds stands, in seconds of CPU,
since other work on the machine only ever adds.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from evergreen.steps import STEPS
from tests.airflow.conftest import model_text

ASKED_FOR = {"refit", "approve"}  # by other models than these
TASKS = tuple(step for step in STEPS if step not in ASKED_FOR)
MANY = 100
CROWD = 1000
ROUNDS = 3

_LOADER = "# dag airflow\n"

_OURS = (
    _LOADER
    + """from pathlib import Path
from evergreen_airflow.loader import load_models
load_models(Path(__file__).parent / "models", globals())
"""
)

_DAG_FACTORY = (
    _LOADER
    + """from pathlib import Path
from dagfactory import load_yaml_dags
folder = str(Path(__file__).parent / "models")
load_yaml_dags(globals(), dags_folder=folder, defaults_config_path=folder)
"""
)

_BY_HAND = """# airflow
from datetime import datetime, timedelta, timezone
from pathlib import Path
from airflow.sdk import DAG, Asset, AssetOrTimeSchedule, CronDataIntervalTimetable, Param
{imports}

with DAG(
    "{name}__retrain",
    description="Will a flight arrive more than 15 minutes late?",
    doc_md="How to resume after a failure",
    schedule=AssetOrTimeSchedule(
        timetable=CronDataIntervalTimetable("0 6 1 * *", timezone="UTC"),
        assets=[Asset(name="evergreen/{name}/retrain-request", uri="evergreen://{name}/retrain-request")],
    ),
    start_date=datetime(2013, 1, 1, tzinfo=timezone.utc),
    catchup=False,
    max_active_runs=1,
    tags=["evergreen", "model:{name}", "tier:medium"],
    params={{
        "as_of": Param(None, type=["null", "string"], format="date-time", title="As of"),
        "reason": Param("", type="string", maxLength=300, title="Reason"),
        "release": Param("auto", type="string", enum=["auto", "never"], title="Release"),
    }},
):
    common = dict(
        model="{name}",
        model_file=Path("models/{name}.yaml"),
        owner="ops@example.com",
        retries=3,
        retry_delay=timedelta(minutes=1),
        retry_exponential_backoff=2,
        max_retry_delay=timedelta(minutes=10),
    )
{tasks}
    {chain}
"""

_CHILD = """
import json, os, sys, time
import airflow.sdk
from airflow.dag_processing.dagbag import DagBag
import psutil
me = psutil.Process()
def cpu():
    return time.process_time()
rss, begun, wall = me.memory_info().rss, cpu(), time.perf_counter()
bag = DagBag(sys.argv[1])
took, wall = cpu() - begun, time.perf_counter() - wall
assert not bag.import_errors, bag.import_errors
assert all(len(dag.tasks) == 8 for dag in bag.dags.values())
print(json.dumps({
    "dags": len(bag.dags),
    "seconds": took,
    "wall": wall,
    "bytes": me.memory_info().rss - rss,
}))
"""


def write_ours(folder: Path, count: int) -> None:
    """Write `count` model files and their loader."""
    (folder / "models").mkdir()
    (folder / "evergreen_models.py").write_text(_OURS)
    for name in names(count):
        (folder / "models" / f"{name}.yaml").write_text(model_text(name))


def write_dag_factory(folder: Path, count: int) -> None:
    """Write `count` dag-factory files of one DAG each and their loader."""
    (folder / "models").mkdir()
    (folder / "dag_factory_models.py").write_text(_DAG_FACTORY)
    for name in names(count):
        tasks: dict[str, Any] = {}
        for before, step in zip((None, *TASKS), TASKS, strict=False):
            tasks[step] = {
                "operator": f"evergreen_airflow.operators.{step}.{class_of(step)}",
                "model": name,
                "model_file": f"models/{name}.yaml",
                "owner": "ops@example.com",
                "retries": 3,
                "retry_delay": {"__type__": "datetime.timedelta", "minutes": 1},
                "retry_exponential_backoff": 2,
                "dependencies": [before] if before else [],
            }
        dag = {
            "description": "Will a flight arrive more than 15 minutes late?",
            "doc_md": "How to resume after a failure",
            "schedule": {
                "__type__": "airflow.sdk.AssetOrTimeSchedule",
                "timetable": {
                    "__type__": "airflow.sdk.CronDataIntervalTimetable",
                    "__args__": ["0 6 1 * *"],
                    "timezone": "UTC",
                },
                "assets": [
                    {
                        "__type__": "airflow.sdk.Asset",
                        "name": f"evergreen/{name}/retrain-request",
                        "uri": f"evergreen://{name}/retrain-request",
                    }
                ],
            },
            "default_args": {"start_date": "2013-01-01"},
            "catchup": False,
            "max_active_runs": 1,
            "tags": ["evergreen", f"model:{name}", "tier:medium"],
            "params": {
                "as_of": _param(None, type=["null", "string"], format="date-time", title="As of"),
                "reason": _param("", type="string", maxLength=300, title="Reason"),
                "release": _param("auto", type="string", enum=["auto", "never"], title="Release"),
            },
            "tasks": tasks,
        }
        path = folder / "models" / f"{name}.yaml"
        path.write_text(yaml.safe_dump({f"{name}__retrain": dag}))


def _param(default: str | None, **schema: Any) -> dict[str, Any]:
    # dag-factory hands on what it reads: a null default has to be given by position.
    return {"__type__": "airflow.sdk.Param", "__args__": [default], **schema}


def write_by_hand(folder: Path, count: int) -> None:
    """Write `count` DAG files."""
    imports = "\n".join(
        f"from evergreen_airflow.operators.{step} import {class_of(step)}" for step in TASKS
    )
    tasks = "\n".join(f'    {step} = {class_of(step)}(task_id="{step}", **common)' for step in TASKS)
    for name in names(count):
        text = _BY_HAND.format(name=name, imports=imports, tasks=tasks, chain=" >> ".join(TASKS))
        (folder / f"{name}.py").write_text(text)


WRITERS: dict[str, Callable[[Path, int], None]] = {
    "Evergreen": write_ours,
    "dag-factory": write_dag_factory,
    "by hand": write_by_hand,
}


def names(count: int) -> list[str]:
    """Return `count` model names."""
    return [f"model_{number:04}" for number in range(count)]


def class_of(step: str) -> str:
    """Return the name of a step's operator class."""
    return "".join(part.title() for part in step.split("_")) + "Operator"


def measure(folder: Path, dag_id: str | None = None, rounds: int = ROUNDS) -> dict[str, float]:
    """Return the lowest figures of several fresh processes that parse `folder`."""
    environment = {
        **os.environ,
        "AIRFLOW_HOME": str(folder.parent / "home"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__DAG_FACTORY__ENABLE_TELEMETRY": "False",
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR",
    }
    if dag_id:
        environment["_AIRFLOW_PARSING_CONTEXT_DAG_ID"] = dag_id
        environment["_AIRFLOW_PARSING_CONTEXT_TASK_ID"] = TASKS[0]
    found = []
    for _ in range(rounds):
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", _CHILD, str(folder)],
            capture_output=True,
            text=True,
            env=environment,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(done.stderr[-3000:])
        found.append(json.loads(done.stdout.splitlines()[-1]))
    return {key: min(figures[key] for figures in found) for key in found[0]}


def run() -> dict[str, Any]:
    """Measure everything."""
    figures: dict[str, Any] = {"parse": {}, "task": {}}
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        for kind, write in WRITERS.items():
            for count in (1, MANY):
                folder = root / f"{kind}-{count}".replace(" ", "-")
                folder.mkdir()
                write(folder, count)
                figures["parse"].setdefault(kind, {})[str(count)] = measure(folder)
        for count in (1, CROWD):
            folder = root / f"task-{count}"
            folder.mkdir()
            write_ours(folder, count)
            figures["task"][str(count)] = measure(folder, dag_id=f"{names(count)[-1]}__retrain")
    return figures


def per_dag(figures: dict[str, Any], kind: str, what: str) -> float:
    """Return what one more DAG costs."""
    of_kind = figures["parse"][kind]
    return float((of_kind[str(MANY)][what] - of_kind["1"][what]) / (MANY - 1))


def markdown(figures: dict[str, Any]) -> str:
    """Return the figures as Markdown."""
    ours = {what: per_dag(figures, "Evergreen", what) for what in ("seconds", "bytes")}
    lines = [
        f"| | 1 model, s | {MANY} models, s | a DAG, ms | against Evergreen | a DAG, KiB |",
        "|---|---|---|---|---|---|",
    ]
    for kind, of_kind in figures["parse"].items():
        seconds, size = per_dag(figures, kind, "seconds"), per_dag(figures, kind, "bytes")
        lines.append(
            f"| {kind} | {of_kind['1']['seconds']:.3f} | {of_kind[str(MANY)]['seconds']:.3f} "
            f"| {seconds * 1000:.2f} | {seconds / ours['seconds']:.2f}x | {size / 1024:.0f} |"
        )
    one, crowd = figures["task"]["1"], figures["task"][str(CROWD)]
    lines += [
        "",
        "| a task's process, with | CPU, s | wall, s |",
        "|---|---|---|",
        f"| 1 model file | {one['seconds']:.3f} | {one['wall']:.3f} |",
        f"| {CROWD} model files | {crowd['seconds']:.3f} | {crowd['wall']:.3f} |",
    ]
    return "\n".join(lines)


def main() -> None:
    """Measure, print Markdown, and write JSON where asked."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, help="write the figures as JSON")
    arguments = parser.parse_args()
    figures = run()
    sys.stdout.write(markdown(figures) + "\n")
    if arguments.out:
        arguments.out.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
