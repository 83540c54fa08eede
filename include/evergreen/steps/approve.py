"""Ask people before a release, and take their answer; the ledger keeps both.

`ask` is the step. It gives the model's lease back while it waits, and each time it runs again it looks
at the champion of now first. `answer` is called from wherever people are: Airflow's form, its API, the
command line. `approved` is what `release` asks; nothing else lets a version before its traffic.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from datetime import datetime

from evergreen.approval import covers, evidence_digest, expired, lets_release, refusal
from evergreen.approval_questions import (
    answer_key,
    ended_after,
    newest_question,
    overdue,
    standing,
)
from evergreen.approval_results import Answer, Answered, Asked, NotNeeded
from evergreen.comparison import Comparison
from evergreen.errors import AnswerRefused, ApprovalMissing
from evergreen.evidence.headline import headline
from evergreen.failpoints import failpoint
from evergreen.hand_questions import standing as decided_by_hand
from evergreen.ports import Lease, Ledger
from evergreen.results import Retrain, Version, from_json, to_json
from evergreen.spec import Approval
from evergreen.steps.brief_lease import briefly
from evergreen.steps.evaluate import evaluate
from evergreen.steps.memory import holding, last_entry, model_of, record_next, retrain_of
from evergreen.steps.register import register
from evergreen.text import plain
from evergreen.workspace import Workspace

log = logging.getLogger(__name__)


def ask(workspace: Workspace, run_key: str, now: datetime | None = None) -> Asked | Answered | NotNeeded:
    """Return the question that waits, its answer once it has one, or why none is needed.

    Safe to repeat: the same evidence is asked about once, and once more where the run was over before
    anybody answered. Where the champion moved since, the comparison is made again, and if the version
    still wins, the question, too. A "no" stands for the whole run.

    Raises:
        As `evaluate`, where the champion moved.
        LeaseHeld: another run is at work on the model.
    """
    now = now or workspace.now()
    retrain = retrain_of(workspace, run_key)
    approval = retrain.model.spec.approval
    if approval is None:
        return NotNeeded("not asked for by the model file that this run began with", goes_on=True)
    if retrain.release == "never":
        return NotNeeded("nothing is to be released, as was asked", goes_on=False)
    if last_entry(workspace, "release_intended", run_key) is not None:
        return NotNeeded("the release has begun", goes_on=True)
    told = standing(workspace.ledger, run_key)
    if told is not None and told.answered and not lets_release(told.asked, told.answered):
        return told.answered
    withheld = decided_by_hand(workspace.ledger, model_of(run_key)).withheld
    if withheld is not None:
        return NotNeeded(f"nothing would be released, for {withheld}", goes_on=True)
    comparison = evaluate(workspace, run_key)
    version = register(workspace, run_key)
    if version is None or not comparison.promote:
        return NotNeeded(f"the champion is kept: {headline(comparison)}", goes_on=False)
    with holding(workspace, run_key, "approve") as lease:
        result = _asked(workspace, retrain, approval, version, comparison, now, lease)
    if isinstance(result, Asked):
        workspace.ledger.free(lease)
    return result


def answer(ledger: Ledger, run_key: str, given: Answer) -> Answered:
    """Accept an answer to the run's newest question and return it as it is kept.

    Raises:
        AnswerRefused: it does not count; nothing was written.
        LeaseLost: others answer at this moment, again and again.
    """

    def write(lease: Lease) -> Answered:
        asked = _answerable(ledger, run_key, given)
        answered = Answered(
            run_key,
            asked.number,
            given.answer,
            None if given.who is None else plain(given.who, 200),
            given.how,
            given.at,
            plain(given.reason).strip(),
            asked.evidence,
        )
        ledger.append("approval_answered", answer_key(asked), to_json(answered), lease)
        return answered

    answered = briefly(ledger, model_of(run_key), "approval", write)
    failpoint("approve.answered")
    log.info("%s: %s by %s (%s)", run_key, answered.answer, answered.who, answered.how)
    return answered


def end_overdue(ledger: Ledger, now: datetime, model: str | None = None) -> list[Answered]:
    """Write down of overdue questions, of a model or of all, that nobody answered; return those answers.

    A run that waits in Airflow does so itself, and has time for it (see `overdue`); one begun by
    `evergreen run` may never be gone on with.
    """
    ended = []
    for asked in overdue(ledger, now, model):
        with suppress(AnswerRefused):  # somebody else wrote it, or the answer, at this moment
            ended.append(answer(ledger, asked.run_key, Answer("timeout", None, "scheduler", now)))
    return ended


def approved(
    workspace: Workspace,
    retrain: Retrain,
    version: Version,
    comparison: Comparison,
    now: datetime | None = None,
) -> bool:
    """Return whether the ledger lets a version be released; False where people said no.

    Raises:
        ApprovalMissing: nobody was asked, the question waits, the evidence changed since the answer, or
            the answer has expired.
    """
    if retrain.model.spec.approval is None:
        return True
    told = standing(workspace.ledger, retrain.run_key)
    if told is None:
        raise _missing(retrain, "the release needs a person's approval, and nobody was asked")
    if told.answered is None:
        raise _missing(retrain, "the release needs a person's approval, and the question still waits")
    if not lets_release(told.asked, told.answered):
        return False
    if not covers(told.asked, _evidence(workspace, retrain, version), comparison.champion_seq):
        raise _missing(retrain, "the approval is void: the champion or the evidence changed since")
    if expired(told.asked, told.answered, now or workspace.now()):
        raise _missing(retrain, "the approval has expired: it is older than a question may wait")
    return True


def _asked(
    workspace: Workspace,
    retrain: Retrain,
    approval: Approval,
    version: Version,
    comparison: Comparison,
    now: datetime,
    lease: Lease,
) -> Asked | Answered:
    """Return the standing question of this evidence or its answer; else ask."""
    told = standing(workspace.ledger, retrain.run_key)
    evidence = _evidence(workspace, retrain, version)
    if told is not None and covers(told.asked, evidence, comparison.champion_seq):
        if told.answered is not None and not expired(told.asked, told.answered, now):
            return told.answered
        if told.answered is None and not _ended_since_asked(
            workspace, retrain
        ):  # else nobody could answer it any more
            if now < told.asked.deadline:
                return told.asked
            return answer(workspace.ledger, retrain.run_key, Answer("timeout", None, "scheduler", now))
    compared, refitted = _entries(workspace, retrain)
    asked = Asked(
        run_key=retrain.run_key,
        number=1 if told is None else told.asked.number + 1,
        version=version.number,
        champion_version=comparison.champion_version,
        champion_seq=comparison.champion_seq,
        comparison=compared,
        refit=refitted,
        model_digest=version.model.digest,
        evidence=evidence,
        asked_at=now,
        deadline=approval.timeout.after(now),
        approvers=tuple(approval.approvers),
        on_timeout=approval.on_timeout,
        triggered_by=retrain.triggered_by,
        headline=headline(comparison),
    )
    record_next(workspace, "approval_asked", retrain.run_key, asked, lease)
    failpoint("approve.asked")
    log.info("asked: question %d, version %d, until %s", asked.number, asked.version, asked.deadline)
    return asked


def _ended_since_asked(workspace: Workspace, retrain: Retrain) -> bool:
    question = newest_question(workspace.ledger, retrain.run_key)
    return question is not None and ended_after(workspace.ledger, retrain.run_key, question)


def _evidence(workspace: Workspace, retrain: Retrain, version: Version) -> str:
    compared, refitted = _entries(workspace, retrain)
    return evidence_digest(compared, version.model.digest, refitted)


def _entries(workspace: Workspace, retrain: Retrain) -> tuple[str, str | None]:
    """Return the hashes of the entries that a question rests on: comparison and refit."""
    compared = last_entry(workspace, "comparison", retrain.run_key)
    if compared is None:
        raise AssertionError("a version is registered of what was compared only")
    refitted = last_entry(workspace, "refit", retrain.run_key)
    return compared.hash, None if refitted is None else refitted.hash


def _answerable(ledger: Ledger, run_key: str, given: Answer) -> Asked:
    """Return the question that an answer counts for.

    Raises:
        AnswerRefused: it counts for none.
    """
    question = newest_question(ledger, run_key)
    if question is None:
        known = any(ledger.find(f"{kind}/{run_key}") for kind in ("run_started", "step_failed"))
        what = "the run has asked nothing" if known else "the ledger knows no such run"
        raise AnswerRefused(what, where=f"run {run_key}", fix="evergreen approvals lists what waits")
    told = standing(ledger, run_key)
    asked = from_json(Asked, question.body)
    if told is not None and told.answered is None and ended_after(ledger, run_key, question):
        raise AnswerRefused(
            "the run is over and waits for nothing",
            where=f"run {run_key}",
            fix="clear its task approve to have it ask again",
        )
    why = refusal(asked, None if told is None else told.answered, given)
    if why is not None:
        raise AnswerRefused(
            why.what, where=f"run {run_key}", got=why.got, allowed=why.allowed, fix=why.fix
        )
    return asked


def _missing(retrain: Retrain, what: str) -> ApprovalMissing:
    return ApprovalMissing(
        what,
        where=f"run {retrain.run_key}",
        fix="nothing was released; clear the run's task approve, or start the same evergreen run again, "
        "which asks; where the DAG has no such task, put the approval back into the model file first",
    )
