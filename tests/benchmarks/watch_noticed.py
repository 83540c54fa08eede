"""Makes rules equal in their false alarms, and says how each then noticed each drift."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tests.benchmarks.watch_alarms import LABELLED, OURS, UNLABELLED, Alarms, Rule
from tests.benchmarks.watch_streams import CHECKS, Drift

BUDGET = 1 / CHECKS


@dataclass(frozen=True, slots=True)
class Noticed:
    """How a rule noticed a drift. `delays`, of the streams it took part in, is infinite where never."""

    rule: Rule
    drift: Drift | None
    delays: tuple[float, ...]

    @property
    def power(self) -> float:
        """Return the share of streams that alarmed before they ended."""
        return float(np.isfinite(self.delays).mean())

    @property
    def median(self) -> float:
        """Return the median delay, infinite where half of the streams never alarmed."""
        return float(np.quantile(self.delays, 0.5, method="higher"))


@dataclass(frozen=True, slots=True)
class Tuned:
    """A rule's alarms in 90 checks by its defaults, its multiplier, and what that gave in the test."""

    rule: Rule
    defaults: float | None
    multiplier: float
    before_onset: float
    checks: int


@dataclass(frozen=True, slots=True)
class Figures:
    """What came out."""

    tuned: list[Tuned]
    noticed: dict[tuple[Rule, Drift | None], Noticed]
    trials: int

    def drifts(self, rule: Rule) -> list[Drift]:
        """Return the drifts that a rule was asked about."""
        return [drift for at, drift in self.noticed if at == rule and drift is not None]


def figures(tuning: Sequence[Alarms], tested: Sequence[Alarms]) -> Figures:
    """Return how each rule noticed each drift once it is tuned."""
    tuned, noticed = [], {}
    for rule in (*UNLABELLED, *LABELLED):
        multiplier, defaults = 1.0, None
        if rule not in OURS:
            known = np.concatenate([one.excess[rule, None] for one in tuning])
            multiplier, defaults = multiplier_for(known, BUDGET), CHECKS * float((known > 1).mean())
        before = np.concatenate([one.excess[rule, None][: one.onset] for one in tested]) > multiplier
        tuned.append(Tuned(rule, defaults, multiplier, CHECKS * float(before.mean()), len(before)))
        for drift in (drift for at, drift in tested[0].excess if at == rule):
            delays = (delay(one.excess[rule, drift] > multiplier, one.onset) for one in tested)
            noticed[rule, drift] = Noticed(
                rule, drift, tuple(each for each in delays if each is not None)
            )
    return Figures(tuned, noticed, len(tested))


def multiplier_for(excess: np.ndarray, rate: float) -> float:
    """Return the multiplier of the thresholds that leaves this share of checks in alarm.

    >>> float(multiplier_for(np.arange(1.0, 101.0), 0.02))
    98.5
    """
    falling = -np.sort(-excess)
    allowed = round(rate * len(falling))
    return float(falling[max(allowed - 1, 0) : allowed + 1].mean())


def delay(alarmed: np.ndarray, onset: int) -> float | None:
    """Return the number of checks until the first alarm, 1 at the onset and infinite where never.

    None where the rule is in alarm already at the check before.
    """
    if alarmed[onset - 1]:
        return None
    after = np.flatnonzero(alarmed[onset:])
    return float(after[0]) + 1 if len(after) else float("inf")
