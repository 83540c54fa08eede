"""What the demo's runs came to, read from the ledger, and whether ledger, MLflow and target agree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from evergreen.comparison import Comparison, Interval
from evergreen.connections import from_environment
from evergreen.demo.airflow_api import DagRun
from evergreen.evidence.headline import reason
from evergreen.results import Release, RunReport, from_json
from evergreen.settings import Settings
from evergreen.steps.memory import last_entry, recall
from evergreen.text import plain
from evergreen.wiring import open_ledger, open_workspace
from evergreen.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Month:
    """One run as the ledger tells it. `seconds` lie between its first and its last entry."""

    month: date
    champion_before: int | None
    challenger: int | None
    metric: str
    higher_is_better: bool
    compared_with: str
    difference: Interval | None
    outcome: str
    reasons: tuple[str, ...]
    seconds: float


@dataclass(frozen=True, slots=True)
class Champion:
    """Which version is champion, asked in three places; None: there is none."""

    model: str
    ledger: int | None
    registry: int | None
    target: int | None

    @property
    def agree(self) -> bool:
        """Whether all three name the same version."""
        return self.ledger == self.registry == self.target


def read_months(settings: Settings, model: str, runs: Mapping[tuple[str, date], DagRun]) -> list[Month]:
    """Return what the ledger holds of a model's runs, by month."""
    with open_workspace(settings, from_environment) as workspace:
        return [
            _month(workspace, month, f"{model}/{run.run_id}")
            for (name, month), run in sorted(runs.items(), key=lambda item: item[0])
            if name == model
        ]


def read_champion(settings: Settings, model: str) -> Champion:
    """Ask ledger, registry and release target for the model's champion."""
    with open_workspace(settings, from_environment) as workspace:
        entry = workspace.ledger.last(model, "release")
        serving = workspace.deployer.serving(model)
        return Champion(
            model,
            from_json(Release, entry.body).version.number if entry else None,
            workspace.registry.champion(model),
            serving.version if serving else None,
        )


def audit(settings: Settings) -> str | None:
    """Return what is wrong with the ledger's chain, or None where it verifies."""
    with open_ledger(settings) as ledger:
        result = ledger.verify()
    return None if result.ok else f"entry {result.first_bad_seq}: {result.what}"


def print_months(console: Console, model: str, months: Sequence[Month]) -> None:
    """Print a model's months as a table that fits 80 columns, and below it why."""
    table = Table(
        title=f"{model}, month by month", box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True
    )
    for heading in ("Tested on", "Before", "New", "Difference, 95% interval", "Decision"):
        table.add_column(heading, no_wrap=True)
    table.add_column("Time", justify="right", no_wrap=True)
    for month in months:
        table.add_row(
            f"{month.month:%b %Y}",
            _version(month.champion_before),
            _version(month.challenger),
            _difference(month.difference),
            month.outcome,
            f"{month.seconds:.0f} s",
        )
    console.print()
    console.print(table)
    metric = months[0].metric if months else ""
    better = "positive" if any(month.higher_is_better for month in months) else "negative"
    console.print(
        f"Difference: {metric} of the challenger less that of the {_over(months)}; {better} is better.",
        highlight=False,
        soft_wrap=True,
    )
    for month in months:
        reasons = escape("; ".join(map(plain, month.reasons)))
        console.print(f"  {month.month:%b %Y}  {reasons}", highlight=False, soft_wrap=True)


def _month(workspace: Workspace, month: date, run_key: str) -> Month:
    comparison = recall(workspace, "comparison", run_key, Comparison)
    finished = last_entry(workspace, "run_finished", run_key)
    started = last_entry(workspace, "run_started", run_key)
    report = from_json(RunReport, finished.body) if finished else None
    return Month(
        month=month,
        champion_before=report.champion_before if report else None,
        challenger=report.challenger if report else None,
        metric=comparison.metric if comparison else "",
        higher_is_better=comparison.higher_is_better if comparison else False,
        compared_with="champion" if comparison and comparison.evidence.over_champion else "baseline",
        difference=comparison.against.interval if comparison else None,
        outcome=_outcome(report, comparison),
        reasons=(reason(comparison),) if comparison else (report.lines[-1:] if report else ()),
        seconds=(finished.at - started.at).total_seconds() if finished and started else 0.0,
    )


def _outcome(report: RunReport | None, comparison: Comparison | None) -> str:
    if report is None:
        return "unfinished"
    undecided = comparison is not None and comparison.decision == "inconclusive"
    return "inconclusive" if report.outcome == "kept" and undecided else report.outcome


def _version(number: int | None) -> str:
    return "-" if number is None else f"v{number}"


def _over(months: Sequence[Month]) -> str:
    if not any(month.compared_with == "champion" for month in months):
        return "baseline"
    if all(month.compared_with == "champion" for month in months):
        return "champion"
    return "champion (of the baseline where there was none)"


def _difference(interval: Interval | None) -> str:
    if interval is None:
        return "-"
    places = 4 if abs(interval.estimate) < 1 else 2
    estimate, low, high = (
        f"{value:+.{places}f}" for value in (interval.estimate, interval.low, interval.high)
    )
    return f"{estimate} ({low} to {high})"
