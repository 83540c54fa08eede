"""What the steps need from the world. Adapters implement these; `tests/contracts` holds one suite each.

Arrow types appear in annotations only: importing this module loads no heavy library.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from types import EllipsisType
from typing import TYPE_CHECKING, Any, Literal, Protocol

from evergreen.comparison import Serving
from evergreen.results import (
    Candidate,
    ModelArtefact,
    Release,
    Retrain,
    Snapshot,
    ValidationReport,
    Version,
)
from evergreen.spec import Data, Suite
from evergreen.window import Window

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa


Duty = Literal["retrain", "score", "monitor", "approval", "hand", "alerts"]
"""What a lease is for: of each, one run at a time is at work on a model.

A run holds the first three; the others are held for the moment in which a person's answer, a person's
deed or a notice is written down.
"""
REFERENCE_ROWS = 1000
"""How many test rows the training process's predictions are kept of."""
PROBED_ROWS = 20_000
"""How many test rows a probe runs the model on at most."""


class DataSource(Protocol):
    """Reads rows of a window."""

    def read(self, window: Window) -> Iterator[pa.RecordBatch]:
        """Yield the window's rows in bounded batches of the types of `column_types`.

        All have the same columns; a column's type may widen on the way (null to any, int64 to
        float64). The time column comes as UTC timestamps. Rows outside the window never appear.

        Raises:
            DataUnusable: a missing table, column or file, mixed types, unreadable times.
            SourceUnavailable: the source did not answer.
        """
        ...


class SnapshotStore(Protocol):
    """Keeps snapshots as immutable, content-addressed Parquet."""

    def write(
        self, model: str, window: Window, batches: Iterable[pa.RecordBatch], data: Data
    ) -> Snapshot:
        """Store the batches and return their snapshot; the same rows give the same snapshot.

        Memory does not grow with rows. Nothing is visible under the snapshot's URI until all is.

        Raises:
            DataUnusable: no rows, a missing column, or a key that stands twice (with examples).
            StoreUnavailable: the store did not take the write; nothing was published.
        """
        ...

    def read(self, snapshot: Snapshot, window: Window, time_column: str) -> pa.Table:
        """Return the snapshot's rows of `window`, verified against its digests.

        Raises:
            ArtefactDamaged: a file is missing or is not what was written.
        """
        ...


class Validator(Protocol):
    """Judges a snapshot against a suite."""

    def validate(
        self, model: str, snapshot: Snapshot, rows: pa.Table, suite: Suite | None, key: str
    ) -> ValidationReport:
        """Judge the rows; failing ones are kept in quarantine with their reasons, keyed.

        Raises:
            DataUnusable: an expectation names a column that the data lacks, or is itself unknown.
            StoreUnavailable: quarantine or report could not be written.
        """
        ...


class Trainer(Protocol):
    """Trains challengers. What was trained is known by the ledger, not by the trainer's own store."""

    def train(
        self,
        key: str,
        retrain: Retrain,
        snapshot: Snapshot,
        train: pa.Table,
        test: pa.Table,
        remember: Callable[[Candidate], None],
        refit_of: Candidate | None = None,
    ) -> Candidate:
        """Train on `train`, measure on `test`, log the run and return the candidate.

        Where `refit_of` is given, the candidate that was tested and won, `train` holds the rows of the
        test window, too: nothing is measured on `test`, which only serves for the reference predictions.

        `remember` is called once everything of the candidate is stored, and before its run counts as
        finished; where it raises, the run has failed.

        Raises:
            DataUnusable: one class, no usable feature, or too few rows.
            TrainingFailed: an unknown estimator or parameter, or the fit failed.
            StoreUnavailable: the tracking server did not answer.
        """
        ...

    def attach(self, candidate: Candidate, files: Mapping[str, bytes]) -> None:
        """Keep files (by name) under evidence/ of the candidate's run, over those of the same name.

        Raises:
            ArtefactDamaged: the run was deleted.
            StoreUnavailable: the tracking server did not answer.
        """
        ...

    def finish(self, candidate: Candidate) -> None:
        """Close the run of a remembered candidate, where a killed try left it open. Safe to repeat.

        Raises:
            ArtefactDamaged: the run was deleted.
            StoreUnavailable: the tracking server did not answer.
        """
        ...


