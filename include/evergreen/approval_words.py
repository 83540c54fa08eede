"""What is said of a question to people and of its answer, in one sentence each."""

from __future__ import annotations

from evergreen.approval import SHORTEST_DIGEST
from evergreen.approval_results import Answered, AnswerWord, Asked, Standing
from evergreen.text import plain

_SAID: dict[AnswerWord, str] = {
    "approve": "approved",
    "reject": "rejected",
    "more_data": "more data asked for",
    "timeout": "nobody answered in time",
}
AFTER_TIMEOUT = {"keep": "the champion is kept", "release": "the version is released"}


def of_question(asked: Asked) -> str:
    """Return who is asked what, until when, and how to answer.

    At its end stands the command that answers.
    """
    return (
        f"version {asked.version} {in_place_of(asked)} waits for the approval of {of_whom(asked)} until "
        f"{asked.deadline:%Y-%m-%d %H:%M} UTC (evidence {short(asked)}): {command(asked)}"
    )


def command(asked: Asked) -> str:
    """Return the command that agrees; one that was asked anew says about what."""
    evidence = f" --evidence {short(asked)}" if asked.number > 1 else ""
    return f"evergreen approve {plain(asked.run_key, 300)}{evidence}"


def of_answer(told: Standing) -> str:
    """Return what came of a question, or that it still waits."""
    asked, answered = told.asked, told.answered
    if answered is None:
        return of_question(asked)
    after = f"; {AFTER_TIMEOUT[asked.on_timeout]}" if answered.answer == "timeout" else ""
    return (
        f"version {asked.version}: {short_answer(answered)}{after} "
        f"({answered.at:%Y-%m-%d %H:%M} UTC, evidence {answered.evidence[:SHORTEST_DIGEST]})"
    )


def of_no_answer(asked: Asked) -> str:
    """Return that a run was over before anybody answered."""
    return (
        f"version {asked.version}: {of_whom(asked)} was asked, and the run was over before anybody "
        f"answered (evidence {short(asked)})"
    )


def short_answer(answered: Answered) -> str:
    """Return who said what, and why.

    >>> from datetime import UTC, datetime
    >>> at = datetime(2026, 1, 1, tzinfo=UTC)
    >>> short_answer(Answered("m/r", 1, "reject", "alice", "airflow", at, "too few rows", "e"))
    'rejected by alice: too few rows'
    """
    by = "" if answered.who is None else f" by {plain(answered.who, 100)}"
    reason = f": {plain(answered.reason, 500)}" if answered.reason else ""
    return f"{_SAID[answered.answer]}{by}{reason}"


def in_place_of(asked: Asked) -> str:
    """Return what the version would replace."""
    if asked.champion_version is None:
        return "as the first champion"
    return f"in place of version {asked.champion_version}"


def of_whom(asked: Asked) -> str:
    """Return who may answer."""
    named = " or ".join(plain(name, 100) for name in asked.approvers) or "any user"
    return f"{named} (not {plain(asked.triggered_by, 100)})" if asked.triggered_by else named


def short(asked: Asked) -> str:
    """Return the evidence's digest as people are shown it."""
    return asked.evidence[:SHORTEST_DIGEST]
