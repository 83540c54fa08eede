"""Hold what was measured against the owner's budget of false alarms."""

from __future__ import annotations

import logging
from dataclasses import replace

from evergreen.failpoints import failpoint
from evergreen.steps.memory import need, recall, record
from evergreen.steps.watch.begin import checking, monitor_of
from evergreen.watch_results import Check, Observation, Verdict
from evergreen.workspace import Workspace

log = logging.getLogger(__name__)


def judge(workspace: Workspace, run_key: str) -> Verdict:
    """Return the check's verdict, judged now or by an earlier try; an alarm gets its report.

    Raises:
        LedgerError: the check was not measured yet.
    """
    found = recall(workspace, "verdict", run_key, Verdict)
    if found is not None:
        return found
    check = need(workspace, "check_started", run_key, Check)
    observation = need(workspace, "observed", run_key, Observation)
    from evergreen.drift.judge import judge as judged  # imports scipy, which a DAG file must not

    monitor = monitor_of(check.model)
    with checking(workspace, run_key, "judge") as lease:
        verdict = judged(observation, monitor, check.model.spec.gate.margin)
        if verdict.answer == "alarm" and monitor.report:
            from evergreen.watch_report import report

            verdict = replace(verdict, report=report(workspace, check, observation, verdict))
        failpoint("judge.judged")
        record(workspace, "verdict", run_key, verdict, lease)
    log.info("answer=%s spoke=%s %s", verdict.answer, verdict.spoke, "; ".join(verdict.words))
    return verdict
