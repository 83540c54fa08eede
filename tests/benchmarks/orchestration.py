"""A retrain in Airflow beside the same retrain by `evergreen run`, and where the difference goes.

Both retrain the demo's `flight_delay` as of the same instant on the same warehouse, each with a home of
its own, one after the other. In Airflow a task's seconds are those of its process, start included.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from datetime import UTC, date, datetime
from pathlib import Path
from statistics import median
from typing import Any

import tenacity

from evergreen.demo.airflow_api import AirflowApi, DagRun
from evergreen.demo.airflow_home import start_airflow
from evergreen.demo.flights import load_warehouse
from evergreen.names import retrain_dag_id
from evergreen.steps import STEPS

ROOT = Path(__file__).parents[2]
MODEL = "flight_delay"
MONTHS = (3, 4, 5)
_STEP_LINE = re.compile(r"^(\w+)\s+([\d.]+) s$", re.MULTILINE)


def run() -> dict[str, Any]:
    """Return seconds by step and in all, for each month both ways."""
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        load_warehouse(root / "flights.db")
        return {"airflow": in_airflow(root), "alone": alone(root)}


def environment(root: Path, home: str) -> dict[str, str]:
    """Return what both ways are given alike."""
    return {
        "EVERGREEN_HOME": str(root / home),
        "AIRFLOW_CONN_FLIGHTS_WAREHOUSE": f"sqlite:///{root / 'flights.db'}",
        "OMP_NUM_THREADS": "1",
        "AIRFLOW__SCHEDULER__USE_JOB_SCHEDULE": "False",
    }


def in_airflow(root: Path) -> list[dict[str, float]]:
    """Backfill the months in a real Airflow and return the seconds of their tasks."""
    dag_id = retrain_dag_id(MODEL)
    airflow = start_airflow(
        root / "airflow", ROOT / "dags", port=18080, extra_env=environment(root, "by-airflow")
    )
    try:
        with AirflowApi(airflow) as api:
            api.wait_for_dags([dag_id])
            api.backfill(dag_id, date(2013, MONTHS[0], 1), date(2013, MONTHS[-1], 28))
            api.unpause(dag_id)
            for attempt in tenacity.Retrying(
                stop=tenacity.stop_after_delay(900), wait=tenacity.wait_fixed(1), reraise=True
            ):
                with attempt:
                    runs = api.runs([dag_id])
                    assert len(runs) == len(MONTHS)
                    assert {run.state for run in runs} == {"success"}
            return [_seconds(api, run) for run in sorted(runs, key=lambda run: str(run.day))]
    finally:
        airflow.stop()


def _seconds(api: AirflowApi, run: DagRun) -> dict[str, float]:
    assert run.started is not None
    assert run.ended is not None
    seconds = {
        task.task_id: (task.ended - task.started).total_seconds()
        for task in api.tasks(run)
        if task.started and task.ended
    }
    return {**seconds, "in all": (run.ended - run.started).total_seconds()}


def alone(root: Path) -> list[dict[str, float]]:
    """Run the same months by `evergreen run` and return the seconds of their steps."""
    found = []
    for month in MONTHS:
        as_of = datetime(2013, month + 1, 1, 6, tzinfo=UTC)
        began = datetime.now(UTC)
        done = subprocess.run(
            [sys.executable, "-m", "evergreen.cli.main", "run", MODEL, "--as-of", as_of.isoformat()],
            cwd=ROOT,
            env={**os.environ, **environment(root, "alone")},
            capture_output=True,
            text=True,
            check=True,
        )
        seconds = {step: float(took) for step, took in _STEP_LINE.findall(done.stderr)}
        found.append({**seconds, "in all": (datetime.now(UTC) - began).total_seconds()})
    return found


def markdown(figures: dict[str, Any]) -> str:
    """Return the medians over the months as Markdown."""
    lines = ["| | in Airflow, s | `evergreen run`, s | difference, s |", "|---|---|---|---|"]
    ran = [step for step in STEPS if any(step in month for month in figures["airflow"])]
    for step in (*ran, "in all"):
        there = median(month.get(step, 0.0) for month in figures["airflow"])
        here = median(month.get(step, 0.0) for month in figures["alone"])
        lines.append(f"| {step} | {there:.1f} | {here:.1f} | {there - here:+.1f} |")
    tasks = median(sum(month.get(step, 0.0) for step in STEPS) for month in figures["airflow"])
    whole = median(month["in all"] for month in figures["airflow"])
    lines += [
        "",
        f"Medians of {len(MONTHS)} months. Of the {whole:.1f} s in Airflow, {whole - tasks:.1f} s lie "
        "between tasks: the scheduler's loop and the start of task processes.",
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
