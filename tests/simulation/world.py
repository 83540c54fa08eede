"""One installation without data, models or time of its own: ports in memory around a ledger.

What the protocol does not look into is drawn: whether data may be trained on and whether a challenger
wins are functions of the seed and of what is asked, so a retry meets the same answer.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from sys import modules
from typing import Any
from unittest.mock import patch

from evergreen import gate
from evergreen.canonical import digest_of
from evergreen.comparison import Comparison, Evidence
from evergreen.errors import SourceUnavailable
from evergreen.ports import Ledger
from evergreen.results import (
    Artefact,
    Candidate,
    ExpectationOutcome,
    ModelArtefact,
    PinnedModel,
    Release,
    Retrain,
    Snapshot,
    ValidationReport,
)
from evergreen.spec import Data, ModelSpec
from evergreen.window import Window
from evergreen.workspace import Workspace
from tests.comparisons import check, comparison
from tests.fakes.deployer import FakeDeployer
from tests.fakes.registry import FakeRegistry

BEGINNING = datetime(2026, 1, 1, tzinfo=UTC)
WINS = 0.6
INCONCLUSIVE = 0.1
REJECTED = 0.03
_SMALL: dict[str, Any] = {"calibration": None, "champion_calibration": None, "serving": None}
_ANSWERS: Mapping[str, Comparison] = {
    "promote": comparison(rows=1, **_SMALL),
    "inconclusive": comparison(rows=2, decision="inconclusive", promote=False, **_SMALL),
    "keep": comparison(
        rows=3, decision="keep", promote=False, checks=(check("champion", "failed"),), **_SMALL
    ),
}
_BY_ROWS = {answer.evidence.rows: answer for answer in _ANSWERS.values()}
_FAILED = ExpectationOutcome("expect_x", {}, "error", False, "drawn", 1, (), None)


def chance(*what: object) -> float:
    """Return a number in [0, 1) that depends on nothing but what is given."""
    return int.from_bytes(hashlib.sha256(repr(what).encode()).digest()[:6], "big") / 2**48


@dataclass
class Clock:
    """The time of an installation; it goes forward only."""

    now: datetime = BEGINNING

    def __call__(self) -> datetime:
        return self.now

    def pass_(self, seconds: float) -> None:
        """Let time pass."""
        self.now += timedelta(seconds=seconds)


class Source:
    """The warehouse: it answers, or it does not."""

    def __init__(self) -> None:
        self.down = False

    def read(self, window: Window) -> Iterator[Any]:
        if self.down:
            raise SourceUnavailable("the source did not answer", where=str(window))
        return iter(())


class Store:
    """Makes the same snapshot of the same window."""

    def write(self, model: str, window: Window, batches: Any, data: Data) -> Snapshot:
        digest = digest_of([model, str(window)])
        return Snapshot(f"memory:/{digest}", digest, window, 1000, (), ())

    def read(self, snapshot: Snapshot, window: Window, time_column: str) -> None:
        """Rows are not looked into."""


@dataclass
class Validator:
    """Rejects what was drawn to be rejected."""

    seed: object

    def validate(
        self, model: str, snapshot: Snapshot, rows: None, suite: Any, key: str
    ) -> ValidationReport:
        bad = chance(self.seed, "rejected", snapshot.digest) < REJECTED
        return ValidationReport(not bad, 1000, (_FAILED,) if bad else (), 0, None, None)


class Trainer:
    """Makes the same candidate of the same key; `trainings` counts how often it was asked to."""

    def __init__(self) -> None:
        self.trainings: dict[str, int] = {}

    def train(
        self,
        key: str,
        retrain: Retrain,
        snapshot: Snapshot,
        train: None,
        test: None,
        remember: Callable[[Candidate], None],
        refit_of: Candidate | None = None,
    ) -> Candidate:
        self.trainings[key] = self.trainings.get(key, 0) + 1
        files = (Artefact("model.skops", digest_of(["file", key]), 1),)
        made = Candidate(
            key=key,
            run_id=key[:32],
            task="classification",
            model=ModelArtefact(f"memory:/{key}", digest_of(["model", key]), files),
            features=(),
            classes=("0", "1"),
            baseline=(0.5, 0.5),
            rows_trained=1000,
            rows_tested=500,
            metrics={},
            trained_on=retrain.windows.train,
        )
        remember(made)
        return made

    def attach(self, candidate: Candidate, files: Mapping[str, bytes]) -> None:
        """Nobody looks at the evidence here."""

    def finish(self, candidate: Candidate) -> None:
        """There is nothing to close."""


class Scorer:
    """Every file is whole."""

    def verify(self, candidate: Candidate) -> None:
        """Nothing is damaged."""


class World:
    """The parts of an installation that outlive every process."""

    def __init__(self, ledger: Ledger, clock: Clock, seed: object) -> None:
        self.ledger, self.clock, self.seed = ledger, clock, seed
        self.source, self.trainer = Source(), Trainer()
        self.registry, self.deployer = FakeRegistry(), FakeDeployer()
        unused: Any = None
        self.workspace = Workspace(
            ledger=ledger,
            source_for=lambda model: self.source,
            snapshots=Store(),  # type: ignore[arg-type]
            validator=Validator(seed),  # type: ignore[arg-type]
            trainer=self.trainer,
            scorer=Scorer(),  # type: ignore[arg-type]
            registry=self.registry,
            deployer=self.deployer,
            code_version=lambda model: "1",
            scoring_source_for=unused,
            predictions=unused,
            logged_for=unused,
            files=unused,
            sample_page=unused,
            now=clock,
        )

    @contextmanager
    def drawing_lots(self) -> Iterator[None]:
        """Draw the gate's answer instead of measuring; all else that `evaluate` does is done."""

        def measure(
            workspace: Workspace, retrain: Retrain, champion: Release | None, unseen_from: datetime
        ) -> tuple[Evidence, tuple[str, ...]]:
            against = None if champion is None else champion.version.number
            lot = chance(self.seed, retrain.model.spec.name, retrain.windows.as_of, against)
            won = "promote" if lot < WINS else "inconclusive" if lot < WINS + INCONCLUSIVE else "keep"
            return _ANSWERS[won].evidence, ()

        with ExitStack() as patches:
            patches.enter_context(patch.object(modules["evergreen.steps.evaluate"], "measure", measure))
            patches.enter_context(patch.object(gate, "compare", lambda rule, tier, e: _BY_ROWS[e.rows]))
            yield


