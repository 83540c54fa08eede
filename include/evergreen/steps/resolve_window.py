"""Begin a run: pin the model file, derive the windows, finish what a killed run left half done."""

from __future__ import annotations

import logging
from datetime import datetime

from evergreen.errors import DataUnusable
from evergreen.results import PinnedModel, ReleaseWish, Retrain
from evergreen.steps.memory import holding, recall, record
from evergreen.steps.settle import settle
from evergreen.window import windows_at
from evergreen.workspace import Workspace

log = logging.getLogger(__name__)


def resolve_window(
    workspace: Workspace,
    *,
    run_key: str,
    model: PinnedModel,
    as_of: datetime,
    reason: str,
    release: ReleaseWish,
) -> Retrain:
    """Return the run, begun now or by an earlier try.

    The model file as it stands is pinned: a file that changes later changes the next run, not this.

    Raises:
        LeaseHeld: another run of this model is under way; it may be over later.
    """
    with holding(workspace, run_key, "resolve_window") as lease:
        settle(workspace, model.spec.name, lease)
        begun = recall(workspace, "run_started", run_key, Retrain)
        if begun is not None:
            if begun.model.digest != model.digest:
                log.warning("the model file changed since run %s began; it goes on as it began", run_key)
            return begun
        data = model.spec.data
        try:
            windows = windows_at(as_of, data.train_window, data.test_window, data.label.delay)
        except (ValueError, OverflowError) as exc:
            raise DataUnusable(
                f"no windows can be derived: {exc}",
                where=f"model {model.spec.name}",
                got=f"as-of {as_of.isoformat()}",
                fix="choose a later as-of or other windows",
            ) from exc
        retrain = Retrain(run_key, model, windows, reason, release, workspace.code_version(model))
        record(workspace, "run_started", run_key, retrain, lease)
        log.info("as_of=%s train=%s test=%s reason=%s", as_of, windows.train, windows.test, reason)
        return retrain
