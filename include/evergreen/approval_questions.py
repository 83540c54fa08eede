"""What the ledger says of questions to people: which wait, and how they were answered."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import datetime, timedelta

from evergreen.approval_results import Answered, Asked, Standing
from evergreen.entry_keys import entry_key, run_key_of
from evergreen.ports import Entry, Ledger
from evergreen.results import from_json
from evergreen.run_keys import airflow_run

TIME_TO_TAKE_A_FORM = timedelta(hours=1)
"""How long after a deadline a task may take to write down what Airflow's form holds."""


def standing(ledger: Ledger, run_key: str) -> Standing | None:
    """Return a run's newest question and the answer to it; None where nothing was asked."""
    found = newest_question(ledger, run_key)
    return None if found is None else _with_answer(ledger, from_json(Asked, found.body))


def all_of(ledger: Ledger, run_key: str) -> list[Standing]:
    """Return a run's questions with their answers, in the order in which they were asked."""
    return [_with_answer(ledger, from_json(Asked, entry.body)) for entry in _questions(ledger, run_key)]


def newest_question(ledger: Ledger, run_key: str) -> Entry | None:
    """Return the entry of a run's newest question."""
    questions = _questions(ledger, run_key)
    return questions[-1] if questions else None


def waits(ledger: Ledger, run_key: str, now: datetime) -> Asked | None:
    """Return the question that a run waits with, or None: it has none, an answer, or no time left."""
    entry = newest_question(ledger, run_key)
    if entry is None or not _is_open(ledger, entry):
        return None
    asked = from_json(Asked, entry.body)
    return asked if now < asked.deadline else None


def waiting(ledger: Ledger, now: datetime, model: str | None = None) -> list[Asked]:
    """Return the questions that wait for an answer, of one model or of all, in order of their asking."""
    found = (from_json(Asked, entry.body) for entry in _open_questions(ledger, model))
    return [asked for asked in found if now < asked.deadline]


def overdue(ledger: Ledger, now: datetime, model: str | None = None) -> list[Asked]:
    """Return the questions, of a model or of all, whose time is over, of which others may write so.

    The form of a run of Airflow may hold an answer that came in time and that its task has not written
    down yet, for want of a slot, say. So such a run has a while to write first; and where silence would
    release, nobody else speaks for it: the form may hold a no.
    """
    found = (from_json(Asked, entry.body) for entry in _open_questions(ledger, model))
    return [asked for asked in found if _may_be_ended(asked, now)]


def _may_be_ended(asked: Asked, now: datetime) -> bool:
    if airflow_run(asked.run_key) is None:
        return asked.deadline <= now
    return asked.on_timeout == "keep" and asked.deadline + TIME_TO_TAKE_A_FORM <= now


def ended_after(ledger: Ledger, run_key: str, question: Entry) -> bool:
    """Return whether a run was reported as over since it asked."""
    return any(end.seq > question.seq for end in _numbered(ledger, "run_finished", run_key))


def answer_key(asked: Asked) -> str:
    """Return the key of the answer to a question: there is one of each."""
    return entry_key("approval_answered", asked.run_key, asked.number)


def _open_questions(ledger: Ledger, model: str | None) -> Iterator[Entry]:
    """Yield each run's newest question that has no answer, of runs that are not over."""
    asked = ledger.entries(model=model, kind="approval_asked")
    newest = {run_key_of(entry.key): entry for entry in asked}
    return (entry for entry in newest.values() if _is_open(ledger, entry))


def _is_open(ledger: Ledger, question: Entry) -> bool:
    asked = from_json(Asked, question.body)
    return (
        ledger.find(answer_key(asked)) is None
        and ledger.find(entry_key("release_intended", asked.run_key)) is None
        and not ended_after(ledger, asked.run_key, question)
    )


def _with_answer(ledger: Ledger, asked: Asked) -> Standing:
    entry = ledger.find(answer_key(asked))
    return Standing(asked, None if entry is None else from_json(Answered, entry.body))


def _questions(ledger: Ledger, run_key: str) -> list[Entry]:
    return list(_numbered(ledger, "approval_asked", run_key))


def _numbered(ledger: Ledger, kind: str, run_key: str) -> Iterator[Entry]:
    """Yield a run's entries of a kind that it may have several of."""
    for number in itertools.count(1):
        entry = ledger.find(entry_key(kind, run_key, number))
        if entry is None:
            return
        yield entry
