"""What people ask the ledger about the watch; nothing is written. Any `ports.Ledger` will do."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypeVar

from evergreen.entry_keys import entry_key, run_key_of
from evergreen.monitor_spec import Level
from evergreen.ports import Ledger
from evergreen.results import from_json
from evergreen.retraining import PastRequest
from evergreen.watch_results import (
    AlarmReport,
    Observation,
    RequestClosed,
    RequestTaken,
    RetrainDecision,
    RetrainRequest,
    Scored,
    Verdict,
)

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class WatchState:
    """The newest check by as-of with what was measured and decided, and the newest scoring.

    `verdicts` holds the latest ones by rising as-of, the newest last.
    """

    model: str
    verdicts: tuple[Verdict, ...]
    observation: Observation | None
    decision: RetrainDecision | None
    scored: Scored | None

    @property
    def newest(self) -> Verdict | None:
        """The newest verdict, or None where no check was made."""
        return self.verdicts[-1] if self.verdicts else None


def verdicts(ledger: Ledger, model: str) -> list[Verdict]:
    """Return the verdicts of a model by rising as-of; of equal ones the later recorded last."""
    found = [from_json(Verdict, e.body) for e in ledger.entries(model=model, kind="verdict")]
    return sorted(found, key=lambda verdict: verdict.as_of)


def past_requests(ledger: Ledger, model: str) -> list[PastRequest]:
    """Return every request of a model and what became of it, by as-of."""
    taken: dict[str, str] = {}
    for entry in ledger.entries(model=model, kind="request_taken"):
        taking = from_json(RequestTaken, entry.body)
        taken[taking.key] = taking.run_key
    closed: dict[str, RequestClosed] = {}
    for entry in ledger.entries(model=model, kind="request_closed"):
        closing = from_json(RequestClosed, entry.body)
        closed[closing.key] = closing
    found = []
    for entry in ledger.entries(model=model, kind="retrain_requested"):
        request = from_json(RetrainRequest, entry.body)
        end = closed.get(request.key)
        found.append(
            PastRequest(
                request,
                end.run_key if end else taken.get(request.key),
                end.outcome if end else None,
                end.superseded_by if end else None,
            )
        )
    return sorted(found, key=lambda past: (past.request.as_of, past.request.key))


@dataclass(frozen=True, slots=True)
class PastCheck:
    """A check, what was decided after it, and what became of the retrain it asked for, if it did."""

    verdict: Verdict
    decision: RetrainDecision | None
    request: PastRequest | None


def checks(ledger: Ledger, model: str) -> list[PastCheck]:
    """Return the checks of a model by rising as-of."""
    decisions = {
        run_key_of(entry.key): from_json(RetrainDecision, entry.body)
        for entry in ledger.entries(model=model, kind="retrain_decided")
    }
    asked = {past.request.key: past for past in past_requests(ledger, model)}
    return [
        PastCheck(verdict, decisions.get(verdict.run_key), asked.get(verdict.run_key))
        for verdict in verdicts(ledger, model)
    ]


def alarm_since(
    ledger: Ledger, model: str, since: datetime, levels: Collection[Level] = ()
) -> Verdict | None:
    """Return the earliest alarm with an as-of after an instant, of these levels where any are given."""
    for verdict in verdicts(ledger, model):
        alarming = {level for level, answer in verdict.levels if answer == "alarm"}
        if verdict.as_of > since and alarming and (not levels or alarming & set(levels)):
            return verdict
    return None


def state(ledger: Ledger, model: str, latest: int = 10) -> WatchState:
    """Return how the watch over a model stands."""
    known = verdicts(ledger, model)
    observed = decided = None
    if known:
        run_key = known[-1].run_key
        observed = _of(ledger, "observed", run_key, Observation)
        decided = _of(ledger, "retrain_decided", run_key, RetrainDecision)
        reported = _of(ledger, "alarm_reported", run_key, AlarmReport)
        known[-1] = replace(known[-1], report=reported.files if reported else ())
    scorings = [from_json(Scored, e.body) for e in ledger.entries(model=model, kind="scored")]
    scored = max(scorings, key=lambda one: one.window.end, default=None)
    return WatchState(model, tuple(known[-latest:]), observed, decided, scored)


def _of(ledger: Ledger, kind: str, run_key: str, result: type[_T]) -> _T | None:
    """Return a check's one result of a kind."""
    entry = ledger.find(entry_key(kind, run_key))
    return None if entry is None else from_json(result, entry.body)
