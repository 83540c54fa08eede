"""What the loss benchmark measures: false alarms begun, and how soon harm is seen, by rule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tests.benchmarks.trials import generator, in_processes, portions
from tests.benchmarks.watch_loss_rules import (
    GAP,
    INDEPENDENT,
    KINDS,
    PROOF,
    SPREAD,
    bar_for,
    begun,
    cusum,
    delays,
    walk,
)

ALLOWED = (0.01, 0.003, 0.001)
EQUAL = 0.005
"""What is allowed where harm is looked for."""
EVERY = (1, 7)
"""Days from one check to the next."""
DAYS = 60
ONSET, WITHIN = 30, 20
HARMS = (0.0, 1.0, 1.5, 2.0, 3.0, 5.0)
OURS, CUSUM, CUSUM_AS_OURS = "Evergreen", "CUSUM, tuned to the allowance", "CUSUM, as rare as Evergreen"


@dataclass(frozen=True, slots=True)
class Part:
    """Some streams of one kind."""

    kind: str
    number: int
    streams: int

    def losses(self, purpose: str) -> np.ndarray:
        """Return the streams `(streams, PROOF + GAP + DAYS)`, the same for the same part."""
        shape = (self.streams, PROOF + GAP + DAYS)
        return KINDS[self.kind](generator("loss", purpose, self), shape)


@dataclass(frozen=True, slots=True)
class Rate:
    """False alarms begun a check, over `allowed`, and the standard error of that, as streams differ."""

    kind: str
    every: int
    allowed: float
    ratio: float
    error: float


@dataclass(frozen=True, slots=True)
class Seen:
    """What a rule makes of harm: its median delay in days, its power, and in how many streams."""

    rule: str
    harm: float
    median: float
    power: float
    streams: int


@dataclass(frozen=True, slots=True)
class Figures:
    """What was measured; `equal` are the rates of each rule at the allowance of the harms."""

    streams: int
    rates: list[Rate]
    seen: list[Seen]
    equal: dict[str, dict[str, Rate]]


def measure(trials: int) -> Figures:
    """Walk so many streams of each kind by both rules, and as many that harm comes to."""
    parts = [Part(kind, *portion) for kind in KINDS for portion in portions(trials)]
    counts = dict(zip(parts, in_processes(false_alarms, parts), strict=True))
    columns = [(every, allowed) for every in EVERY for allowed in (*ALLOWED, EQUAL)]
    rates = [
        rate(kind, every, allowed, np.hstack([counts[one][place] for one in parts if one.kind == kind]))
        for kind in KINDS
        for place, (every, allowed) in enumerate(columns)
    ]
    ours = {one.kind: one for one in rates if (one.every, one.allowed) == (1, EQUAL)}
    independent = [part for part in parts if part.kind == INDEPENDENT]
    tuning = cusum(_together(independent, "tune"))
    bars = {
        CUSUM: bar_for(tuning, EQUAL),
        CUSUM_AS_OURS: bar_for(tuning, EQUAL * ours[INDEPENDENT].ratio),
    }
    equal = {OURS: ours} | {rule: cusum_rates(parts, bar) for rule, bar in bars.items()}
    found = in_processes(noticed, independent)
    seen = [
        told(OURS, harm, np.concatenate([each[place] for each in found]))
        for place, harm in enumerate(HARMS)
    ]
    harmed = _together(independent, "harm")
    for rule, bar in bars.items():
        for harm in HARMS:
            alarms = cusum(with_harm(harmed, harm))[:, ONSET - 1 : ONSET + WITHIN] > bar
            seen.append(told(rule, harm, delays(alarms)))
    return Figures(trials, [one for one in rates if one.allowed != EQUAL], seen, equal)


def false_alarms(part: Part) -> list[np.ndarray]:
    """Return how many of Evergreen's alarms begin in each stream, by pace of checks and allowance."""
    whole = walk(tuple(range(1, DAYS + 1)))
    p_values = np.array([whole.p_values(losses) for losses in part.losses("quiet")])
    counts = []
    for every in EVERY:
        at = slice(every - 1, None, every)
        for allowed in (*ALLOWED, EQUAL):
            alarms = p_values[:, at] <= whole.bars(allowed, float(every))[at]
            counts.append(begun(alarms).sum(axis=1))
    return counts


def noticed(part: Part) -> list[np.ndarray]:
    """Return Evergreen's delays, by harm."""
    checks = walk(tuple(range(ONSET, ONSET + WITHIN + 1)))
    bars, quiet = checks.bars(EQUAL, 1.0), part.losses("harm")
    return [
        delays(np.array([checks.p_values(losses) for losses in with_harm(quiet, harm)]) <= bars)
        for harm in HARMS
    ]


def with_harm(losses: np.ndarray, harm: float) -> np.ndarray:
    """Return the streams with so many standard deviations of a day more from the onset on."""
    places = np.arange(losses.shape[1])
    return np.asarray(losses + harm * SPREAD * (places >= PROOF + GAP + ONSET))


def cusum_rates(parts: Sequence[Part], bar: float) -> dict[str, Rate]:
    """Return the CUSUM's rates by kind, on the streams that Evergreen's are measured on."""
    rates = {}
    for kind in KINDS:
        sums = cusum(_together([part for part in parts if part.kind == kind], "quiet"))
        rates[kind] = rate(kind, 1, EQUAL, begun(sums > bar).sum(axis=1))
    return rates


def _together(parts: Sequence[Part], purpose: str) -> np.ndarray:
    return np.vstack([part.losses(purpose) for part in parts])


def rate(kind: str, every: int, allowed: float, counts: np.ndarray) -> Rate:
    """Return the rate from the alarms begun in each stream."""
    ratios = counts / (DAYS // every) / allowed
    return Rate(kind, every, allowed, float(ratios.mean()), float(ratios.std() / np.sqrt(len(ratios))))


def told(rule: str, harm: float, found: np.ndarray) -> Seen:
    """Return median and power of the delays."""
    median = float(np.quantile(found, 0.5, method="inverted_cdf"))
    return Seen(rule, harm, median, float(np.isfinite(found).mean()), len(found))
