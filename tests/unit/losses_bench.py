"""What one check of a champion's losses reads, in memory: logged answers, labels and a baseline."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from evergreen.evidence.judged_rows import JudgedRows
from evergreen.evidence.metrics import value
from evergreen.logged_rows import VERSION, probability
from evergreen.performance.estimate import fit_calibrator
from evergreen.profiles.baseline import Baseline
from evergreen.profiles.layout import Layout
from evergreen.results import Candidate, ModelArtefact, PinnedModel, Release, Version
from evergreen.steps.watch.losses import losses
from evergreen.watch_results import Check, DayLoss, LossSeries
from evergreen.window import Window
from evergreen.workspace import Workspace
from tests.fakes.bench import Bench, pinned

RELEASED = datetime(2013, 3, 1, tzinfo=UTC)
AS_OF = datetime(2013, 3, 11, tzinfo=UTC)
A_DAY = 20
CLASSES = ("0", "1")
MODEL = ModelArtefact("models:/1", "digest", ())
PROOF = tuple(DayLoss(date(2013, 2, day), 0.1 + day / 1000, 100) for day in range(1, 29))


@dataclass
class LoggedTable:
    """Logged rows in memory."""

    table: pa.Table
    windows: list[Window] = field(default_factory=list)

    def read(
        self, window: Window, columns: Sequence[str] | None = None, version: int | None = None
    ) -> Iterator[pa.RecordBatch]:
        self.windows.append(window)
        inside = _inside(self.table, window)
        names = inside.column_names if columns is None else columns
        yield from inside.select([n for n in names if n in inside.column_names]).to_batches(7)


@dataclass
class LabelTable:
    """The data source in memory: key, time, label and whatever else."""

    table: pa.Table
    windows: list[Window] = field(default_factory=list)

    def read(self, window: Window) -> Iterator[pa.RecordBatch]:
        self.windows.append(window)
        yield from _inside(self.table, window).to_batches(7)


def _inside(table: pa.Table, window: Window) -> pa.Table:
    at = table.column("at")
    start, end = (pa.scalar(edge, at.type) for edge in (window.start, window.end))
    return table.filter(pc.and_(pc.greater_equal(at, start), pc.less(at, end)))


def instants(count: int) -> pa.Array:
    every = timedelta(days=1) / A_DAY
    return pa.array([RELEASED + every * row for row in range(count)], pa.timestamp("us", "UTC"))


def logged(count: int = 10 * A_DAY, version: int | None = 3, **columns: pa.Array) -> pa.Table:
    shares = np.random.default_rng(0).uniform(0.05, 0.95, count)
    whole = {
        "id": pa.array(range(count), pa.int64()),
        "at": instants(count),
        probability("0"): pa.array(1 - shares),
        probability("1"): pa.array(shares),
    }
    if version is not None:
        whole[VERSION] = pa.array([version] * count, pa.int64())
    return pa.table(whole | columns)


def labels(count: int = 10 * A_DAY, **columns: pa.Array) -> pa.Table:
    late = np.random.default_rng(1).integers(0, 2, count)
    whole = {
        "id": pa.array(range(count), pa.int64()),
        "at": instants(count),
        "x": pa.array(np.zeros(count)),
        "late": pa.array(late, pa.int64()),
    }
    return pa.table(whole | columns)


def model(**changes: object) -> PinnedModel:
    return pinned(monitor={"schedule": "@daily", "window": "7 days"}, **changes)


def champion(classes: tuple[str, ...] = CLASSES) -> Release:
    candidate = Candidate(
        key="key",
        run_id="run",
        task="classification" if classes else "regression",
        model=MODEL,
        features=(),
        classes=classes,
        baseline=(),
        rows_trained=1000,
        rows_tested=1000,
        metrics={},
    )
    version = Version("churn", 3, "key", MODEL)
    return Release("churn", version, candidate, None, RELEASED, "local", "churn/run")


def baseline(metric: str = "log_loss", **changes: object) -> Baseline:
    rng = np.random.default_rng(2)
    shares = rng.uniform(size=4000)
    both = np.column_stack([1 - shares, shares])
    truth = np.where(rng.uniform(size=4000) < shares, "1", "0")
    plain = Baseline(
        layout=Layout(()),
        days={},
        columns=(),
        prediction_layout=Layout(()),
        prediction_days={},
        importance={},
        metric=metric,
        higher_is_better=False,
        level=0.1,
        level_days=PROOF,
        classes=CLASSES,
        calibrator=fit_calibrator(truth, both, CLASSES),
        estimated_level=0.11,
        estimated_days=PROOF,
    )
    return replace(plain, **changes)  # type: ignore[arg-type]


@dataclass
class Bed:
    """What one check reads."""

    workspace: Workspace
    log: LoggedTable
    source: LabelTable

    def measure(
        self,
        as_of: datetime = AS_OF,
        released: Release | None = None,
        proven: Baseline | None = None,
        **changes: object,
    ) -> tuple[LossSeries | None, LossSeries | None, tuple[tuple[str, str], ...]]:
        window = Window(as_of - timedelta(days=7), as_of)
        check = Check("churn/monitor/1", model(**changes), as_of, window, 3, "churn/run", "test")
        return losses(self.workspace, check, released or champion(), proven or baseline())

    def realised(self, as_of: datetime = AS_OF, **more: object) -> LossSeries:
        series = self.measure(as_of, **more)[0]  # type: ignore[arg-type]
        assert series is not None
        return series

    def estimated(self, as_of: datetime = AS_OF, **more: object) -> LossSeries:
        series = self.measure(as_of, **more)[1]  # type: ignore[arg-type]
        assert series is not None
        return series


@pytest.fixture
def bed(tmp_path: Path) -> Bed:
    log, source = LoggedTable(logged()), LabelTable(labels())
    workspace = replace(
        Bench(tmp_path).workspace,
        logged_for=lambda model, candidate: log,
        source_for=lambda model: source,
    )
    return Bed(workspace, log, source)


def shares_of(table: pa.Table) -> np.ndarray:
    return np.column_stack([table.column(probability(name)).to_numpy() for name in CLASSES])


def on_day(day: int, table: pa.Table) -> pa.Table:
    return table.slice((day - 1) * A_DAY, A_DAY)


def true_loss(day: int, answers: pa.Table, truth: pa.Table) -> float:
    """The metric of one day's rows, which are the same in both tables."""
    names = np.array([str(each) for each in on_day(day, truth).column("late").to_pylist()])
    rows = JudgedRows(names, CLASSES, np.zeros(A_DAY, dtype=int), "row")
    return value(model().spec.gate.metric, rows, shares_of(on_day(day, answers)))
