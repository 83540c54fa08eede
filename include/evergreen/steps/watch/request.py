"""Decide on a retrain after a check, and put the wish for one into the queue."""

from __future__ import annotations

import logging
from dataclasses import replace

from evergreen import retraining
from evergreen.failpoints import failpoint
from evergreen.run_keys import is_retrain
from evergreen.steps.memory import model_of, need, recall, record
from evergreen.steps.requests import ask, open_requests
from evergreen.steps.watch.begin import checking, monitor_of
from evergreen.watch_questions import past_requests, verdicts
from evergreen.watch_results import Check, RetrainDecision, Verdict
from evergreen.workspace import Workspace

log = logging.getLogger(__name__)


def request(workspace: Workspace, run_key: str) -> RetrainDecision:
    """Return what was decided after the check, now or by an earlier try.

    `open_requests` is told anew at each try: it says whether there is somebody to wake.

    Raises:
        LedgerError: the check was not judged yet.
    """
    check = need(workspace, "check_started", run_key, Check)
    verdict = need(workspace, "verdict", run_key, Verdict)
    with checking(workspace, run_key, "request") as lease:
        decision = recall(workspace, "retrain_decided", run_key, RetrainDecision)
        if decision is None:
            decision = _decide(workspace, check, verdict)
            record(workspace, "retrain_decided", run_key, decision, lease)
            failpoint("request.decided")
        # At each try: one that was killed after it had decided has not asked yet.
        if decision.request is not None:
            ask(workspace, decision.request, lease)
    log.info("action=%s reasons=%s", decision.action, "; ".join(decision.reasons))
    still = tuple(past.request.key for past in open_requests(workspace, model_of(run_key)))
    return replace(decision, open_requests=still)


def _decide(workspace: Workspace, check: Check, verdict: Verdict) -> RetrainDecision:
    model = model_of(check.run_key)
    at_work = workspace.ledger.holder(model)  # for a moment a rollback, or a pass that looks for crashes
    return retraining.decide(
        monitor_of(check.model).retrain,
        verdict,
        verdicts(workspace.ledger, model),
        past_requests(workspace.ledger, model),
        at_work if at_work is not None and is_retrain(at_work) else None,
        check.model.spec.gate.metric_name,
    )
