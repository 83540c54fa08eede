"""`evergreen watch`: how the watch over a model stands, from the ledger; nothing is measured anew."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence

from rich import box
from rich.table import Table

from evergreen.cli.exit_codes import FINDINGS, OK
from evergreen.cli.output import say, say_json, say_table
from evergreen.logged_rows import shown
from evergreen.monitor_spec import Level
from evergreen.rates import how_rarely
from evergreen.results import to_json
from evergreen.settings import Settings
from evergreen.text import plain
from evergreen.watch_questions import WatchState, state
from evergreen.watch_results import Finding, Verdict
from evergreen.wiring import open_ledger

MOST_FINDINGS = 15
LATEST_CHECKS = 10
_NAMES: dict[Level, str] = {
    "health": "data health",
    "loss": "loss",
    "estimated_loss": "estimated loss",
    "prediction": "prediction drift",
    "features": "feature drift",
}


def watch(arguments: Namespace) -> int:
    """Print the newest check and what was decided; 1 where it is an alarm, or none was made yet."""
    with open_ledger(Settings.from_environment()) as ledger:
        found = state(ledger, arguments.name, LATEST_CHECKS)
    if arguments.json:
        say_json(_as_json(found))
    elif found.newest is None:
        say(f"{arguments.name}: no check was made yet")
        if found.scored is not None:
            say(_scored(found))
    else:
        _show(found, found.newest)
    return OK if found.newest is not None and found.newest.answer != "alarm" else FINDINGS


def _show(found: WatchState, newest: Verdict) -> None:
    say(
        f"{found.model}, version {newest.version or '-'}: {newest.answer} as of "
        f"{newest.as_of:%Y-%m-%d %H:%M} UTC, {newest.rows:,} rows of {newest.window}"
    )
    say_table(_levels(newest))
    if newest.findings:
        say_table(_findings(newest.findings))
    for line in newest.words:
        say(f"  {line}")
    if found.decision is not None:
        say(f"decision: {found.decision.action}")
        for reason in found.decision.reasons:
            say(f"  {reason}")
    for stored in newest.report:
        say(f"report: {stored.uri}")
    say(_latest(found.verdicts))
    if found.scored is not None:
        say(_scored(found))


def _levels(verdict: Verdict) -> Table:
    table = Table("level", "answer", "foremost", box=box.SIMPLE_HEAD, pad_edge=False)
    for level, answer in verdict.levels:
        foremost = next((f for f in verdict.findings if f.level == level), None)
        subject = "" if foremost is None else plain(shown(foremost.subject), 60)
        table.add_row(_NAMES[level], answer, subject)
    return table


def _findings(findings: Sequence[Finding]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("what", "measure"):
        table.add_column(heading)
    for heading in ("value", "threshold", "chance reaches it"):
        table.add_column(heading, justify="right")
    table.add_column("answer")
    for finding in findings[:MOST_FINDINGS]:
        table.add_row(
            plain(shown(finding.subject), 40),
            plain(finding.measure, 30),
            _number(finding.value),
            _number(finding.threshold),
            "" if finding.years is None else how_rarely(finding.years),
            finding.answer,
        )
    return table


def _latest(verdicts: Sequence[Verdict]) -> str:
    marks = {"quiet": "quiet", "alarm": "ALARM", "not enough data": "?"}
    shown = ", ".join(f"{v.as_of:%m-%d} {marks[v.answer]}" for v in verdicts)
    return f"latest checks: {shown}"


def _scored(found: WatchState) -> str:
    scored = found.scored
    if scored is None:
        raise AssertionError("asked only where rows were scored")
    by = f"by version {scored.version}" if scored.version else scored.note
    return f"last scored: {scored.rows:,} rows of {scored.window} {by}"


def _as_json(found: WatchState) -> dict[str, object]:
    def one(value: object) -> object:
        return None if value is None else to_json(value)

    return {
        "model": found.model,
        "verdicts": [to_json(verdict) for verdict in found.verdicts],
        "observation": one(found.observation),
        "decision": one(found.decision),
        "scored": one(found.scored),
    }


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"