def model_file(name: str, **changes: object) -> PinnedModel:
    """Return a model file that is retrained monthly and watched weekly, changed."""
    spec = ModelSpec.model_validate(
        {
            "schema_version": 1,
            "name": name,
            "description": "Will it?",
            "owner": "team@example.com",
            "schedule": "0 6 1 * *",
            "data": {
                "source": {"type": "sql", "connection": "w", "query": "SELECT :start, :end"},
                "time_column": "at",
                "key": "id",
                "label": {"column": "late", "delay": "1 day"},
                "train_window": "3 months",
                "test_window": "14 days",
            },
            "train": {"estimator": "sklearn.linear_model.LogisticRegression"},
            "gate": {"metric": "log_loss", "margin": 0.01},
            "monitor": {
                "schedule": "0 3 * * 1",
                "window": "7 days",
                "false_alarms": "1 per quarter",
                "retrain": {"after": "2 of 3", "cooldown": "14 days", "at_most": "2 per month"},
            },
        }
        | changes
    )
    return PinnedModel(
        spec, "SELECT :start, :end", None, "/models", digest_of(spec.model_dump(mode="json"))
    )


def aged(model: PinnedModel, **changes: object) -> PinnedModel:
    """Return a model file with changes of its spec."""
    spec = model.spec.model_copy(update=changes)
    return replace(model, spec=spec, digest=digest_of(spec.model_dump(mode="json")))
