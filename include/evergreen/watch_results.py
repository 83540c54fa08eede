"""What a check of the watch found and what follows from it: frozen values that travel as JSON.

`Observation` is what was measured, `Verdict` what was judged of it, `RetrainDecision` what is done.
Shares and probabilities run from 0 to 1; times are in UTC.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Literal

from evergreen.monitor_spec import DistanceName, Level
from evergreen.results import Artefact, PinnedModel
from evergreen.window import Window

Answer = Literal["quiet", "alarm", "not enough data"]
Action = Literal["retrain", "wait", "hold"]
HealthKind = Literal["schema", "nulls", "volume", "stale", "unseen", "future", "unreadable"]
CellKind = Literal["number", "category", "instant", "text"]
RequestOutcome = Literal["promoted", "kept", "registered", "rejected", "failed"]


@dataclass(frozen=True, slots=True)
class Stored:
    """A small file in the store: where it lies, and what it must be to be believed."""

    uri: str
    artefact: Artefact


@dataclass(frozen=True, slots=True)
class Scored:
    """Rows scored and put into the prediction log; 0 rows where the window was empty.

    `version` is the champion as of the window's end, None where there was none: then nothing was
    scored, and `note` says so.
    """

    run_key: str
    window: Window
    version: int | None
    rows: int
    log_uri: str
    note: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Check:
    """One check of the watch: on which model file, at which instant, over which rows, of which champion.

    `release_key` is the run that released the champion of the as-of, None where there was none.
    """

    run_key: str
    model: PinnedModel
    as_of: datetime
    window: Window
    version: int | None
    release_key: str | None
    reason: str


@dataclass(frozen=True, slots=True)
class Profiled:
    """The profiles of a check's window, by day, and of its season where one is asked for.

    `profiles` is None where the champion has no baseline, or there is no champion, or, if `unreadable`,
    where the rows cannot be read; `problem` says so.
    """

    rows: int
    days: int
    profiles: Stored | None
    seasonal: Stored | None = None
    problem: str | None = None
    unreadable: bool = False


@dataclass(frozen=True, slots=True)
class Chance:
    """What a distance is where nothing changed: the first three moments of its null distribution.

    `natural` is the share of `mean` that the baseline's own rhythm (days, weekdays) adds to sampling.
    `tail` are the values that chance exceeds as rarely as `drift.chance.TAIL` says, where they are known
    better than three moments tell.
    """

    mean: float
    sd: float
    skew: float
    natural: float = 0.0
    tail: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Drifted:
    """How far one column, or the prediction, lies from the baseline.

    `value` is None where the distance is undefined, and `problem` says why. `moved` is the share of rows
    that would have to lie in another cell to look like the baseline (total variation). `psi` is shown
    whatever the distance. `importance` is the column's share of the champion's permutation importance.
    """

    column: str
    kind: CellKind
    distance: DistanceName
    value: float | None
    moved: float | None
    psi: float | None
    chance: Chance | None
    importance: float
    baseline_rows: int
    window_rows: int
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class DayLoss:
    """The mean loss (or a ranking metric's value) of the rows of one day."""

    day: date
    value: float
    rows: int


@dataclass(frozen=True, slots=True)
class LossSeries:
    """The champion's loss by day since it was released, beside the level it was proven at.

    `level` is the gate's metric on the test window, `level_days` its days; those were out of the
    champion's sight. `estimate`: the values are estimated from calibrated confidence, no label was seen.
    `rows` counts labelled rows of the check's window, `missing` those without a label yet.
    """

    metric: str
    higher_is_better: bool
    level: float
    level_days: tuple[DayLoss, ...]
    days: tuple[DayLoss, ...]
    estimate: bool
    rows: int
    missing: int = 0
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class HealthFinding:
    """Something about the data itself. `chance` is None where no chance is involved.

    `value` above `limit` (below it for `volume`) breaks the owner's rule.
    """

    kind: HealthKind
    subject: str
    value: float
    limit: float
    words: str
    chance: Chance | None = None


@dataclass(frozen=True, slots=True)
class Observation:
    """All that one check measured. `problems` says of each level that could not be measured, why.

    `checks_a_year` and `overlap` (the window's length over the time between checks) tell the judge how
    often it is asked; `rows_a_day` of the window tells the cost rule how much is at stake.
    """

    run_key: str
    as_of: datetime
    window: Window
    version: int | None
    rows: int
    rows_a_day: float
    checks_a_year: float
    overlap: float
    features: tuple[Drifted, ...] = ()
    predictions: tuple[Drifted, ...] = ()
    loss: LossSeries | None = None
    estimated: LossSeries | None = None
    health: tuple[HealthFinding, ...] = ()
    problems: tuple[tuple[Level, str], ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was judged: its value, what chance alone reaches, and how rarely.

    `threshold` is the value that chance alone exceeds as often as this thing's part of the budget
    allows; `years` is the mean time between such exceedances. None where no chance is involved.
    """

    level: Level
    subject: str
    measure: str
    value: float | None
    threshold: float | None
    p_value: float | None
    years: float | None
    answer: Answer
    words: str
    weight: float = 0.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a check came to. `spoke` is the foremost level that alarmed.

    `excess_loss` is how much worse than proven the champion is on the window's rows, per row in the
    metric's unit and positive where worse; `excess_is_estimate` marks one that rests on no label.
    `findings` holds every alarm and the foremost quiet ones, those that matter most first.
    """

    run_key: str
    as_of: datetime
    window: Window
    version: int | None
    answer: Answer
    spoke: Level | None
    levels: tuple[tuple[Level, Answer], ...]
    findings: tuple[Finding, ...]
    words: tuple[str, ...]
    rows: int = 0
    rows_a_day: float = 0.0
    excess_loss: float | None = None
    excess_is_estimate: bool = False
    report: tuple[Stored, ...] = ()


@dataclass(frozen=True, slots=True)
class AlarmReport:
    """The files that show an alarm; those that could not be made are missing."""

    run_key: str
    files: tuple[Stored, ...]


@dataclass(frozen=True, slots=True)
class RetrainRequest:
    """A wish for a retrain, as of an instant, with its reason. `key` is its idempotency key."""

    key: str
    as_of: datetime
    reason: str
    asked_by: str


@dataclass(frozen=True, slots=True)
class RequestTaken:
    """A run that took a request to serve it."""

    key: str
    run_key: str


@dataclass(frozen=True, slots=True)
class RequestClosed:
    """How a request ended: with the run that served it, or superseded by a later request's."""

    key: str
    run_key: str
    outcome: RequestOutcome
    superseded_by: str | None = None


@dataclass(frozen=True, slots=True)
class RetrainDecision:
    """What is done after a check, and every reason for and against it, in sentences."""

    run_key: str
    as_of: datetime
    action: Action
    reasons: tuple[str, ...]
    request: RetrainRequest | None = None
    open_requests: tuple[str, ...] = field(default=())


WATCH_RESULTS: tuple[type, ...] = (
    Scored,
    Check,
    Profiled,
    Observation,
    Verdict,
    AlarmReport,
    RetrainDecision,
    RetrainRequest,
    RequestTaken,
    RequestClosed,
)
