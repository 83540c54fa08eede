"""What each step returns: frozen values that travel as JSON and hold references, never data.

`to_json` and `from_json` are the only codec; a round-trip test covers every type of `STEP_RESULTS`.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Any, Literal, TypeVar, cast

from pydantic import TypeAdapter

from evergreen import older_entries
from evergreen.comparison import Comparison, Serving
from evergreen.hand import Deed, Restored
from evergreen.metric_spec import Task
from evergreen.spec import ModelSpec, Suite
from evergreen.window import Window, Windows

ReleaseWish = Literal["auto", "never", "unopposed"]
Outcome = Literal["promoted", "kept", "registered", "rejected", "failed", "skipped", "waiting"]
"""What a run came to. `skipped`: it was woken for a request that another run had served by then.
`waiting`: it has come to no end yet, for it waits for a person's answer; no report is kept of that."""


@dataclass(frozen=True, slots=True)
class Artefact:
    """A stored file: its name within its folder, its SHA-256 in hex and its size in bytes."""

    name: str
    sha256: str
    size: int


@dataclass(frozen=True, slots=True)
class PinnedModel:
    """A model file with the files it names, as it stood when a run began.

    `digest` covers what decides a retrain's result: the query, the suite, and the spec without
    `loading.NOT_DECIDING`; `score_query` and `monitor_query` are those of the sections of that name.
    """

    spec: ModelSpec
    query: str | None
    suite: Suite | None
    folder: str
    digest: str
    score_query: str | None = None
    monitor_query: str | None = None


@dataclass(frozen=True, slots=True)
class Retrain:
    """One run: what was asked for, on which model file, for which windows.

    `triggered_by` is the user who started it by hand, None where nobody did.
    """

    run_key: str
    model: PinnedModel
    windows: Windows
    reason: str
    release: ReleaseWish
    code_version: str
    triggered_by: str | None = None


