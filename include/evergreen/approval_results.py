"""A question to people, and their answer: what the ledger keeps of an approval."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

AnswerWord = Literal["approve", "reject", "more_data", "timeout"]
How = Literal["airflow", "cli", "scheduler", "replay"]
"""How an answer came. `scheduler`: nobody gave one in time. `replay`: the replay takes it as given."""


@dataclass(frozen=True, slots=True)
class Asked:
    """The question whether a version may be released (entry `approval_asked`).

    `number` counts a run's questions from 1. `comparison` and `refit` are the hashes of the ledger's
    entries that the question rests on, `evidence` the digest over these and `model_digest`. Nobody but
    the `approvers` may answer, where there are any, and never `triggered_by`.
    """

    run_key: str
    number: int
    version: int
    champion_version: int | None
    champion_seq: int | None
    comparison: str
    refit: str | None
    model_digest: str
    evidence: str
    asked_at: datetime
    deadline: datetime
    approvers: tuple[str, ...]
    on_timeout: Literal["keep", "release"]
    triggered_by: str | None
    headline: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """What somebody says to a run's newest question, before it is accepted.

    `who` is a user's name and `who_id` the id that Airflow knows them by, where the two differ; nobody
    for a timeout. `evidence` is the digest (12 characters or more of it) that they were shown.
    """

    answer: AnswerWord
    who: str | None
    how: How
    at: datetime
    reason: str = ""
    evidence: str | None = None
    who_id: str | None = None


@dataclass(frozen=True, slots=True)
class Answered:
    """An accepted answer (entry `approval_answered`); `number` is that of its question."""

    run_key: str
    number: int
    answer: AnswerWord
    who: str | None
    how: How
    at: datetime
    reason: str
    evidence: str


@dataclass(frozen=True, slots=True)
class NotNeeded:
    """Why nobody is asked, and whether the run goes on to its release all the same."""

    why: str
    goes_on: bool


@dataclass(frozen=True, slots=True)
class Standing:
    """A run's newest question with its answer, None where it waits for one."""

    asked: Asked
    answered: Answered | None


APPROVAL_RESULTS: tuple[type, ...] = (Asked, Answer, Answered, NotNeeded, Standing)
