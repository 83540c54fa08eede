"""Begin a run: pin the model file, derive the windows, finish what a killed run left half done.

A run that serves a request of the watch says so in its reason; one that was woken for a request takes
that request's as-of, so that it trains on the window up to the alarm's.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime

from evergreen.errors import DataUnusable
from evergreen.hand_questions import standing
from evergreen.ports import Lease
from evergreen.results import PinnedModel, ReleaseWish, Retrain, RunReport
from evergreen.steps.memory import holding, model_of, recall, record
from evergreen.steps.report import record_end
from evergreen.steps.requests import Serves, take
from evergreen.steps.settle import settle
from evergreen.steps.witness import refuse_behind
from evergreen.text import plain
from evergreen.watch_questions import past_requests
from evergreen.window import Windows, windows_at
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
    serves: Serves = "none",
    woken_by: Sequence[str] = (),
    triggered_by: str | None = None,
) -> Retrain | RunReport:
    """Return the run, begun now or by an earlier try; or its report, where there is nothing to do.

    There is not where somebody paused the model: a request of the watch stays open, for a later run.

    The model file as it stands is pinned: a file that changes later changes the next run, not this.

    Args:
        workspace: The ports.
        run_key: The run.
        model: The model file.
        as_of: The run's as-of, unless it was woken for a request.
        reason: Why there is this run.
        release: What may be released.
        serves: Which requests it serves.
        woken_by: The keys of the requests that it was woken for, as far as they are known.
        triggered_by: The user who started it by hand; they may not approve its release.

    Raises:
        LeaseHeld: another run of this model is under way; it may be over later.
        LedgerBehind: a checkpoint contradicts the ledger; nothing was written.
    """
    refuse_behind(workspace.ledger, workspace.checkpoints)
    with holding(workspace, run_key, "resolve_window") as lease:
        settle(workspace, model.spec.name, lease)
        begun = recall(workspace, "run_started", run_key, Retrain)
        if begun is not None:
            if begun.model.digest != model.digest:
                log.warning("the model file changed since run %s began; it goes on as it began", run_key)
            return begun
        paused = standing(workspace.ledger, model.spec.name).paused.get("retrain")
        if paused is not None:
            return _skipped(workspace, run_key, plain(f"paused {paused}"), lease)
        if serves != "none":
            request = take(workspace, run_key, lease, None if serves == "newest" else as_of)
            if request is not None:
                asked = f"request of the {request.asked_by}: {request.reason}"
                reason = asked if serves == "newest" else f"{reason}; serves the {asked}"
                as_of = request.as_of if serves == "newest" else as_of
            elif serves == "newest":
                return _nothing_to_do(workspace, run_key, woken_by, lease)
        windows = _windows(model, as_of)
        code_version = workspace.code_version(model)
        retrain = Retrain(run_key, model, windows, reason, release, code_version, triggered_by)
        record(workspace, "run_started", run_key, retrain, lease)
        log.info("as_of=%s train=%s test=%s reason=%s", as_of, windows.train, windows.test, reason)
        return retrain


def _windows(model: PinnedModel, as_of: datetime) -> Windows:
    data = model.spec.data
    try:
        return windows_at(as_of, data.train_window, data.test_window, data.label.delay)
    except (ValueError, OverflowError) as exc:
        raise DataUnusable(
            f"no windows can be derived: {exc}",
            where=f"model {model.spec.name}",
            got=f"as-of {as_of.isoformat()}",
            fix="choose a later as-of or other windows",
        ) from exc


def _nothing_to_do(
    workspace: Workspace, run_key: str, woken_by: Sequence[str], lease: Lease
) -> RunReport:
    """End a run for which no request is left: its event came twice, or late."""
    name = model_of(run_key)
    served = [past for past in past_requests(workspace.ledger, name) if past.request.key in woken_by]
    words = "; ".join(
        f"the request as of {past.request.as_of:%Y-%m-%d %H:%M} was served already by run "
        f"{past.taken_by} ({past.outcome})"
        for past in served
    )
    words = plain(words or "no retrain is asked for that was not served already")
    return _skipped(workspace, run_key, words, lease)


def _skipped(workspace: Workspace, run_key: str, words: str, lease: Lease) -> RunReport:
    name = model_of(run_key)
    report = RunReport(run_key, name, None, "skipped", None, None, f"{name}: skipped, {words}", (words,))
    record_end(workspace, run_key, report, lease)
    log.info("%s", report.summary)
    return report
