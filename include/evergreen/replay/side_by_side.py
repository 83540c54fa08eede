"""Two policies over the same history: what they must have in common, and how they differ."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from evergreen.replay.results import Replay, Served
from evergreen.results import PinnedModel


@dataclass(frozen=True, slots=True)
class Difference:
    """The second policy less the first; None where one of them has no value.

    `value` is of the metric over all labelled rows, in its own direction.
    """

    retrains: int
    promotions: int
    alarms: int
    value: float | None
    money: float | None


def unlike(one: PinnedModel, other: PinnedModel) -> Iterator[str]:
    """Yield what keeps two model files from being compared: they must ask the same of the same rows."""
    first, second = one.spec, other.spec
    pairs = {
        "name": (first.name, second.name),
        "data.source": (first.data.source, second.data.source),
        "the query of data.source": (one.query, other.query),
        "data.time_column": (first.data.time_column, second.data.time_column),
        "data.time_zone": (first.data.time_zone, second.data.time_zone),
        "data.key": (first.data.key, second.data.key),
        "data.label": (first.data.label, second.data.label),
        "data.weight": (first.data.weight, second.data.weight),
        "gate.metric": (first.gate.metric, second.gate.metric),
    }
    for key, (ours, theirs) in pairs.items():
        if ours != theirs:
            yield key


def difference(one: Replay, other: Replay) -> Difference:
    """Return how the second differs from the first."""
    return Difference(
        retrains=other.totals.retrains - one.totals.retrains,
        promotions=other.totals.promotions - one.totals.promotions,
        alarms=other.totals.alarms - one.totals.alarms,
        value=gap(one.whole, other.whole),
        money=None if one.money is None or other.money is None else other.money.total - one.money.total,
    )


def gap(one: Served, other: Served) -> float | None:
    """Return the second's value less the first's, or None where one of them has none."""
    return None if one.value is None or other.value is None else other.value - one.value
