"""What the demo shows while runs go on, with an Airflow that is told what to answer."""

import io
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from rich.console import Console

from evergreen.comparison import Interval
from evergreen.demo import progress
from evergreen.demo.airflow_api import DagRun, TaskRun
from evergreen.demo.summary import Month, print_months

MARCH, APRIL = date(2013, 3, 1), date(2013, 4, 1)
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)


def run_of(month, state, seconds=None, kind="backfill"):
    ended = BEGAN + timedelta(seconds=seconds) if seconds else None
    return DagRun("m__retrain", f"{kind}__{month}", state, month, BEGAN, ended)


class Scripted:
    """Answers each poll with the next scene: the runs, and the running step of each month."""

    def __init__(self, *scenes):
        self.scenes = list(scenes)
        self.scene = None

    def runs(self, dag_ids):
        assert list(dag_ids) == ["m__retrain"]
        self.scene = self.scenes.pop(0)
        return [run for run, _ in self.scene]

    def tasks(self, run):
        states = dict(next(states for other, states in self.scene if other == run))
        return [
            TaskRun(run.dag_id, run.run_id, task_id, state, attempt, BEGAN + timedelta(seconds=n), None)
            for n, (task_id, (state, attempt)) in enumerate(states.items())
        ]

    def log(self, task):
        return f"log of {task.task_id}"


class Healthy:
    home = Path("airflow")

    def check(self):
        pass


def watch(api, months, monkeypatch):
    monkeypatch.setattr(progress, "POLL_SECONDS", 0)
    output = io.StringIO()
    console = Console(file=output, width=200)
    try:
        return progress.watch(Healthy(), api, ["m"], months, console), output
    finally:
        api.output = output.getvalue()


def test_each_change_is_a_line_and_the_runs_come_back(monkeypatch):
    api = Scripted(
        [],
        [(run_of(MARCH, "running"), {"ingest": ("success", 1), "train": ("running", 1)})],
        [(run_of(MARCH, "running"), {"ingest": ("success", 1), "train": ("running", 1)})],
        [
            (run_of(MARCH, "success", 40), {}),
            (run_of(APRIL, "running"), {"ingest": ("up_for_retry", 2)}),
        ],
        [(run_of(MARCH, "success", 40), {}), (run_of(APRIL, "success", 50), {})],
    )
    runs, _ = watch(api, [MARCH, APRIL], monkeypatch)
    assert api.output.splitlines() == [
        "2013-03 m: train",
        "2013-03 m: done after 40 s",
        "2013-04 m: ingest: will try again (try 2)",
        "2013-04 m: done after 50 s",
    ]
    assert [run.state for run in runs.values()] == ["success", "success"]


def test_a_failed_run_is_told_with_the_log_of_its_first_failed_task(monkeypatch):
    tasks = {"ingest": ("success", 1), "train": ("failed", 1), "report": ("failed", 1)}
    api = Scripted([(run_of(MARCH, "failed", 40), tasks)])
    with pytest.raises(progress.RunFailed, match="task train failed") as raised:
        watch(api, [MARCH], monkeypatch)
    assert "log of train" in str(raised.value)


def test_runs_that_were_not_asked_for_are_left_out(monkeypatch):
    api = Scripted(
        [(run_of(MARCH, "failed", 1, kind="manual"), {}), (run_of(APRIL, "failed", 1), {})],
        [(run_of(MARCH, "success", 40), {})],
    )
    runs, _ = watch(api, [MARCH], monkeypatch)
    assert list(runs) == [("m", MARCH)]


def test_a_run_that_does_not_move_is_given_up(monkeypatch):
    monkeypatch.setattr(progress, "STALLED_AFTER_SECONDS", -1)
    api = Scripted([(run_of(MARCH, "running"), {"train": ("running", 1)})])
    with pytest.raises(progress.RunFailed, match="nothing has moved"):
        watch(api, [MARCH], monkeypatch)


def test_the_table_of_months_fits_eighty_columns_and_says_why():
    output = io.StringIO()
    month = Month(
        APRIL,
        champion_before=11,
        challenger=12,
        metric="log_loss",
        higher_is_better=False,
        compared_with="champion",
        difference=Interval(-0.06818, -0.1002, -0.03612, 0.95),
        outcome="promoted",
        reasons=("beats the baseline [x]", "not worse"),
        seconds=49.4,
    )
    print_months(Console(file=output, width=80), "flight_delay", [month])
    lines = output.getvalue().splitlines()
    row = next(line for line in lines if "v11" in line)
    assert " ".join(row.split()) == "Apr 2013 v11 v12 -0.0682 (-0.1002 to -0.0361) promoted 49 s"
    assert "…" not in output.getvalue()
    assert lines[-1].strip() == "Apr 2013  beats the baseline [x]; not worse"
