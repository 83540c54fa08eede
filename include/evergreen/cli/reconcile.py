"""`evergreen reconcile`: what `evergreen__reconcile` does, without Airflow."""

from __future__ import annotations

from argparse import Namespace
from datetime import UTC, datetime
from pathlib import Path

from rich.table import Table

from evergreen.cli.adopt import adopt
from evergreen.cli.exit_codes import ENVIRONMENT, FINDINGS, OK
from evergreen.cli.known_model import known_model
from evergreen.cli.output import say, say_json, say_table
from evergreen.cli.usage import UsageError
from evergreen.connections import from_environment
from evergreen.evidence.numbers import counted
from evergreen.reconcile_results import Dealt, Reconciliation
from evergreen.results import to_json
from evergreen.settings import Settings
from evergreen.steps.known_models import known_models
from evergreen.steps.reconcile import Circumstances
from evergreen.steps.reconcile import reconcile as one_pass
from evergreen.steps.reconcile.circumstances import grace_of
from evergreen.text import plain
from evergreen.wiring import open_workspace
from evergreen.workspace import Workspace


def reconcile(arguments: Namespace) -> int:
    """Print what was found and what became of it.

    0 where nothing is left, 1 where a person must look at something, 3 where all that is left is that
    something did not answer.

    Raises:
        UsageError: a reason without anything that it is for.
    """
    if arguments.adopt:
        return adopt(arguments)
    if arguments.why:
        raise UsageError("--why: it says why a ledger is adopted; give it with --adopt")
    settings = Settings.from_environment()
    with open_workspace(settings, from_environment) as workspace:
        models = _asked_for(workspace, settings, arguments)
        circumstances = Circumstances(datetime.now(UTC), grace_of(settings.lease_seconds))
        done = one_pass(workspace, models, circumstances, dry_run=arguments.dry_run)
    if arguments.json:
        say_json(to_json(done))
    else:
        _show(done, dry_run=arguments.dry_run)
    if not done.left:
        return OK
    return ENVIRONMENT if all(one.passes for one in done.left) else FINDINGS


def _asked_for(workspace: Workspace, settings: Settings, arguments: Namespace) -> list[str]:
    """Return the models that are named, or all.

    Raises:
        UsageError: no such model.
    """
    folder = Path(arguments.models) if arguments.models else settings.models
    if arguments.names:
        return sorted({known_model(workspace.ledger, folder, name) for name in arguments.names})
    return known_models(workspace.ledger, [folder])


def _show(done: Reconciliation, *, dry_run: bool) -> None:
    looked_at = counted(done.models, "model")
    if not done.dealt:
        say(f"{looked_at} looked at: nothing was left half done")
        return
    table = Table("model", "found", "", "what is done", "then", box=None)
    for one in done.dealt:
        table.add_row(*map(plain, _cells(one)))
    say_table(table)
    mended = sum(one.became == "mended" for one in done.dealt)
    if dry_run:
        say(f"{looked_at} looked at: {counted(len(done.dealt), 'finding')}, and nothing was changed")
    else:
        say(f"{looked_at} looked at: {mended} mended, {len(done.left)} left")


def _cells(one: Dealt) -> tuple[str, ...]:
    finding = one.finding
    does = finding.does if one.why is None else f"left: {one.why}"
    return finding.model, finding.words, one.became, does, finding.command or ""
