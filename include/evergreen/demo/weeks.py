"""The demo's second part: the weeks after the last retrain, each scored, checked, and waited for.

A week is scored by the champion of its time, so a retrain that an alarm started must end before the
next week is scored. Each week is a backfill of one interval of each DAG.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TypeVar

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from evergreen.demo.airflow_api import FINISHED, AirflowApi, DagRun
from evergreen.demo.airflow_home import RunningAirflow
from evergreen.demo.progress import wait_until
from evergreen.names import monitor_dag_id, retrain_dag_id, score_dag_id
from evergreen.ports import Ledger
from evergreen.results import RunReport, from_json
from evergreen.retraining import PastRequest
from evergreen.settings import Settings
from evergreen.text import plain
from evergreen.watch_questions import past_requests
from evergreen.watch_results import RetrainDecision, Scored, Verdict
from evergreen.wiring import open_ledger

_T = TypeVar("_T")

CHECKED_AT_HOUR = 6


@dataclass(frozen=True, slots=True)
class Week:
    """A week as the ledger tells it; `came_of` is what the retrain came to that its check asked for."""

    as_of: datetime
    scored: Scored | None
    verdict: Verdict | None
    decision: RetrainDecision | None
    came_of: str | None


def play_weeks(
    airflow: RunningAirflow,
    api: AirflowApi,
    settings: Settings,
    model: str,
    mondays: Sequence[date],
    console: Console,
) -> None:
    """Backfill scoring and check of each week that begins on one of these Mondays, in order.

    Raises:
        RunFailed: a run failed, or nothing moved for a quarter of an hour.
    """
    dag_ids = [score_dag_id(model), monitor_dag_id(model)]
    api.wait_for_dags(dag_ids)
    for dag_id in dag_ids:
        api.unpause(dag_id)
    for monday in mondays:
        with console.status(f"The week of {monday}: scoring, then checking ..."):
            for dag_id in dag_ids:
                _one_interval(airflow, api, dag_id, monday)
            wait_until(
                airflow, api, [retrain_dag_id(model)], lambda runs: _all_over(runs, settings, model)
            )


def _one_interval(airflow: RunningAirflow, api: AirflowApi, dag_id: str, monday: date) -> None:
    def over(runs: Sequence[DagRun]) -> bool:
        return any(run.day == monday and run.state == "success" for run in runs)

    if over(api.runs([dag_id])):
        return
    api.end_backfills(dag_id)
    api.backfill(dag_id, monday, monday)
    wait_until(airflow, api, [dag_id], over)


def _all_over(runs: Sequence[DagRun], settings: Settings, model: str) -> bool:
    """Return whether every request was served: its run may not be there yet when its check is over."""
    with open_ledger(settings) as ledger:
        waiting = [past for past in past_requests(ledger, model) if past.open]
    return not waiting and all(run.state in FINISHED for run in runs)


def read_weeks(settings: Settings, model: str, mondays: Sequence[date]) -> list[Week]:
    """Return what the ledger holds of the weeks that begin on these Mondays."""
    with open_ledger(settings) as ledger:
        scored = {one.window.end: one for one in _bodies(ledger, model, "scored", Scored)}
        judged = {one.as_of: one for one in _bodies(ledger, model, "verdict", Verdict)}
        decided = {one.as_of: one for one in _bodies(ledger, model, "retrain_decided", RetrainDecision)}
        asked = {past.request.as_of: past for past in past_requests(ledger, model)}
        reports = {one.run_key: one for one in _bodies(ledger, model, "run_finished", RunReport)}
    return [
        Week(
            as_of=as_of,
            scored=scored.get(as_of),
            verdict=judged.get(as_of),
            decision=decided.get(as_of),
            came_of=_came_of(asked.get(as_of), reports),
        )
        for as_of in map(as_of_week, mondays)
    ]


def as_of_week(monday: date) -> datetime:
    """Return the as-of of the check of the week that begins on a Monday."""
    begin = datetime(monday.year, monday.month, monday.day, CHECKED_AT_HOUR, tzinfo=UTC)
    return begin + timedelta(days=7)


def print_weeks(console: Console, model: str, weeks: Sequence[Week]) -> None:
    """Print the weeks as a table that fits 80 columns, and below it why."""
    table = Table(
        title=f"{model}, watched week by week",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        collapse_padding=True,
    )
    for heading in ("Week until", "Served by", "Rows", "Verdict", "Decision", "Retrain"):
        table.add_column(heading, no_wrap=True, justify="right" if heading == "Rows" else "left")
    for week in weeks:
        table.add_row(
            f"{week.as_of:%d %b %Y}",
            f"v{week.scored.version}" if week.scored and week.scored.version else "-",
            f"{week.scored.rows:,}" if week.scored else "-",
            _answer(week.verdict),
            week.decision.action if week.decision else "-",
            (week.came_of or "-").partition(":")[0],
        )
    console.print()
    console.print(table)
    for week in weeks:
        if week.verdict is None or week.decision is None or week.verdict.answer == "quiet":
            continue
        for line in (*week.verdict.words[:1], *week.decision.reasons[:1], week.came_of):
            if line:
                said = f"  {week.as_of:%d %b}  {escape(plain(line))}"
                console.print(said, highlight=False, soft_wrap=True)


def _answer(verdict: Verdict | None) -> str:
    if verdict is None:
        return "-"
    return f"{verdict.answer}: {verdict.spoke}" if verdict.spoke else verdict.answer


def _came_of(past: PastRequest | None, reports: Mapping[str, RunReport]) -> str | None:
    """Return what became of a request: its outcome, then what its run said."""
    if past is None:
        return None
    report = reports.get(past.taken_by or "")
    outcome = past.outcome or "open"
    return outcome if report is None else f"{outcome}: {report.summary}"


def _bodies(ledger: Ledger, model: str, kind: str, result: type[_T]) -> list[_T]:
    return [from_json(result, entry.body) for entry in ledger.entries(model=model, kind=kind)]
