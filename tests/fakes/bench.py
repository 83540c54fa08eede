"""One installation made of fakes around a real snapshot store: what tests of the steps work with."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa

from evergreen import steps
from evergreen.adapters.file_store import SmallFiles
from evergreen.adapters.parquet_store import ParquetStore
from evergreen.adapters.prediction_log import ParquetLog
from evergreen.canonical import digest_of
from evergreen.comparison import Serving
from evergreen.errors import (
    ArtefactDamaged,
    DataUnusable,
    EvergreenError,
)
from evergreen.ports import Pointer
from evergreen.profiles.codec import baseline_to_bytes
from evergreen.results import (
    Candidate,
    PinnedModel,
    ReleaseWish,
    RunReport,
)
from evergreen.spec import ModelSpec, Suite
from evergreen.steps import memory
from evergreen.training.baseline import baseline_of, refitted
from evergreen.training.labels import labelled
from evergreen.watch_ports import NoPage
from evergreen.window import Window
from evergreen.workspace import Workspace
from tests.fakes.deployer import FakeDeployer
from tests.fakes.ledger import FakeLedger
from tests.fakes.registry import FakeRegistry
from tests.fakes.trainer import FakeTrainer, Learnt
from tests.fakes.validator import FakeValidator

MARCH, APRIL, MAY = (datetime(2013, month, 1, tzinfo=UTC) for month in (3, 4, 5))
DAYS = 200
ROWS_A_DAY = 10


@dataclass
class TableSource:
    """Rows of a generated table; `failure` is raised by the next read."""

    failure: EvergreenError | None = None
    reads: int = 0
    table: pa.Table = field(default_factory=lambda: rows())

    def read(self, window: Window) -> Iterator[pa.RecordBatch]:
        self.reads += 1
        if self.failure is not None:
            failure, self.failure = self.failure, None
            raise failure
        times = self.table.column("at").to_pylist()
        inside = pa.array([window.start <= time < window.end for time in times])
        yield from self.table.filter(inside).to_batches()


def rows() -> pa.Table:
    count = DAYS * ROWS_A_DAY
    start = datetime(2012, 11, 1, tzinfo=UTC)
    rng = np.random.default_rng(0)
    at = [start + timedelta(hours=24 / ROWS_A_DAY * row) for row in range(count)]
    return pa.table(
        {
            "id": pa.array(range(count), pa.int64()),
            "at": pa.array(at, pa.timestamp("us", "UTC")),
            "x": pa.array(rng.normal(size=count)),
            "late": pa.array(rng.integers(0, 2, count), pa.int64()),
        }
    )


def pinned(suite: Suite | None = None, **changes: object) -> PinnedModel:
    spec = ModelSpec.model_validate(
        {
            "schema_version": 1,
            "name": "churn",
            "description": "Will it?",
            "owner": "team@example.com",
            "schedule": None,
            "data": {
                "source": {"type": "sql", "connection": "w", "query": "SELECT :start, :end"},
                "time_column": "at",
                "key": "id",
                "label": {"column": "late", "delay": "1 day"},
                "train_window": "2 months",
                "test_window": "1 month",
                "min_rows": 100,
            },
            "train": {"estimator": "sklearn.linear_model.LogisticRegression"},
            "gate": {"metric": "log_loss", "margin": 0.01},
        }
        | changes
    )
    return PinnedModel(
        spec, "SELECT :start, :end", suite, "/models", digest_of(spec.model_dump(mode="json"))
    )


FIT = Serving(
    size_bytes=1000,
    load_ms=10.0,
    median_ms=1.0,
    p99_ms=2.0,
    single_rows=200,
    rows_per_second=1e5,
    batch_rows=300,
    memory_bytes=10**8,
    reproduced_rows=300,
    largest_deviation=0.0,
)
"""What a model needs that is fit to serve."""


class CertainScorer:
    """Gives each row's own label the candidate's certainty, give or take a little by row.

    `worse_where` takes some of it away from rows of one value of a column; `answer`, where set, is what
    every model says; `damaged` names candidates whose files are gone, `faults` those unfit to serve, and
    `without_baseline` those that were trained before there were baselines. `learnt` is the trainer's.
    """

    def __init__(self, learnt: Mapping[str, Learnt] | None = None) -> None:
        self.learnt = {} if learnt is None else learnt
        self.without_baseline: set[str] = set()
        self.certainty: dict[str, float] = {}
        self.faults: dict[str, tuple[str, ...]] = {}
        self.damaged: set[str] = set()
        self.worse_where: dict[str, tuple[str, str, float]] = {}
        self.answer: Callable[[int], np.ndarray] | None = None

    def predict(self, candidate: Candidate, rows: pa.Table) -> np.ndarray:
        if candidate.key in self.damaged:
            raise ArtefactDamaged("a file is missing", where=candidate.model.uri)
        if self.answer is not None:
            return self.answer(rows.num_rows)
        labels = np.array(rows.column("late").to_pylist())
        # Without the noise two models of one certainty would lose alike on every row.
        noise = np.random.default_rng(int(candidate.key[:8], 16)).uniform(-0.01, 0.01, len(labels))
        if candidate.key not in self.certainty:
            raise DataUnusable("the rows lack columns that the model was trained on", got="lost: x")
        certain = self.certainty[candidate.key] + noise
        if candidate.key in self.worse_where:
            column, value, less = self.worse_where[candidate.key]
            certain -= less * np.array([v == value for v in rows.column(column).to_pylist()])
        classes = np.array([int(name) for name in candidate.classes])
        others = (1 - certain) / (len(classes) - 1)
        answer = np.where(labels[:, None] == classes[None, :], certain[:, None], others[:, None])
        return answer / answer.sum(axis=1, keepdims=True)

    def probe(self, candidate: Candidate, rows: pa.Table) -> Serving:
        return replace(FIT, faults=self.faults.get(candidate.key, ()))

    def verify(self, candidate: Candidate) -> None:
        if candidate.key in self.damaged:
            raise ArtefactDamaged("a file is missing", where=candidate.model.uri)

    def baseline(self, candidate: Candidate) -> bytes | None:
        """Return the baseline of the rows that the candidate was trained and tested with."""
        if candidate.key in self.damaged:
            raise ArtefactDamaged("a file is missing", where=candidate.model.uri)
        tested = candidate.refit_of or candidate.key
        if candidate.key in self.without_baseline or tested not in self.learnt:
            return None
        spec, test = self.learnt[tested].spec, labelled(self.learnt[tested].test, "late")
        baseline = baseline_of(
            spec,
            self.learnt[tested].train,
            test,
            candidate.features,
            candidate.classes,
            self.predict(replace(candidate, key=tested), test),
            {feature.name: 1 / len(candidate.features) for feature in candidate.features},
        )
        if candidate.refit_of:
            baseline = refitted(baseline, spec, self.learnt[candidate.key].train)
        return baseline_to_bytes(baseline)


class Bench:
    """One installation made of fakes, around a real snapshot store."""

    def __init__(self, folder: Path) -> None:
        self.ledger = FakeLedger()
        self.source = TableSource()
        self.trainer = FakeTrainer()
        self.scorer = CertainScorer(self.trainer.learnt)
        self.registry = FakeRegistry()
        self.deployer = FakeDeployer()
        self.validator = FakeValidator()
        self.drawn: list[tuple[pa.Table, pa.Table, Sequence[str], str, float]] = []
        self.page: bytes | None = None
        self.predictions = ParquetLog(str(folder / "predictions"), {})
        self.workspace = Workspace(
            ledger=self.ledger,
            source_for=lambda model: self.source,
            snapshots=ParquetStore(str(folder), {}),
            validator=self.validator,
            trainer=self.trainer,
            scorer=self.scorer,
            registry=self.registry,
            deployer=self.deployer,
            code_version=lambda model: "1",
            scoring_source_for=lambda model: self.source,
            predictions=self.predictions,
            logged_for=lambda model, candidate: self.predictions.rows(
                model.spec.name, model.spec.data.time_column
            ),
            files=SmallFiles(str(folder), {}),
            sample_page=self.draw,
        )

    def draw(
        self, before: pa.Table, after: pa.Table, columns: Sequence[str], title: str, seconds: float
    ) -> bytes:
        """Remember what a page was asked for; there is one where `page` is set."""
        self.drawn.append((before, after, columns, title, seconds))
        if self.page is None:
            raise NoPage("nobody draws here")
        return self.page

    def begin(
        self,
        run: str = "one",
        as_of: datetime = MARCH,
        model: PinnedModel | None = None,
        release: ReleaseWish = "auto",
    ) -> str:
        key = f"churn/{run}"
        steps.resolve_window(
            self.workspace,
            run_key=key,
            model=model or pinned(),
            as_of=as_of,
            reason="test",
            release=release,
        )
        return key

    def until_trained(self, key: str) -> None:
        steps.ingest(self.workspace, key)
        steps.validate(self.workspace, key)
        steps.train(self.workspace, key)

    def finish(self, key: str) -> RunReport:
        steps.evaluate(self.workspace, key)
        steps.register(self.workspace, key)
        steps.release(self.workspace, key)
        return steps.report(self.workspace, key)

    def good(self, key: str, certainty: float = 0.9) -> None:
        """Make the run's candidate as certain of the right answer as said."""
        candidate = memory.need(self.workspace, "candidate", key, Candidate)
        self.scorer.certainty[candidate.key] = certainty

    def whole(self, run: str = "one", as_of: datetime = MARCH, certainty: float = 0.9) -> RunReport:
        key = self.begin(run, as_of)
        self.until_trained(key)
        self.good(key, certainty)
        return self.finish(key)

    def serving(self) -> int | None:
        pointer: Pointer | None = self.deployer.serving("churn")
        return pointer.version if pointer else None
