"""Whether an answer counts, and what it allows: pure rules over a question and an answer.

    waiting ── approve ─────────────────┐
       │                                ├── released, if the evidence is still the same
       ├─── timeout, on_timeout release ┘
       ├─── timeout, on_timeout keep ── kept
       └─── reject, more_data ───────── kept

The first answer that counts stands. A question is about one comparison, one model and one champion;
where one of them changed since, or the answer has expired, it allows nothing, and the question is asked
anew.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from evergreen.approval_results import Answer, Answered, Asked
from evergreen.canonical import digest_of
from evergreen.text import plain

LONGEST_REASON = 500
SHORTEST_DIGEST = 12
OS_USER = "os:"
"""Begins the name of a user of the operating system, whom no login of Airflow vouches for."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why an answer does not count, in the parts of an error."""

    what: str
    got: str | None = None
    allowed: str | None = None
    fix: str | None = None


def evidence_digest(comparison: str, model_digest: str, refit: str | None) -> str:
    """Return the digest of what a question rests on.

    Args:
        comparison: Hash of the ledger's entry of the comparison, which names the champion, too.
        model_digest: Digest of the version's model.
        refit: Hash of the entry of the refit, where the released model is not the tested one.
    """
    return digest_of({"comparison": comparison, "model": model_digest, "refit": refit})


def covers(asked: Asked, evidence: str, champion_seq: int | None) -> bool:
    """Return whether a question is about this evidence and this champion."""
    return asked.evidence == evidence and asked.champion_seq == champion_seq


def lets_release(asked: Asked, answered: Answered) -> bool:
    """Return whether an answer to this question allows the release."""
    if answered.number != asked.number or answered.evidence != asked.evidence:
        return False
    return answered.answer == "approve" or (
        answered.answer == "timeout" and asked.on_timeout == "release"
    )


def expired(asked: Asked, answered: Answered, now: datetime) -> bool:
    """Return whether an answer is too old to release on: as old as its question might have become."""
    return now > answered.at + (asked.deadline - asked.asked_at)


def refusal(asked: Asked, earlier: Answered | None, answer: Answer) -> Refusal | None:
    """Return why an answer to a run's newest question does not count, or None: it counts.

    Args:
        asked: The question.
        earlier: The answer that it has already, if any.
        answer: The answer; its `at` tells whether it is in time.
    """
    if earlier is not None:
        who = f" by {plain(earlier.who, 100)}" if earlier.who else ""
        return Refusal(
            "the question was answered already",
            got=answer.answer,
            allowed=f"the answer of {earlier.at:%Y-%m-%d %H:%M:%S} UTC stands: {earlier.answer}{who}",
        )
    if answer.answer == "timeout":
        if answer.at >= asked.deadline:
            return None
        return Refusal("the question still waits", allowed=f"until {asked.deadline:%Y-%m-%d %H:%M} UTC")
    return (
        _other_evidence(asked, answer)
        or _too_late(asked, answer.at)
        or _wrong_person(asked, answer)
        or _no_reason(answer)
    )


def assigned(asked: Asked) -> tuple[str, ...]:
    """Return whom to let answer: the approvers without who started the run; all where none is left."""
    others = tuple(name for name in asked.approvers if not _started(asked, {name}))
    return others or asked.approvers


def _other_evidence(asked: Asked, answer: Answer) -> Refusal | None:
    given = answer.evidence
    if given is None or (len(given) >= SHORTEST_DIGEST and asked.evidence.startswith(given)):
        return None
    return Refusal(
        "the answer is about other evidence than the question of now",
        got=plain(given, 80),
        allowed=asked.evidence[:SHORTEST_DIGEST],
        fix=f"look at the evidence of question {asked.number} and answer that",
    )


def _too_late(asked: Asked, at: datetime) -> Refusal | None:
    if at < asked.deadline:
        return None
    then = {"keep": "the champion is kept", "release": "the version is released"}[asked.on_timeout]
    return Refusal(
        "the answer comes too late",
        got=f"{at:%Y-%m-%d %H:%M:%S} UTC",
        allowed=f"before {asked.deadline:%Y-%m-%d %H:%M:%S} UTC; {then}",
    )


def _wrong_person(asked: Asked, answer: Answer) -> Refusal | None:
    names = _names(answer)
    if not names:
        return Refusal("an answer needs a name", fix="sign in")
    shown = plain(answer.who or answer.who_id, 100)
    if _started(asked, names):
        return Refusal(
            "who started the run may not answer for it",
            got=shown,
            allowed="anybody else" if not asked.approvers else _listed(assigned(asked)),
        )
    if asked.approvers and not names & set(asked.approvers):
        return Refusal(
            "not one of the approvers that the model file names",
            got=shown,
            allowed=_listed(asked.approvers),
        )
    return None


def _no_reason(answer: Answer) -> Refusal | None:
    if len(answer.reason) > LONGEST_REASON:
        return Refusal(
            "the reason is too long",
            got=f"{len(answer.reason):,} characters",
            allowed=f"at most {LONGEST_REASON}",
        )
    if answer.answer in {"reject", "more_data"} and not plain(answer.reason).strip():
        what = "a rejection" if answer.answer == "reject" else "asking for more data"
        return Refusal(f"{what} needs a reason", allowed=f"1 to {LONGEST_REASON} characters")
    return None


def _names(answer: Answer) -> set[str]:
    """Return what an answerer is called; the prefix of a user of the system is taken off."""
    names = {name for name in (answer.who, answer.who_id) if name}
    if answer.how == "cli":
        names |= {name.removeprefix(OS_USER) for name in names}
    return names - {""}


def _started(asked: Asked, names: set[str]) -> bool:
    trigger = asked.triggered_by
    if not trigger:
        return False
    triggers = {trigger.casefold(), trigger.removeprefix(OS_USER).casefold()}
    return any(name.casefold() in triggers for name in names)


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(plain(name, 100) for name in names)