class Scorer(Protocol):
    """Runs trained models on rows."""

    def predict(self, candidate: Candidate, rows: pa.Table) -> np.ndarray:
        """Return probabilities `(n_rows, n_classes)` or, for regression, values `(n_rows,)`.

        Only models whose digest the caller took from the ledger may be passed in.

        Raises:
            ArtefactDamaged: the files are not those of the digest.
            ModelRefused: a flavour or type that is not allowed.
            DataUnusable: the rows lack a feature, or give non-finite predictions.
            ScoringInterrupted: the process that runs the model was killed or took too long.
        """
        ...

    def probe(self, candidate: Candidate, rows: pa.Table) -> Serving:
        """Load the candidate in a clean process and say whether it is fit to serve.

        Args:
            candidate: As for `predict`.
            rows: Labelled test rows in their order, at most `PROBED_ROWS`; the first
                `candidate.reference_rows` are those of the reference predictions.

        A fault of the model is in `Serving.faults`, not an exception.

        Raises:
            ArtefactDamaged: the files are not those of the digest.
            ModelRefused: a flavour or type that is not allowed.
            ScoringInterrupted: the process that runs the model was killed or took too long.
        """
        ...

    def verify(self, candidate: Candidate) -> None:
        """Read all files of the candidate and hold them against the ledger's record; runs nothing.

        Raises:
            ArtefactDamaged: the files are not those of the digest.
            StoreUnavailable: the artifact store did not answer.
        """
        ...

    def baseline(self, candidate: Candidate) -> bytes | None:
        """Return the baseline that travels with the candidate's model, verified; None: it has none.

        Raises:
            ArtefactDamaged: the files are not those of the digest.
            StoreUnavailable: the artifact store did not answer.
        """
        ...


@dataclass(frozen=True, slots=True)
class Registered:
    """A version as the registry tells of it: for whom it was registered, and the aliases it bears."""

    name: str
    number: int
    candidate_key: str
    run_key: str | None = None
    aliases: tuple[str, ...] = ()


class Registry(Protocol):
    """Names versions."""

    def register(self, name: str, candidate: Candidate, tags: Mapping[str, str]) -> Version:
        """Return the version of the candidate, registering it where it is not yet; alias challenger.

        Raises:
            ModelRefused: the registry holds a version of this key that is not the candidate.
            StoreUnavailable: the registry did not answer.
        """
        ...

    def champion(self, name: str) -> int | None:
        """Return the number under the alias champion, or None."""
        ...

    def registered(self) -> Iterator[Registered]:
        """Yield every version that Evergreen registered, of all models.

        Raises:
            StoreUnavailable: the registry did not answer.
        """
        ...

    def holds(self, version: Version) -> bool:
        """Return whether the version is there, registered for its candidate.

        Raises:
            StoreUnavailable: the registry did not answer.
        """
        ...

    def move_champion(self, version: Version, expected: int | None) -> None:
        """Point the alias champion at `version` where it points at `expected` (or already there).

        Raises:
            ChampionMoved: the alias points at neither.
            StoreUnavailable: the registry did not answer.
        """
        ...


@dataclass(frozen=True, slots=True)
class Pointer:
    """What a release target says it serves, and the highest fence that it was given.

    Two that serve the same are equal, whichever fence it came with.
    """

    name: str
    version: int
    model: ModelArtefact
    fence: int = field(default=0, compare=False)


