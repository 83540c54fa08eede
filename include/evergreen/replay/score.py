"""A scoring of the replay: the very same step, over the rows that came in since the last stop."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from evergreen import steps
from evergreen.durations import Duration
from evergreen.errors import EvergreenError
from evergreen.monitor_spec import Score
from evergreen.replay.results import Broken
from evergreen.results import PinnedModel
from evergreen.window import Window
from evergreen.workspace import Workspace

REASON = "replay"


def score(workspace: Workspace, model: PinnedModel, window: Window) -> Broken | None:
    """Score a window's rows with the champion of its end; what would have failed is returned.

    Raises:
        EvergreenError: a retryable one: the source did not answer, say.
    """
    run_key = (
        f"{model.spec.name}/score/{window.end:%Y-%m-%dT%H:%M:%SZ}/{window.start:%Y-%m-%dT%H:%M:%SZ}"
    )
    try:
        steps.score(workspace, run_key, _over(model, window), window.end, REASON)
    except EvergreenError as exc:
        if exc.retryable:
            raise
        return Broken(window.end, "scoring", str(exc))
    return None


def _over(model: PinnedModel, window: Window) -> PinnedModel:
    """Return the model file with a scoring window of this length, its other keys as they are."""
    length = Duration((window.end - window.start) // timedelta(minutes=1), "minutes")
    rule = model.spec.score or Score(schedule=None, window=length)
    rule = rule.model_copy(update={"window": length})
    return replace(model, spec=model.spec.model_copy(update={"score": rule}))
