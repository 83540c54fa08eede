"""`evergreen history`: every retrain of a model, or every check: what was decided and why."""

from __future__ import annotations

from argparse import Namespace

from rich.table import Table

from evergreen.approval import lets_release
from evergreen.approval_words import of_question, short_answer
from evergreen.cli.exit_codes import OK
from evergreen.cli.output import say, say_json, say_table
from evergreen.evidence.headline import headline
from evergreen.hand_questions import standing
from evergreen.ledger.questions import PastRun
from evergreen.ledger.questions import history as history_of
from evergreen.results import to_json
from evergreen.settings import Settings
from evergreen.text import plain
from evergreen.watch_questions import PastCheck
from evergreen.watch_questions import checks as checks_of
from evergreen.wiring import open_ledger

MOST_CHECKS = 100


def history(arguments: Namespace) -> int:
    """Print the model's retrains in the order in which they began, or its checks by as-of."""
    with open_ledger(Settings.from_environment()) as ledger:
        if arguments.watch:
            return _watched(checks_of(ledger, arguments.name), arguments)
        runs = history_of(ledger, arguments.name)
        stands = standing(ledger, arguments.name)
    if arguments.json:
        say_json([to_json(run) for run in runs])
    elif not runs:
        say(f"the ledger knows no run of {arguments.name!r}")
    else:
        table = Table("as of", "champion", "challenger", "decision", "difference", "why", box=None)
        for run in runs:
            table.add_row(*map(plain, _cells(run)))
        say_table(table)
    if not arguments.json:
        for line in stands.lines():
            say(line)
    return OK


def _watched(checks: list[PastCheck], arguments: Namespace) -> int:
    if arguments.json:
        say_json([to_json(check) for check in checks])
    elif not checks:
        say(f"the ledger knows no check of {arguments.name!r}")
    else:
        table = Table("as of", "champion", "check", "decision", "why", "retrain", box=None)
        for check in checks[-MOST_CHECKS:]:
            table.add_row(*map(plain, _cells_of_check(check)))
        say_table(table)
        if len(checks) > MOST_CHECKS:
            say(f"the newest {MOST_CHECKS} of {len(checks):,} checks; --json gives all")
    return OK


def _cells_of_check(check: PastCheck) -> tuple[str, ...]:
    verdict, decision = check.verdict, check.decision
    spoke = f" ({verdict.spoke})" if verdict.spoke else ""
    return (
        f"{verdict.as_of:%Y-%m-%d %H:%M}",
        _version(verdict.version),
        f"{verdict.answer}{spoke}",
        "undecided" if decision is None else decision.action,
        "" if decision is None else decision.reasons[0].removeprefix(f"{decision.action}: "),
        _became(check),
    )


def _became(check: PastCheck) -> str:
    """Return what became of the retrain that a check asked for."""
    past = check.request
    if past is None:
        return ""
    if past.superseded_by is not None:
        return f"{past.outcome}, with a later request, by {past.taken_by}"
    if past.outcome is not None:
        return f"{past.outcome} by {past.taken_by}"
    return "waits" if past.taken_by is None else f"taken by {past.taken_by}"


def _cells(run: PastRun) -> tuple[str, ...]:
    interval = run.comparison.against.interval if run.comparison else None
    if run.decision == "failed" and run.failure is not None:
        why = f"{run.failure.step}: {run.failure.message}"
    elif run.decision == "unfinished" and run.asked is not None and run.answered is None:
        why = of_question(run.asked)
    elif run.decision == "unfinished":
        why = "at work, or stopped; then the same run, started again, goes on where it stopped"
    elif (
        run.decision == "kept"
        and run.asked
        and run.answered
        and not lets_release(run.asked, run.answered)
    ):
        why = short_answer(run.answered)
    elif run.decision == "kept" and run.withheld is not None:
        why = run.withheld
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