class Deployer(Protocol):
    """Puts a version before its traffic."""

    def deploy(self, release: Release, fence: int) -> None:
        """Make the target serve the release's version. Safe to repeat.

        Args:
            release: What to serve.
            fence: Grows from release to release; the target keeps the highest it was given.

        Raises:
            LeaseLost: the target was given a higher fence: whoever calls is out of date.
            StoreUnavailable: the target did not take the version; what it served it still serves.
        """
        ...

    def serving(self, name: str) -> Pointer | None:
        """Return what the target serves, read from the target itself."""
        ...


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to do one duty for a model. `epoch` grows with every take-over: a fencing token."""

    model: str
    holder: str
    epoch: int
    duty: Duty = "retrain"


@dataclass(frozen=True, slots=True)
class Entry:
    """One link of the ledger's chain. `seq` counts from 1 without gaps."""

    seq: int
    at: datetime
    model: str
    kind: str
    key: str
    body: Mapping[str, Any]
    previous_hash: str
    hash: str


class Ledger(Protocol):
    """The append-only memory: what was decided, on what evidence, in which order."""

    def append(
        self,
        kind: str,
        key: str,
        body: Mapping[str, Any],
        lease: Lease,
        *,
        expected_release: int | EllipsisType | None = ...,
        expected_hand: int | EllipsisType | None = ...,
    ) -> Entry:
        """Append an entry and return it; the same key and body again return the first entry.

        Args:
            kind: One of `ledger.KINDS`.
            key: Idempotency key, unique in the ledger.
            body: JSON values.
            lease: Checked in the same transaction; names the model. Its duty may be any.
            expected_release: Where given, the `seq` of the model's last release entry (None: there
                is none) that this entry was decided on.
            expected_hand: The same of the model's last deed by a person (`hand`).

        Raises:
            LeaseLost: the lease has a newer epoch.
            KeyConflict: the key stands with another body.
            ChampionMoved: the model's last release entry is not the expected one, or another run's
                release is intended and not done.
            HandMoved: the model's last deed by a person is not the expected one.
            LedgerUnavailable: the database did not answer.
        """
        ...

    def find(self, key: str) -> Entry | None:
        """Return the entry of an idempotency key, or None."""
        ...

    def entries(
        self,
        *,
        model: str | None = None,
        kind: str | None = None,
        before: datetime | None = None,
        after: int = 0,
    ) -> Iterator[Entry]:
        """Yield entries in order of `seq`: those before an instant, and with a `seq` above `after`."""
        ...

    def last(self, model: str, kind: str, before: datetime | None = None) -> Entry | None:
        """Return the model's newest entry of a kind, or None."""
        ...

    def models(self) -> Sequence[str]:
        """Return the models of which there are entries, sorted."""
        ...

    def at(self, seq: int) -> Entry | None:
        """Return the entry of a `seq`, or None."""
        ...

    def newest(self) -> Entry | None:
        """Return the newest entry, or None where there is none."""
        ...

    def adopt(self, key: str, body: Mapping[str, Any], after: Entry | None, epochs_above: int) -> Entry:
        """Append an `adopted` entry, and take every lease away.

        Args:
            key: Idempotency key, unique in the ledger.
            body: JSON values of `checkpoints.Adoption`.
            after: The newest entry that this was decided on (None: there is none).
            epochs_above: Every epoch of a lease taken from now on is above this.

        Raises:
            LeaseLost: there is a newer entry.
            LedgerUnavailable: the database did not answer.
        """
        ...

    def acquire(self, model: str, holder: str, duty: Duty = "retrain") -> Lease:
        """Take the model's lease for a duty, or take it over from an earlier try of the same holder.

        Raises:
            LeaseHeld: another holder's lease has not expired.
        """
        ...

    def holder(self, model: str, duty: Duty = "retrain") -> str | None:
        """Return the run key of who holds the model's lease for a duty now, or None."""
        ...

    def check(self, lease: Lease) -> None:
        """Refuse to go on where the lease was taken over or given back.

        Raises:
            LeaseLost: it was.
        """
        ...

    def keep(self, lease: Lease) -> AbstractContextManager[None]:
        """Renew the lease in the background while the context is open."""
        ...

    def free(self, lease: Lease) -> None:
        """Give the lease back. A lease already taken over is left alone."""
        ...
