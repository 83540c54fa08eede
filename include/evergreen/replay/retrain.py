"""A retrain of the replay: the very same steps, in this process."""

from __future__ import annotations

from datetime import datetime

from evergreen import steps
from evergreen.approval_results import Answer, Asked
from evergreen.errors import EvergreenError
from evergreen.replay.results import Cause, Retrained
from evergreen.results import PinnedModel, RunReport
from evergreen.steps.requests import Serves
from evergreen.workspace import Workspace


def retrain(
    workspace: Workspace, model: PinnedModel, as_of: datetime, cause: Cause, reason: str
) -> Retrained:
    """Go through the steps of a retrain and say what came of it; one that fails is an outcome, too.

    Raises:
        EvergreenError: a retryable one: the source did not answer, say.
    """
    name = model.spec.name
    run_key = f"{name}/{cause}/{as_of:%Y-%m-%dT%H:%M:%SZ}"
    failure = None
    try:
        steps.resolve_window(
            workspace,
            run_key=run_key,
            model=model,
            as_of=as_of,
            reason=reason,
            release="auto",
            serves=_SERVES[cause],
        )
        for step in steps.STEPS[1:-1]:
            if step == "approve":
                _approve(workspace, run_key)
            elif getattr(getattr(steps, step)(workspace, run_key), "passed", True) is False:
                break
    except EvergreenError as exc:
        if exc.retryable:
            raise
        failure = str(exc)
    report = steps.report(workspace, run_key, failure)
    return Retrained(as_of, cause, report.outcome, workspace.registry.champion(name), _words(report))


def _approve(workspace: Workspace, run_key: str) -> None:
    """Answer for the people whom a model file names: the replay takes their word as given, at once."""
    asked = steps.approve.ask(workspace, run_key)
    if isinstance(asked, Asked):
        who = next(iter(asked.approvers), "replay")
        steps.approve.answer(workspace.ledger, run_key, Answer("approve", who, "replay", asked.asked_at))


_SERVES: dict[Cause, Serves] = {"first": "none", "schedule": "earlier", "alarm": "newest"}


def _words(report: RunReport) -> str:
    """Return what the run came to without its model and as-of, which the event has already."""
    return report.summary.partition(": ")[2]
