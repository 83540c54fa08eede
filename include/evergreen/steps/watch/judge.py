"""Hold what was measured against the owner's budget of false alarms."""

from __future__ import annotations

import logging
from dataclasses import replace

from evergreen.failpoints import failpoint
from evergreen.steps.memory import need, recall, record
from evergreen.steps.watch.begin import checking, monitor_of
from evergreen.watch_results import AlarmReport, Check, Observation, Verdict
from evergreen.workspace import Workspace

log = logging.getLogger(__name__)


def judge(workspace: Workspace, run_key: str) -> Verdict:
    """Return the check's verdict, judged now or by an earlier try; an alarm's report is made after it.

    Raises:
        LedgerError: the check was not measured yet.
    """
    check = need(workspace, "check_started", run_key, Check)
    observation = need(workspace, "observed", run_key, Observation)
    verdict = recall(workspace, "verdict", run_key, Verdict)
    if verdict is None:
        from evergreen.drift.judge import judge as judged  # imports scipy, which a DAG file must not

        with checking(workspace, run_key, "judge") as lease:
            verdict = judged(observation, monitor_of(check.model), check.model.spec.gate.margin)
            failpoint("judge.judged")
            record(workspace, "verdict", run_key, verdict, lease)
        log.info("answer=%s spoke=%s %s", verdict.answer, verdict.spoke, "; ".join(verdict.words))
    if verdict.answer != "alarm" or not monitor_of(check.model).report:
        return verdict
    return replace(verdict, report=_reported(workspace, check, observation, verdict).files)


def _reported(
    workspace: Workspace, check: Check, observation: Observation, verdict: Verdict
) -> AlarmReport:
    """Return the alarm's report, made now or by an earlier try; the verdict stands whatever it takes."""
    found = recall(workspace, "alarm_reported", check.run_key, AlarmReport)
    if found is not None:
        return found
    from evergreen.watch_report import report

    with checking(workspace, check.run_key, "judge") as lease:
        made = AlarmReport(check.run_key, report(workspace, check, observation, verdict))
        failpoint("judge.reported")
        record(workspace, "alarm_reported", check.run_key, made, lease)
    return made
