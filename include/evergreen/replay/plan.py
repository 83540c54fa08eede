"""What is due when: a model file's three schedules walked in time order, by a clock of their own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from evergreen.cron import times
from evergreen.spec import ModelSpec
from evergreen.window import Window

Due = Literal["check", "retrain"]


@dataclass(frozen=True, slots=True)
class Stop:
    """An instant at which something is due, or the end. `rows` are to be scored before anything else.

    Scorings since the stop before are taken together where their windows touch: no version changes in
    between, so each row meets the version that it would have met one by one.
    """

    at: datetime
    due: frozenset[Due]
    rows: tuple[Window, ...]


def stops(spec: ModelSpec, start: datetime, end: datetime) -> Iterator[Stop]:
    """Yield the stops after `start` up to and including `end`, the last one at `end`.

    At one instant rows are scored first, then comes the check, then the retrain: neither has seen a
    model that learnt from the rows it looks at. Without a schedule of scoring, all rows are scored.
    """
    checks = set(_due(spec.monitor.schedule if spec.monitor else None, start, end))
    retrains = set(_due(spec.schedule, start, end))
    scorings = list(_scorings(spec, start, end))
    before = start
    for at in sorted(checks | retrains | {end}):
        due: set[Due] = {"check"} if at in checks else set()
        due |= {"retrain"} if at in retrains else set()
        rows = (
            [Window(before, at)]
            if spec.score is None or spec.score.schedule is None
            else [window for window in scorings if before < window.end <= at]
        )
        yield Stop(at, frozenset(due), _touching(rows))
        before = at


def _scorings(spec: ModelSpec, start: datetime, end: datetime) -> Iterator[Window]:
    """Yield the window of each scheduled scoring, cut off where the replay begins."""
    if spec.score is None:
        return
    for at in _due(spec.score.schedule, start, end):
        yield Window(max(start, spec.score.window.before(at)), at)


def _touching(windows: list[Window]) -> tuple[Window, ...]:
    """Return the windows with those that touch or overlap made one."""
    joined: list[Window] = []
    for window in sorted(windows, key=lambda one: (one.start, one.end)):
        if joined and window.start <= joined[-1].end:
            joined[-1] = Window(joined[-1].start, max(joined[-1].end, window.end))
        else:
            joined.append(window)
    return tuple(joined)


def _due(schedule: str | None, start: datetime, end: datetime) -> Iterator[datetime]:
    return iter(()) if schedule is None else times(schedule, start, end)
