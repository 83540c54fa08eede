"""`evergreen score`: what `NAME__score` does, in this process."""

from __future__ import annotations

import itertools
from argparse import Namespace
from collections.abc import Iterator
from datetime import datetime

from evergreen import steps
from evergreen.cli.alone import alone
from evergreen.cli.exit_codes import OK
from evergreen.cli.output import say, say_json
from evergreen.cli.usage import UsageError, model_path, models_folder, walked_as_ofs
from evergreen.connections import from_environment
from evergreen.loading import load_model
from evergreen.results import PinnedModel, to_json
from evergreen.settings import Settings
from evergreen.steps.memory import recall
from evergreen.watch_results import Scored
from evergreen.wiring import open_workspace
from evergreen.workspace import Workspace


def score(arguments: Namespace) -> int:
    """Score one window, or every scheduled one of a time range."""
    model = load_model(model_path(models_folder(arguments.models), arguments.name))
    rule = model.spec.score
    if rule is None:
        raise UsageError(f"{arguments.name} is not scored here: its file has no section score")
    as_ofs = walked_as_ofs(arguments, rule.schedule, "score.schedule")
    settings = Settings.from_environment()
    with (
        open_workspace(settings, from_environment) as workspace,
        alone(settings.home, f"{arguments.name}.score"),
    ):
        results = list(_scorings(workspace, model, as_ofs, arguments))
    if arguments.json:
        say_json([to_json(scored) for scored in results])
    return OK


def _scorings(
    workspace: Workspace, model: PinnedModel, as_ofs: list[datetime], arguments: Namespace
) -> Iterator[Scored]:
    for as_of in as_ofs:
        run_key = _run_key(workspace, model.spec.name, as_of, again=arguments.again)
        known = recall(workspace, "scored", run_key, Scored) is not None
        scored = steps.score(workspace, run_key, model, as_of, arguments.reason)
        if not arguments.json:
            _tell(scored, known=known)
        yield scored


def _run_key(workspace: Workspace, model: str, as_of: datetime, *, again: bool) -> str:
    """Return the key of the newest run of an as-of, or of the next one where it is to be scored again.

    A run that has not finished is gone on with.
    """
    first = f"{model}/score/cli/{as_of:%Y-%m-%dT%H:%M:%SZ}"
    newest = first
    for number in itertools.count(2):
        if recall(workspace, "scored", newest, Scored) is None:
            return newest
        following = f"{first}/{number}"
        if not again and recall(workspace, "scored", following, Scored) is None:
            return newest
        newest = following
    raise AssertionError("the keys never end")


def _tell(scored: Scored, *, known: bool) -> None:
    when = f"{scored.window.end:%Y-%m-%d %H:%M} UTC"
    if scored.version is None:
        say(f"{when}: {scored.note}")
        return
    before = ", already; --again scores the window again" if known else ""
    say(f"{when}: {scored.rows:,} rows scored by version {scored.version}{before}")