@dataclass(frozen=True, slots=True)
class ColumnType:
    """A column of a snapshot and its Arrow type as text."""

    name: str
    type: str


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The immutable dataset of a window.

    `digest` is a SHA-256 over the rows' content: the same rows give the same digest whatever chunks
    they came in. `artefacts` are the files at `uri`, each verified before use.
    """

    uri: str
    digest: str
    window: Window
    rows: int
    columns: tuple[ColumnType, ...]
    artefacts: tuple[Artefact, ...]


@dataclass(frozen=True, slots=True)
class ExpectationOutcome:
    """What one expectation found. `failing_rows` is None where the expectation is not about rows."""

    expectation: str
    arguments: dict[str, Any]
    severity: Literal["error", "warning"]
    passed: bool
    observed: str
    failing_rows: int | None
    failing_keys: tuple[str, ...]
    why: str | None


@dataclass(frozen=True, slots=True)
class ValidationReport:
    """Whether a snapshot may be trained on, and why not."""

    passed: bool
    rows: int
    outcomes: tuple[ExpectationOutcome, ...]
    quarantined_rows: int
    quarantine_uri: str | None
    report_uri: str | None
    artefacts: tuple[Artefact, ...] = ()

    @property
    def errors(self) -> tuple[ExpectationOutcome, ...]:
        """Failed expectations that reject the data."""
        return tuple(o for o in self.outcomes if not o.passed and o.severity == "error")

    @property
    def warnings(self) -> tuple[ExpectationOutcome, ...]:
        """Failed expectations that are only reported."""
        return tuple(o for o in self.outcomes if not o.passed and o.severity == "warning")


@dataclass(frozen=True, slots=True)
class ModelArtefact:
    """A trained model's files. `digest` is the SHA-256 over the names and digests of all of them."""

    uri: str
    digest: str
    artefacts: tuple[Artefact, ...]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A trained model that is not yet a version.

    `key` names what made it (data, model file, code), so a retry finds it instead of training again.
    `classes` is empty for regression. `baseline` is what the trivial predictor answers for every row:
    the class shares of the training rows, or the mean of their labels (their median for absolute_error);
    `last_period` is the same of the last rows of the train window only, as many days as are tested on.
    `trained_on` is the window of the rows that were learnt from. The model's files hold what the
    training process answered for the first `reference_rows` test rows. `refit_of` is the key of the
    candidate that was tested, where this one was trained after its win on train and test rows together.
    """

    key: str
    run_id: str
    task: Task
    model: ModelArtefact
    features: tuple[ColumnType, ...]
    classes: tuple[str, ...]
    baseline: tuple[float, ...]
    rows_trained: int
    rows_tested: int
    metrics: dict[str, float]
    warnings: tuple[str, ...] = ()
    last_period: tuple[float, ...] = ()
    trained_on: Window | None = None
    reference_rows: int = 0
    refit_of: str | None = None


@dataclass(frozen=True, slots=True)
class Refit:
    """What became of training once more after a win: what is released instead of the tested model.

    `accepted`: the refitted candidate passed the fit-to-serve checks again; else nothing is released.
    """

    tested: str
    candidate: Candidate
    serving: Serving
    accepted: bool
    words: str


@dataclass(frozen=True, slots=True)
class Version:
    """One trained, registered artefact; `number` counts from 1 within the model."""

    name: str
    number: int
    candidate_key: str
    model: ModelArtefact


@dataclass(frozen=True, slots=True)
class Release:
    """A version that serves all traffic of a target since it was released.

    `as_of` is the instant from which on the version answers: rows before it are known to it, or were
    answered by the champion before. `restored` is there where a person made an earlier champion champion
    again: then `as_of` is the latest that any run of the model had by then, and the version itself was
    trained as of `trained_as_of`.
    """

    name: str
    version: Version
    candidate: Candidate
    previous: int | None
    as_of: datetime
    target: str
    run_key: str
    restored: Restored | None = None

    @property
    def trained_as_of(self) -> datetime:
        """As-of of the run that trained the version."""
        return self.as_of if self.restored is None else self.restored.as_of

    @property
    def made_by(self) -> str:
        """Key of the run that trained the version and proved it."""
        return self.run_key if self.restored is None else self.restored.run_key


@dataclass(frozen=True, slots=True)
class Withheld:
    """Why a run that won released nothing: what a person decided, which stood then."""

    why: str


@dataclass(frozen=True, slots=True)
class GivenUp:
    """Why a release that was decided is not carried out any more; `by` is the run that found so."""

    why: str
    by: str


@dataclass(frozen=True, slots=True)
class StepFailure:
    """Why a try of a step failed; a retryable failure may be followed by a try that did not."""

    step: str
    error: str
    message: str
    retryable: bool


@dataclass(frozen=True, slots=True)
class RunReport:
    """What a run came to, in words. `abandoned`: it never said so, and others say so for it."""

    run_key: str
    model: str
    as_of: datetime | None
    outcome: Outcome
    champion_before: int | None
    challenger: int | None
    summary: str
    lines: tuple[str, ...] = field(default=())
    abandoned: bool = False


STEP_RESULTS: tuple[type, ...] = (
    Retrain,
    Snapshot,
    ValidationReport,
    Candidate,
    Comparison,
    Refit,
    Version,
    Release,
    Withheld,
    StepFailure,
    RunReport,
    Deed,
)

_T = TypeVar("_T")


@cache
def _adapter(kind: Hashable) -> TypeAdapter[Any]:
    return TypeAdapter(cast("Any", kind))


def to_json(result: object) -> dict[str, Any]:
    """Return a result as JSON-ready values; times are ISO 8601 in UTC."""
    plain: dict[str, Any] = _adapter(cast("Hashable", type(result))).dump_python(result, mode="json")
    return plain


def from_json(kind: type[_T], plain: Mapping[str, Any]) -> _T:
    """Return the result that `to_json` made `plain` from, now or in an earlier version."""
    if kind is Comparison:
        plain = older_entries.comparison(plain)
    result: _T = _adapter(cast("Hashable", kind)).validate_python(plain)
    return result
