"""What people ask the ledger about the watch; nothing is written. Any `ports.Ledger` will do."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from evergreen.entry_keys import run_key_of
from evergreen.monitor_spec import Level
from evergreen.ports import Ledger
from evergreen.results import from_json
from evergreen.watch_results import (
    Observation,
    RetrainDecision,
    Scored,
    Verdict,
)


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
    run_key = known[-1].run_key if known else None
    observed = decided = None
    for entry in ledger.entries(model=model):
        if entry.kind == "observed" and run_key_of(entry.key) == run_key:
            observed = from_json(Observation, entry.body)
        if entry.kind == "retrain_decided" and run_key_of(entry.key) == run_key:
            decided = from_json(RetrainDecision, entry.body)
    scorings = [from_json(Scored, e.body) for e in ledger.entries(model=model, kind="scored")]
    scored = max(scorings, key=lambda one: one.window.end, default=None)
    return WatchState(model, tuple(known[-latest:]), observed, decided, scored)
