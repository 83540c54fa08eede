"""Watches runs until all of them are over, and shows what each is doing."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, date, datetime

from rich.console import Console
from rich.live import Live
from rich.table import Table

from evergreen.demo.airflow_api import FINISHED, AirflowApi, DagRun, TaskRun
from evergreen.demo.airflow_home import RunningAirflow
from evergreen.errors import EvergreenError
from evergreen.names import retrain_dag_id

POLL_SECONDS = 1.5
STALLED_AFTER_SECONDS = 900


class RunFailed(EvergreenError):
    """A run of the demo failed; the message holds the end of its log."""


@dataclass(frozen=True, slots=True)
class Cell:
    """What is shown of one run."""

    text: str
    seconds: float | None = None
    finished: bool = False


Board = Mapping[tuple[str, date], Cell]


def watch(
    airflow: RunningAirflow,
    api: AirflowApi,
    models: Sequence[str],
    months: Sequence[date],
    console: Console,
) -> dict[tuple[str, date], DagRun]:
    """Show the runs of every model and month until all have succeeded, and return them.

    On a terminal a table is kept up to date; elsewhere each change is a line.

    Raises:
        RunFailed: a run failed, or nothing moved for a quarter of an hour.
        BadConfiguration: a part of Airflow ended.
    """
    board: dict[tuple[str, date], Cell] = {
        (model, month): Cell("waiting") for model in models for month in months
    }
    moved = time.monotonic()
    live = Live(console=console, refresh_per_second=4) if console.is_terminal else nullcontext()
    with live as screen:
        while True:
            airflow.check()
            runs = _by_month(api.runs(map(retrain_dag_id, models)), models, months)
            fresh = {place: _cell(api, runs.get(place)) for place in board}
            changed = [place for place in board if fresh[place].text != board[place].text]
            moved = time.monotonic() if changed else moved
            board = fresh
            if screen is not None:
                screen.update(_table(board, models, months))
            else:
                _print_changes(console, board, changed)
            failed = [run for run in runs.values() if run.state == "failed"]
            if failed:
                raise _run_failed(api, failed[0])
            if all(cell.finished for cell in board.values()):
                return runs
            if time.monotonic() - moved > STALLED_AFTER_SECONDS:
                raise RunFailed("nothing has moved for 15 minutes", where=str(airflow.home / "logs"))
            time.sleep(POLL_SECONDS)


def wait_until(
    airflow: RunningAirflow,
    api: AirflowApi,
    dag_ids: Sequence[str],
    done: Callable[[Sequence[DagRun]], bool],
) -> list[DagRun]:
    """Return the runs of some DAGs, oldest first, once they are as `done` says.

    Raises:
        RunFailed: a run failed, or a quarter of an hour has passed.
        BadConfiguration: a part of Airflow ended.
    """
    began = time.monotonic()
    while True:
        airflow.check()
        runs = api.runs(dag_ids)
        failed = [run for run in runs if run.state == "failed"]
        if failed:
            raise _run_failed(api, failed[0])
        if done(runs):
            return runs
        if time.monotonic() - began > STALLED_AFTER_SECONDS:
            raise RunFailed("nothing has ended for 15 minutes", where=str(airflow.home / "logs"))
        time.sleep(POLL_SECONDS)


def _by_month(
    runs: Sequence[DagRun], models: Sequence[str], months: Sequence[date]
) -> dict[tuple[str, date], DagRun]:
    dags = {retrain_dag_id(model): model for model in models}
    wanted = {(month.year, month.month): month for month in months}
    return {
        (dags[run.dag_id], wanted[run.day.year, run.day.month]): run
        for run in runs
        if run.day is not None
        and (run.day.year, run.day.month) in wanted
        and run.run_id.startswith("backfill")
    }


def _cell(api: AirflowApi, run: DagRun | None) -> Cell:
    if run is None or run.state == "queued":
        return Cell("waiting")
    seconds = ((run.ended or datetime.now(UTC)) - run.started).total_seconds() if run.started else None
    if run.state in FINISHED:
        return Cell("done" if run.state == "success" else "failed", seconds, run.state == "success")
    return Cell(_step(api.tasks(run)), seconds)


def _step(tasks: Sequence[TaskRun]) -> str:
    for state, words in (("up_for_retry", "{}: will try again"), ("running", "{}"), ("queued", "{}")):
        for task in tasks:
            if task.state == state:
                attempt = f" (try {task.try_number})" if task.try_number > 1 else ""
                return words.format(task.task_id) + attempt
    return "scheduling"


def _table(board: Board, models: Sequence[str], months: Sequence[date]) -> Table:
    table = Table("Month", *models, title="Retraining month by month")
    for month in months:
        table.add_row(f"{month:%B %Y}", *(_shown(board[model, month]) for model in models))
    return table


def _shown(cell: Cell) -> str:
    if cell.text == "waiting":
        return "[dim]waiting[/]"
    colour = "green" if cell.finished else "red" if cell.text == "failed" else "yellow"
    seconds = "" if cell.seconds is None else f" [dim]{cell.seconds:.0f} s[/]"
    return f"[{colour}]{cell.text}[/]{seconds}"


def _print_changes(console: Console, board: Board, changed: Sequence[tuple[str, date]]) -> None:
    for model, month in changed:
        cell = board[model, month]
        seconds = (
            f" after {cell.seconds:.0f} s" if cell.seconds and cell.text in {"done", "failed"} else ""
        )
        console.print(f"{month:%Y-%m} {model}: {cell.text}{seconds}", highlight=False)


def _run_failed(api: AirflowApi, run: DagRun) -> RunFailed:
    failed = [task for task in api.tasks(run) if task.state == "failed"]
    if not failed:
        return RunFailed("the run failed before any task of it", where=f"{run.dag_id} {run.run_id}")
    first = min(failed, key=lambda task: task.started or datetime.max.replace(tzinfo=UTC))
    return RunFailed(
        f"task {first.task_id} failed",
        where=f"{run.dag_id} {run.run_id}",
        fix=f"its log ends:\n{api.log(first)}",
    )
