"""A check of the replay: the very same steps of the watch, in this process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from evergreen.errors import EvergreenError
from evergreen.replay.results import Broken, Checked
from evergreen.results import PinnedModel
from evergreen.watch_results import RetrainDecision, RetrainRequest, Verdict
from evergreen.workspace import Workspace

REASON = "replay"

Watch = Callable[[Workspace, PinnedModel, datetime], tuple[Verdict, RetrainDecision]]
"""Checks the champion as of an instant and decides; what asks for a retrain has written the request."""


def run_key_of(model: PinnedModel, as_of: datetime) -> str:
    """Return the run key of the model's check as of an instant."""
    return f"{model.spec.name}/monitor/{as_of:%Y-%m-%dT%H:%M:%SZ}"


def watch(workspace: Workspace, model: PinnedModel, as_of: datetime) -> tuple[Verdict, RetrainDecision]:
    """Make one check as the model file has it."""
    from evergreen.steps.watch.judge import judge
    from evergreen.steps.watch.measure import measure
    from evergreen.steps.watch.profile import profile
    from evergreen.steps.watch.request import request

    run_key = run_key_of(model, as_of)
    profile(workspace, run_key, model, as_of, REASON)
    measure(workspace, run_key)
    return judge(workspace, run_key), request(workspace, run_key)


def check(
    workspace: Workspace, model: PinnedModel, as_of: datetime, by: Watch = watch
) -> tuple[Checked | Broken, RetrainRequest | None]:
    """Return what the check came to and the retrain it asks for; one that fails is an event, too.

    Raises:
        EvergreenError: a retryable one: the labels' source did not answer, say.
    """
    try:
        verdict, decision = by(workspace, model, as_of)
    except EvergreenError as exc:
        if exc.retryable:
            raise
        name = model.spec.name
        workspace.ledger.free(workspace.ledger.acquire(name, run_key_of(model, as_of), "monitor"))
        return Broken(as_of, "check", str(exc)), None
    checked = Checked(
        at=as_of,
        version=verdict.version,
        answer=verdict.answer,
        spoke=verdict.spoke,
        words=verdict.words,
        action=decision.action,
        reasons=decision.reasons,
        excess_loss=verdict.excess_loss,
    )
    return checked, decision.request


def without_reports(model: PinnedModel) -> PinnedModel:
    """Return the model file without pictures of alarms, which nobody would look at."""
    monitor = model.spec.monitor
    if monitor is None:
        return model
    quiet = model.spec.model_copy(update={"monitor": monitor.model_copy(update={"report": False})})
    return replace(model, spec=quiet)
