"""What the gate rests on and what it answers: frozen values that travel as JSON.

`Evidence` is what was measured, `Comparison` what was judged of it. Differences are always the first
model's less the second's, in the metric's own unit; `Comparison.higher_is_better` says which way is up.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from evergreen.gate_spec import FairnessMetric, Policy

Decision = Literal["promote", "keep", "inconclusive"]
Verdict = Literal["passed", "failed", "inconclusive", "reported"]
SliceVerdict = Literal["unharmed", "harmed", "unproven", "too small"]
CheckName = Literal[
    "baseline",
    "last_period",
    "champion",
    "slices",
    "fairness",
    "calibration",
    "serving",
    "leaks",
    "newer_champion",
    "by_hand",
]
FindingKind = Literal["predicts_alone", "after_label", "shared_keys", "windows_overlap"]


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate with its two-sided confidence interval.

    >>> str(Interval(-0.01, -0.02, 0.005, 0.95))
    '-0.01 (95% interval -0.02 to +0.005)'
    """

    estimate: float
    low: float
    high: float
    confidence: float

    def __str__(self) -> str:
        return (
            f"{self.estimate:+.4g} ({self.confidence:.0%} interval {self.low:+.4g} to {self.high:+.4g})"
        )


@dataclass(frozen=True, slots=True)
class Difference:
    """One model's metric less another's, on the same rows.

    `value` and `other` are the two models' metrics, None where undefined. `interval` is of the
    difference, None where nothing can be said, and `problem` then says why. `error` is the standard
    error of the difference and `degrees` the degrees of freedom of its t distribution; where the margin
    is relative, the error allows for the noise of the other's metric, too. `identical`: the two answer
    alike on every row. `method` says how the interval was made.
    """

    value: float | None
    other: float | None
    interval: Interval | None
    error: float | None
    degrees: float | None
    rows: int
    clusters: int
    method: str
    identical: bool = False
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Slice:
    """The rows of one value (or bin) of a column. The gate fills `verdict` and `p_value`.

    `p_value` is of the harm: the one-sided test of "not worse than the margin", Holm-adjusted.
    """

    column: str
    value: str
    rows: int
    difference: Difference | None
    verdict: SliceVerdict | None = None
    p_value: float | None = None


@dataclass(frozen=True, slots=True)
class Group:
    """One group of a sensitive column, with the rate or loss that is compared (None: undefined)."""

    name: str
    rows: int
    value: float | None


@dataclass(frozen=True, slots=True)
class Gap:
    """The largest difference between two groups of a sensitive column.

    `gap` is None where fewer than two groups are large enough; `problem` says why. `groups` are those
    compared, `small` the names of those that are too small. `champion` is the champion's gap.
    """

    column: str
    metric: FairnessMetric
    gap: Interval | None
    groups: tuple[Group, ...] = ()
    small: tuple[str, ...] = ()
    champion: Interval | None = None
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Bin:
    """Rows of like probability: the mean predicted one, the share observed, and how many rows."""

    predicted: float
    observed: float
    rows: int


@dataclass(frozen=True, slots=True)
class Calibration:
    """How well one model's probabilities match what happened; `slope` is None where undefined."""

    error: Interval
    slope: Interval | None
    bins: tuple[Bin, ...]


@dataclass(frozen=True, slots=True)
class Serving:
    """What the challenger needed in a clean process on one thread.

    `faults` are sentences: a signature that does not match, a row of nulls it did not survive.
    `largest_deviation` is between the training process's predictions and those made here, over
    `reproduced_rows` rows; 0 is "exactly the same". Times are in milliseconds, memory is the peak of
    the whole process in bytes.
    """

    size_bytes: int
    load_ms: float
    median_ms: float
    p99_ms: float
    single_rows: int
    rows_per_second: float
    batch_rows: int
    memory_bytes: int
    reproduced_rows: int
    largest_deviation: float
    faults: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that a leak or sanity check found; `words` is a whole sentence."""

    kind: FindingKind
    subject: str
    words: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that was measured. `problems` are checks that could not be made, by check: (check, why)."""

    rows: int
    clusters: int
    clustered_by: str
    over_baseline: Difference
    over_last_period: Difference | None = None
    over_champion: Difference | None = None
    champion_over_baseline: Difference | None = None
    slices: tuple[Slice, ...] = ()
    gaps: tuple[Gap, ...] = ()
    calibration: Calibration | None = None
    champion_calibration: Calibration | None = None
    serving: Serving | None = None
    findings: tuple[Finding, ...] = ()
    problems: tuple[tuple[CheckName, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Check:
    """One question the gate asked, and its answer in a sentence.

    `reported` is a failure that the owner chose only to be told of.
    """

    name: CheckName
    verdict: Verdict
    words: str


@dataclass(frozen=True, slots=True)
class Settling:
    """What it would take to settle an inconclusive comparison.

    `detectable` is the smallest true difference from the limit that rows like these show in 4 of 5
    cases; `rows` and `clusters` are how many would show the difference seen now, None where it lies so
    close to the limit that no number would.
    """

    detectable: float
    rows: int | None
    clusters: int | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """The gate's answer.

    `decision` is what the evidence says, `promote` what is done about it. `limit` is the harm, in the
    metric's unit, that all of the interval against the champion must stay below: the margin, or minus it
    for superiority. `clustered_by` and all else that was measured stand in `evidence`.
    """

    decision: Decision
    promote: bool
    checks: tuple[Check, ...]
    metric: str
    higher_is_better: bool
    policy: Policy
    margin: str
    limit: float | None
    confidence: float
    evidence: Evidence
    settling: Settling | None = None
    champion_version: int | None = None
    champion_seq: int | None = None
    notes: tuple[str, ...] = ()

    @property
    def reasons(self) -> tuple[str, ...]:
        """What each check answered, in the order they were asked."""
        return tuple(check.words for check in self.checks)

    @property
    def against(self) -> Difference:
        """The difference the decision turns on: to the champion or, without one, to the baseline."""
        return self.evidence.over_champion or self.evidence.over_baseline
