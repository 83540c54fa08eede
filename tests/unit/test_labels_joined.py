"""Labels joined to logged answers: late, corrected, doubled, unknown, of other versions, too new."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from evergreen.errors import DataUnusable
from evergreen.evidence.judged_rows import JudgedRows
from evergreen.evidence.metrics import value
from evergreen.logged_rows import VALUE, VERSION, probability
from evergreen.performance.estimate import estimate, fit_calibrator
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


def test_each_day_has_the_gates_metric_of_its_rows(bed: Bed) -> None:
    series = bed.realised()
    assert [day.day.day for day in series.days] == list(range(1, 10))
    for day in series.days:
        assert day.value == pytest.approx(true_loss(day.day.day, bed.log.table, bed.source.table))
        assert day.rows == A_DAY
    assert (series.level, series.level_days) == (0.1, PROOF)
    assert not series.estimate


def test_labels_count_up_to_the_as_of_less_their_delay(bed: Bed) -> None:
    series = bed.realised()
    assert max(window.end for window in bed.source.windows) == AS_OF - timedelta(days=1)
    assert (series.rows, series.missing) == (6 * A_DAY, A_DAY)


def test_days_without_labels_are_estimated(bed: Bed) -> None:
    series = bed.estimated()
    calibrator = baseline().calibrator
    assert calibrator is not None
    expected = estimate(model().spec.gate.metric, calibrator, shares_of(on_day(10, bed.log.table)))
    assert series.estimate
    assert [(d.day, d.rows) for d in series.days] == [(date(2013, 3, 10), A_DAY)]
    assert series.days[0].value == pytest.approx(expected)
    assert (series.level, series.rows) == (0.11, A_DAY)


def test_a_late_label_is_found_by_a_later_check(bed: Bed) -> None:
    whole = bed.source.table
    late = pc.equal(whole.column("id"), 5)
    bed.source.table = whole.set_column(
        whole.column_names.index("late"), "late", pc.if_else(late, None, whole.column("late"))
    )
    assert bed.realised().days[0].rows == A_DAY - 1
    bed.source.table = whole
    assert bed.realised().days[0].rows == A_DAY


def test_a_corrected_label_takes_the_place_of_the_first(bed: Bed) -> None:
    before = bed.realised().days[0].value
    flipped = pc.subtract(1, bed.source.table.column("late"))
    bed.source.table = bed.source.table.set_column(3, "late", flipped)
    after = bed.realised().days[0].value
    assert after == pytest.approx(true_loss(1, bed.log.table, bed.source.table))
    assert after != pytest.approx(before)


def test_labels_of_keys_nobody_answered_are_counted_and_left_alone(bed: Bed) -> None:
    expected = bed.realised().days
    strangers = labels(3, id=pa.array([9001, 9002, 9003], pa.int64()))
    bed.source.table = pa.concat_tables([bed.source.table, strangers])
    series = bed.realised()
    assert series.days == expected
    assert series.notes == ("3 labels of rows that were never answered: left out",)


def test_a_key_with_two_different_labels_does_not_count_and_is_named(bed: Bed) -> None:
    other = bed.source.table.slice(4, 1)
    other = other.set_column(3, "late", pc.subtract(1, other.column("late")))
    bed.source.table = pa.concat_tables([bed.source.table, other])
    series = bed.realised()
    assert series.days[0].rows == A_DAY - 1
    assert series.notes == ("1 row with several labels for one key: left out",)


def test_a_key_that_stands_twice_with_the_same_label_has_that_label(bed: Bed) -> None:
    expected = bed.realised()
    bed.source.table = pa.concat_tables([bed.source.table, bed.source.table.slice(4, 1)])
    assert bed.realised() == expected


def test_a_row_without_a_label_beside_one_with_it_takes_nothing_away(bed: Bed) -> None:
    expected = bed.realised()
    unlabelled = labels(3, late=pa.nulls(3, pa.int64()))
    bed.source.table = pa.concat_tables([bed.source.table, unlabelled])
    assert bed.realised() == expected


def test_rows_of_other_versions_do_not_count_though_their_labels_are_known(bed: Bed) -> None:
    versions = pa.array([2 if row % 2 else 3 for row in range(10 * A_DAY)], pa.int64())
    bed.log.table = logged(**{VERSION: versions})
    series = bed.realised()
    assert {day.rows for day in series.days} == {A_DAY // 2}
    assert series.notes == ()


def test_rows_that_name_no_version_count_for_the_champion(bed: Bed) -> None:
    expected = bed.realised()
    bed.log.table = logged(version=None)
    assert bed.realised() == expected
    bed.log.table = logged(**{VERSION: pa.nulls(10 * A_DAY, pa.int64())})
    assert bed.realised() == expected


def test_rows_before_the_release_do_not_count(bed: Bed) -> None:
    later = replace(champion(), as_of=datetime(2013, 3, 4, 12, tzinfo=UTC))
    series = bed.realised(released=later)
    assert [(d.day.day, d.rows) for d in series.days][:2] == [(4, A_DAY // 2), (5, A_DAY)]


def test_rows_after_the_as_of_do_not_count(bed: Bed) -> None:
    as_of = datetime(2013, 3, 5, 12, tzinfo=UTC)
    realised, estimated, _ = bed.measure(as_of)
    assert realised is not None
    assert estimated is not None
    assert [(d.day.day, d.rows) for d in realised.days] == [(1, 20), (2, 20), (3, 20), (4, 10)]
    assert [(d.day.day, d.rows) for d in estimated.days] == [(4, 10), (5, 10)]
    assert max(window.end for window in bed.log.windows) == as_of


def test_only_the_last_days_are_read(bed: Bed) -> None:
    long_ago = replace(champion(), as_of=datetime(2011, 1, 1, tzinfo=UTC))
    bed.realised(released=long_ago)
    assert len(bed.log.windows) == 120
    assert min(window.start for window in bed.log.windows) == AS_OF - timedelta(days=120)


def test_the_source_is_asked_for_one_day_at_a_time_and_only_where_rows_were_answered(bed: Bed) -> None:
    bed.log.table = pa.concat_tables([on_day(2, bed.log.table), on_day(7, bed.log.table)])
    bed.realised()
    assert [window.start.day for window in bed.source.windows] == [2, 7]
    assert {window.end - window.start for window in bed.source.windows} == {timedelta(days=1)}


def test_no_logged_row_gives_series_without_days(bed: Bed) -> None:
    bed.log.table = bed.log.table.slice(0, 0)
    realised, estimated, problems = bed.measure()
    assert realised is not None
    assert estimated is not None
    assert (realised.days, realised.rows, realised.missing) == ((), 0, 0)
    assert (estimated.days, problems) == ((), ())


def test_no_label_at_all_gives_an_estimate_of_every_day(bed: Bed) -> None:
    bed.source.table = bed.source.table.slice(0, 0)
    realised, estimated, _ = bed.measure()
    assert realised is not None
    assert estimated is not None
    assert (realised.days, realised.missing) == ((), 7 * A_DAY)
    assert [day.day.day for day in estimated.days] == list(range(1, 11))


def test_labels_that_stopped_coming_are_named(bed: Bed) -> None:
    bed.source.table = bed.source.table.slice(0, 2 * A_DAY)
    series = bed.realised()
    assert len(series.days) == 2
    assert series.notes == ("no row of the check's window has a label yet: the newest is of 2013-03-02",)


def test_the_few_rows_of_a_day_that_never_get_a_label_are_not_estimated(bed: Bed) -> None:
    truth = [None if row % 4 == 0 else row % 2 for row in range(10 * A_DAY)]
    bed.source.table = labels(late=pa.array(truth, pa.int64()))
    assert [day.day.day for day in bed.estimated().days] == [10]
    assert {day.rows for day in bed.realised().days} == {A_DAY * 3 // 4}


def test_a_class_the_champion_does_not_know_costs_it_dearly_and_is_named(bed: Bed) -> None:
    truth = [2 if row == 0 else 1 for row in range(10 * A_DAY)]
    bed.source.table = labels(late=pa.array(truth, pa.int64()))
    series = bed.realised()
    assert series.days[0].value > 1.5
    assert any("does not know the class of 1 row" in note for note in series.notes)


def test_logged_rows_without_a_finite_prediction_do_not_count(bed: Bed) -> None:
    shares = shares_of(bed.log.table)
    shares[0], shares[1] = np.nan, np.inf
    holed = {probability(name): pa.array(shares[:, place]) for place, name in enumerate(CLASSES)}
    bed.log.table = logged(**holed)
    series = bed.realised()
    assert series.days[0].rows == A_DAY - 2
    assert series.notes == ("2 logged rows without a finite prediction: left out",)


def test_keys_logged_as_text_are_joined_to_numbers(bed: Bed) -> None:
    expected = bed.realised()
    text = pa.array([str(row) for row in range(10 * A_DAY)]).dictionary_encode()
    bed.log.table = logged(id=text)
    assert bed.realised() == expected


def test_keys_that_cannot_be_joined_are_named(bed: Bed) -> None:
    bed.source.table = labels(id=pa.array([f"row {row}" for row in range(10 * A_DAY)]))
    with pytest.raises(DataUnusable, match="the key is of another type than in the log"):
        bed.measure()


def test_a_log_without_the_key_is_named(bed: Bed) -> None:
    bed.log.table = bed.log.table.drop_columns(["id"])
    with pytest.raises(DataUnusable, match="lost: id"):
        bed.measure()


def test_weights_come_with_the_label(bed: Bed) -> None:
    weights = [0.0 if row % 2 else 2.0 for row in range(10 * A_DAY)]
    weights[0] = float("nan")
    bed.source.table = labels(w=pa.array(weights))
    data = model().spec.data.model_dump(mode="json") | {"weight": "w"}
    series = bed.realised(data=data)
    assert series.days[0].rows == A_DAY // 2 - 1
    assert "1 labelled row without a usable weight: left out" in series.notes
    kept = [row for row in range(A_DAY) if row % 2 == 0 and row]
    truth = np.array([str(v) for v in bed.source.table.column("late").to_pylist()])[kept]
    rows = JudgedRows(truth, CLASSES, np.zeros(len(kept), dtype=int), "row")
    expected = value(model().spec.gate.metric, rows, shares_of(bed.log.table)[kept])
    assert series.days[0].value == pytest.approx(expected)


def test_a_regression_has_no_estimate_and_says_so(bed: Bed) -> None:
    bed.log.table = logged().append_column(VALUE, pa.array(np.ones(10 * A_DAY)))
    proven = baseline("squared_error", classes=(), calibrator=None, estimated_level=None)
    realised, estimated, problems = bed.measure(
        released=champion(()), proven=proven, gate={"metric": "squared_error", "margin": 0.01}
    )
    assert estimated is None
    assert problems == (("estimated_loss", "there is no estimate of squared_error without labels"),)
    assert realised is not None
    zeros = bed.source.table.column("late").to_numpy()[:A_DAY] == 0
    assert realised.days[0].value == pytest.approx(zeros.mean())


def test_a_metric_other_than_the_champions_is_not_held_against_its_level(bed: Bed) -> None:
    realised, estimated, problems = bed.measure(gate={"metric": "brier", "margin": 0.01})
    assert (realised, estimated) == (None, None)
    assert {level for level, _ in problems} == {"loss", "estimated_loss"}
    assert all("proven by log_loss" in why for _, why in problems)
    assert not bed.log.windows


def test_a_level_that_was_undefined_is_a_problem_of_that_level(bed: Bed) -> None:
    realised, estimated, problems = bed.measure(proven=baseline(level=None))
    assert realised is None
    assert estimated is not None
    assert problems == (("loss", "log_loss was undefined on the test window"),)
