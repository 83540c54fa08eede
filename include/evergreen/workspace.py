"""What a run works with: the ports, filled. `wiring.py` fills them for real, tests with fakes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from evergreen.ports import (
    DataSource,
    Deployer,
    Ledger,
    Registry,
    Scorer,
    SnapshotStore,
    Trainer,
    Validator,
)
from evergreen.results import Candidate, PinnedModel
from evergreen.watch_ports import FileStore, LoggedRows, PredictionLog, SamplePage
from evergreen.witness_ports import CheckpointPlace


def wall_clock() -> datetime:
    """Return the present instant, in UTC."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Workspace:
    """The ports of one installation. `code_version` names the code that decides and trains a model.

    `scoring_source_for` gives the rows to score, `logged_for` the rows that the watch looks at: the
    prediction log, or the team's own. `now` is the clock of whatever a step holds against an instant: a
    deadline, or rows ahead of their time. The ledger keeps time by its database's. `checkpoints` are the
    places that the ledger is held against.
    """

    ledger: Ledger
    source_for: Callable[[PinnedModel], DataSource]
    snapshots: SnapshotStore
    validator: Validator
    trainer: Trainer
    scorer: Scorer
    registry: Registry
    deployer: Deployer
    code_version: Callable[[PinnedModel], str]
    scoring_source_for: Callable[[PinnedModel], DataSource]
    predictions: PredictionLog
    logged_for: Callable[[PinnedModel, Candidate], LoggedRows]
    files: FileStore
    sample_page: SamplePage
    now: Callable[[], datetime] = wall_clock
    checkpoints: Sequence[CheckpointPlace] = ()
