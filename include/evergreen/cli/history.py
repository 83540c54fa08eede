"""`evergreen history`: every run of a model, what it decided and why."""

from __future__ import annotations

from argparse import Namespace

from rich.table import Table

from evergreen.cli.commands import OK
from evergreen.cli.output import say, say_json, say_table
from evergreen.evidence.headline import headline
from evergreen.ledger.questions import PastRun
from evergreen.ledger.questions import history as history_of
from evergreen.results import to_json
from evergreen.settings import Settings
from evergreen.text import plain
from evergreen.wiring import open_ledger


def history(arguments: Namespace) -> int:
    """Print the model's runs, oldest first."""
    with open_ledger(Settings.from_environment()) as ledger:
        runs = history_of(ledger, arguments.name)
    if arguments.json:
        say_json([to_json(run) for run in runs])
    elif not runs:
        say(f"the ledger knows no run of {arguments.name!r}")
    else:
        table = Table("as of", "champion", "challenger", "decision", "difference", "why", box=None)
        for run in runs:
            table.add_row(*map(plain, _cells(run)))
        say_table(table)
    return OK


def _cells(run: PastRun) -> tuple[str, ...]:
    interval = run.comparison.against.interval if run.comparison else None
    if run.decision == "failed" and run.failure is not None:
        why = f"{run.failure.step}: {run.failure.message}"
    elif run.decision == "unfinished":
        why = "at work, or stopped; then the same run, started again, goes on where it stopped"
    elif run.comparison is not None:
        why = headline(run.comparison)
    else:
        why = run.summary.partition(": ")[2]
    return (
        "-" if run.as_of is None else f"{run.as_of:%Y-%m-%d %H:%M}",
        _version(run.champion_before),
        _version(run.challenger),
        _decision(run),
        "" if interval is None else f"{interval.estimate:+.4g}",
        why,
    )


def _decision(run: PastRun) -> str:
    undecided = run.comparison is not None and run.comparison.decision == "inconclusive"
    return "inconclusive" if run.decision == "kept" and undecided else run.decision


def _version(number: int | None) -> str:
    return "-" if number is None else f"v{number}"
