"""`evergreen pin`, `unpin`, `pause`, `resume`: what a person decides over the heads of the runs."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator

from evergreen.cli.exit_codes import OK
from evergreen.cli.known_model import known_model
from evergreen.cli.output import say, say_json
from evergreen.cli.person import person, reason
from evergreen.connections import from_environment
from evergreen.hand import PAUSABLE, Deed, HandAction
from evergreen.results import to_json
from evergreen.settings import Settings
from evergreen.steps.hand import Done, do
from evergreen.steps.requests import open_requests
from evergreen.wiring import open_workspace
from evergreen.workspace import Workspace


def pin(arguments: Namespace) -> int:
    """Let no retrain replace the champion until it is unpinned."""
    return _do(arguments, "pin", version=arguments.version)


def unpin(arguments: Namespace) -> int:
    """Let retrains release again."""
    return _do(arguments, "unpin")


def pause(arguments: Namespace) -> int:
    """Let no run of the model begin until it is resumed."""
    return _do(arguments, "pause")


def resume(arguments: Namespace) -> int:
    """Let runs of the model begin again."""
    return _do(arguments, "resume")


def _do(arguments: Namespace, action: HandAction, version: int | None = None) -> int:
    deed = Deed(action, person(), reason(arguments.why), version, getattr(arguments, "only", None))
    settings = Settings.from_environment()
    with open_workspace(settings, from_environment) as workspace:
        model = known_model(workspace.ledger, settings.models, arguments.name)
        done = do(workspace, model, deed)
        notes = tuple(_notes(workspace, model, deed)) if done.changed else ()
    if arguments.json:
        say_json({"changed": done.changed, "standing": to_json(done.standing), "notes": list(notes)})
        return OK
    for line in (*_told(model, deed, done), *notes):
        say(line)
    return OK


def _told(model: str, deed: Deed, done: Done) -> Iterator[str]:
    now = "; ".join(done.standing.lines()) or "nothing is pinned or paused"
    if done.changed:
        yield f"{model}: {now}"
        yield from _undo(model, deed)
    elif deed.action in {"pin", "pause"}:
        yield f"{model}: already {now}; nothing was done"
    else:
        what = "paused" if deed.action == "resume" else "pinned"
        yield f"{model}: not {what}; nothing was done"


def _undo(model: str, deed: Deed) -> Iterator[str]:
    inverse = {"pin": "unpin", "unpin": "pin", "pause": "resume", "resume": "pause"}[deed.action]
    only = "" if deed.only is None else f" --only {deed.only}"
    yield f'  undo: evergreen {inverse} {model}{only} --why "…"'


def _notes(workspace: Workspace, model: str, deed: Deed) -> Iterator[str]:
    """Say what a pause does not stop, and what a resumption does not catch up on by itself."""
    duties = PAUSABLE if deed.only is None else (deed.only,)
    if deed.action == "pause":
        for duty in duties:
            run = workspace.ledger.holder(model, duty)
            if run is not None:
                ends = "; it releases nothing" if duty == "retrain" else ""
                yield f"  run {run} is at work and goes on to its end{ends}"
    if deed.action == "resume":
        waiting = open_requests(workspace, model) if "retrain" in duties else []
        if waiting:
            yield (
                f"  a retrain as of {waiting[-1].request.as_of:%Y-%m-%d %H:%M} is asked for: "
                f"evergreen__reconcile or the next check wakes it, or at once: evergreen run {model} "
                "--requested"
            )
        yield "  what came due meanwhile was skipped: a backfill, or --from and --to, makes up for it"
