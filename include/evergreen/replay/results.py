"""What a replay found: frozen values that travel as JSON, the same for the same data and files.

They hold nothing of the machine: no run ids, folders or times of its clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from evergreen.monitor_spec import Level
from evergreen.results import Outcome
from evergreen.watch_results import Action, Answer

Cause = Literal["first", "schedule", "alarm"]
Part = Literal["scoring", "check"]


@dataclass(frozen=True, slots=True)
class Checked:
    """A check: what it answered, which level spoke, and what was decided for which reasons."""

    at: datetime
    version: int | None
    answer: Answer
    spoke: Level | None
    words: tuple[str, ...]
    action: Action
    reasons: tuple[str, ...]
    excess_loss: float | None = None
    kind: Literal["check"] = "check"


@dataclass(frozen=True, slots=True)
class Retrained:
    """A retrain and what the gate said. `version` is who serves from then on."""

    at: datetime
    cause: Cause
    outcome: Outcome
    version: int | None
    words: str
    kind: Literal["retrain"] = "retrain"


@dataclass(frozen=True, slots=True)
class Broken:
    """A scoring or a check that would have failed, and why."""

    at: datetime
    part: Part
    words: str
    kind: Literal["broken"] = "broken"


Event = Checked | Retrained | Broken


@dataclass(frozen=True, slots=True)
class Served:
    """What the champions of a time answered, by the metric: a month's rows, or all.

    `value` is None where no row has a label by the end of the replay or the metric is undefined.
    """

    start: datetime
    end: datetime
    rows: int
    labelled: int
    value: float | None


@dataclass(frozen=True, slots=True)
class Money:
    """Cost in the owner's money.

    `staleness` is what the loss of all labelled rows cost above the level that the first champion was
    proven at; it is negative where what served was better than that. `total` is both together.
    """

    retrains: float
    staleness: float
    total: float


@dataclass(frozen=True, slots=True)
class Totals:
    """How often what happened. The first training, which every policy has, is not among `retrains`.

    `alarms` are checks that alarmed; of these `waited` and `held` started no retrain.
    """

    checks: int
    alarms: int
    unjudged: int
    retrains: int
    retrains_by_alarm: int
    promotions: int
    waited: int
    held: int
    broken: int


@dataclass(frozen=True, slots=True)
class Replay:
    """One policy over one stretch of history.

    `level` is the metric that the first champion was proven at.
    """

    model: str
    policy: str
    start: datetime
    end: datetime
    metric: str
    higher_is_better: bool
    level: float | None
    events: tuple[Event, ...]
    months: tuple[Served, ...]
    whole: Served
    totals: Totals
    money: Money | None
    notes: tuple[str, ...] = ()
