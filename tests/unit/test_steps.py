"""The retrain's steps over fakes: what each finds, makes, refuses and writes down."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from evergreen import steps
from evergreen.adapters.parquet_store import ParquetStore
from evergreen.canonical import digest_of
from evergreen.errors import (
    DataUnusable,
    EvergreenError,
    LeaseHeld,
    LeaseLost,
    LedgerError,
    RegistryDisagrees,
    SourceUnavailable,
    StoreUnavailable,
    TrainingFailed,
)
from evergreen.ports import Lease, Pointer
from evergreen.results import (
    Candidate,
    PinnedModel,
    Release,
    ReleaseWish,
    Retrain,
    RunReport,
    from_json,
    to_json,
)
from evergreen.spec import Expectation, ModelSpec, Suite
from evergreen.steps import memory, settle
from evergreen.steps.train import candidate_key
from evergreen.window import Window
from evergreen.workspace import Workspace
from tests.fakes.deployer import FakeDeployer
from tests.fakes.ledger import FakeLedger
from tests.fakes.registry import FakeRegistry
from tests.fakes.trainer import FakeTrainer
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


class CertainScorer:
    """Gives each row's own label the candidate's certainty, give or take a little by row."""

    def __init__(self) -> None:
        self.certainty: dict[str, float] = {}

    def predict(self, candidate: Candidate, rows: pa.Table) -> np.ndarray:
        labels = np.array(rows.column("late").to_pylist())
        # Without the noise two models of one certainty would lose alike on every row.
        noise = np.random.default_rng(int(candidate.key[:8], 16)).uniform(-0.01, 0.01, len(labels))
        if candidate.key not in self.certainty:
            raise DataUnusable("the rows lack columns that the model was trained on", got="lost: x")
        certain = (self.certainty[candidate.key] + noise)[:, None]
        return np.where(labels[:, None] == np.array([0, 1])[None, :], certain, 1 - certain)


class Bench:
    """One installation made of fakes, around a real snapshot store."""

    def __init__(self, folder: Path) -> None:
        self.ledger = FakeLedger()
        self.source = TableSource()
        self.trainer = FakeTrainer()
        self.scorer = CertainScorer()
        self.registry = FakeRegistry()
        self.deployer = FakeDeployer()
        self.validator = FakeValidator()
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
        )

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


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_first_good_challenger_becomes_champion_everywhere(bench: Bench):
    report = bench.whole()
    assert report.outcome == "promoted"
    assert report.champion_before is None
    assert (bench.registry.champion("churn"), bench.serving()) == (1, 1)
    kinds = [entry.kind for entry in bench.ledger.entries()]
    assert kinds == [
        "run_started",
        "snapshot",
        "validation",
        "trained",
        "candidate",
        "comparison",
        "version",
        "release_intended",
        "release",
        "run_finished",
    ]
    assert bench.ledger.verify().ok


def test_every_step_run_twice_writes_and_makes_nothing_twice(bench: Bench):
    bench.whole()
    before = [entry.hash for entry in bench.ledger.entries()]
    key = bench.begin()
    bench.until_trained(key)
    bench.finish(key)
    assert [entry.hash for entry in bench.ledger.entries()] == before
    assert sum(bench.trainer.trainings.values()) == 1
    assert bench.source.reads == 1
    assert len(bench.registry.versions["churn"]) == 1


def test_better_challenger_replaces_the_champion_and_a_worse_one_does_not(bench: Bench):
    bench.whole("one", MARCH, 0.8)
    assert bench.whole("two", APRIL, 0.9).outcome == "promoted"
    report = bench.whole("three", MAY, 0.7)
    assert report.outcome == "kept"
    assert "kept version 2" in report.summary
    assert (bench.registry.champion("churn"), bench.serving()) == (2, 2)
    assert len(bench.registry.versions["churn"]) == 2, "a challenger that lost is not registered"


def test_challenger_that_does_not_beat_the_base_rate_is_kept_out(bench: Bench):
    report = bench.whole(certainty=0.5)
    assert report.outcome == "kept"
    assert "no champion yet" in report.summary
    assert bench.serving() is None


def test_backfill_of_an_older_month_never_replaces_newer_data(bench: Bench):
    bench.whole("april", APRIL, 0.7)
    report = bench.whole("march", MARCH, 0.9)
    assert report.outcome == "kept"
    assert "newer data" in report.summary
    assert bench.serving() == 1


def test_release_never_registers_and_changes_no_champion(bench: Bench):
    key = bench.begin(release="never")
    bench.until_trained(key)
    bench.good(key)
    report = bench.finish(key)
    assert report.outcome == "registered"
    assert bench.registry.aliases["churn"] == {"challenger": 1}
    assert bench.serving() is None


def test_rejected_data_is_never_trained_on(bench: Bench):
    suite = Suite(
        expectations=[
            Expectation(
                type="expect_column_values_to_be_between",
                kwargs={"column": "x", "min_value": 0.0, "max_value": 1.0},
            )
        ]
    )
    key = bench.begin(model=pinned(suite))
    steps.ingest(bench.workspace, key)
    assert not steps.validate(bench.workspace, key).passed
    with pytest.raises(DataUnusable, match="rejected"):
        steps.train(bench.workspace, key)
    report = steps.report(bench.workspace, key, "train failed")
    assert report.outcome == "rejected"
    assert "expect_column_values_to_be_between" in report.summary
    assert bench.trainer.trainings == {}


def test_a_run_goes_on_with_the_model_file_it_began_with(bench: Bench):
    key = bench.begin()
    changed = pinned(description="Something else")
    again = steps.resolve_window(
        bench.workspace, run_key=key, model=changed, as_of=APRIL, reason="other", release="never"
    )
    assert again.model.spec.description == "Will it?"
    assert (again.windows.as_of, again.reason, again.release) == (MARCH, "test", "auto")


def test_same_data_and_file_find_the_same_candidate_in_another_run(bench: Bench):
    bench.whole("one")
    report = bench.whole("two")
    assert sum(bench.trainer.trainings.values()) == 1
    assert report.outcome == "kept"
    assert "alike on every row" in report.summary


def test_label_delay_leaves_the_last_day_out(bench: Bench):
    key = bench.begin()
    snapshot = steps.ingest(bench.workspace, key)
    assert snapshot.window == Window(
        datetime(2012, 11, 30, tzinfo=UTC), datetime(2013, 2, 28, tzinfo=UTC)
    )
    assert snapshot.rows == 90 * ROWS_A_DAY


def test_an_as_of_without_labelled_rows_says_so_and_is_noted(bench: Bench):
    data = pinned().spec.data.model_dump(mode="json") | {"label": {"column": "late", "delay": "40 days"}}
    with pytest.raises(DataUnusable, match="label delay of 40 days"):
        bench.begin(model=pinned(data=data))
    report = steps.report(bench.workspace, "churn/one")
    assert report.outcome == "failed"
    assert "label delay of 40 days" in report.summary


def test_an_unreachable_source_is_noted_and_a_retry_goes_on(bench: Bench):
    key = bench.begin()
    bench.source.failure = SourceUnavailable("the database did not answer", where="warehouse")
    with pytest.raises(SourceUnavailable):
        steps.ingest(bench.workspace, key)
    assert bench.ledger.bodies("step_failed")[0]["retryable"] is True
    assert steps.ingest(bench.workspace, key).rows > 0


def test_a_failed_training_is_reported_with_its_reason(bench: Bench):
    key = bench.begin()
    steps.ingest(bench.workspace, key)
    steps.validate(bench.workspace, key)
    bench.trainer.failure = TrainingFailed("no parameter 'max_itr'", fix="did you mean 'max_iter'?")
    with pytest.raises(TrainingFailed):
        steps.train(bench.workspace, key)
    report = steps.report(bench.workspace, key, "train failed")
    assert report.outcome == "failed"
    assert "did you mean 'max_iter'?" in report.summary


def test_a_run_resumed_after_its_report_is_reported_again(bench: Bench):
    key = bench.begin()
    steps.report(bench.workspace, key, "ingest failed")
    bench.until_trained(key)
    bench.good(key)
    assert bench.finish(key).outcome == "promoted"
    assert [body["outcome"] for body in bench.ledger.bodies("run_finished")] == ["failed", "promoted"]
    steps.report(bench.workspace, key)
    assert len(bench.ledger.bodies("run_finished")) == 2


def test_a_step_before_its_inputs_says_what_to_do(bench: Bench):
    key = bench.begin()
    with pytest.raises(LedgerError, match=r"no snapshot yet.*run the earlier steps"):
        steps.validate(bench.workspace, key)


def test_one_retrain_at_a_time_and_the_report_gives_the_lease_back(bench: Bench):
    first = bench.begin("one")
    with pytest.raises(LeaseHeld):
        bench.begin("two")
    steps.report(bench.workspace, first)
    bench.begin("two")


def test_a_stopped_run_whose_lease_was_taken_over_changes_nothing(bench: Bench):
    now = [datetime(2013, 3, 1, tzinfo=UTC)]
    bench.ledger.now = lambda: now[0]
    key = bench.begin("one")
    with memory.holding(bench.workspace, key, "ingest") as stale:
        now[0] += timedelta(hours=1)
        bench.begin("two")
        with pytest.raises(LeaseLost):
            memory.record(
                bench.workspace, "snapshot", key, memory.retrain_of(bench.workspace, key), stale
            )
    assert [entry.kind for entry in bench.ledger.entries()] == ["run_started", "run_started"]


def test_a_failure_under_a_lost_lease_is_not_noted(bench: Bench):
    now = [datetime(2013, 3, 1, tzinfo=UTC)]
    bench.ledger.now = lambda: now[0]
    key = bench.begin("one")

    def fail_too_late() -> None:
        with memory.holding(bench.workspace, key, "train"):
            now[0] += timedelta(hours=1)
            bench.begin("two")
            raise TrainingFailed("too late")

    with pytest.raises(TrainingFailed):
        fail_too_late()
    assert bench.ledger.bodies("step_failed") == []
    with pytest.raises(LeaseHeld):
        bench.begin("three")


def test_champion_that_moved_after_the_comparison_is_compared_with_again(bench: Bench):
    bench.whole("one", MARCH, 0.7)
    key = bench.begin("two", APRIL)
    bench.until_trained(key)
    bench.good(key, 0.8)
    first = steps.evaluate(bench.workspace, key)
    assert (first.promote, first.champion_version) == (True, 1)
    steps.register(bench.workspace, key)
    _release_by_hand(bench, key)
    released = steps.release(bench.workspace, key)
    comparisons = bench.ledger.bodies("comparison")
    assert released is not None
    assert comparisons[-1]["champion_seq"] != first.champion_seq


def _release_by_hand(bench: Bench, key: str) -> None:
    """Another hand releases the champion once more while the run holds no lease: its seq moves on."""
    entry = bench.ledger.last("churn", "release")
    assert entry is not None
    lease = bench.ledger.acquire("churn", key)
    bench.ledger.append("release", "release/by-hand", {**entry.body, "run_key": "by-hand"}, lease)


def test_a_registry_that_is_down_keeps_the_champion_and_a_retry_finishes(bench: Bench):
    key = bench.begin()
    bench.until_trained(key)
    bench.good(key)
    steps.evaluate(bench.workspace, key)
    bench.registry.down = True
    with pytest.raises(StoreUnavailable):
        steps.register(bench.workspace, key)
    assert bench.serving() is None
    bench.registry.down = False
    assert bench.finish(key).outcome == "promoted"


def test_a_release_cut_off_after_its_intent_is_finished_by_the_next_run(bench: Bench):
    key = bench.begin()
    bench.until_trained(key)
    bench.good(key)
    steps.evaluate(bench.workspace, key)
    steps.register(bench.workspace, key)
    bench.deployer.unavailable = True
    with pytest.raises(StoreUnavailable):
        steps.release(bench.workspace, key)
    steps.report(bench.workspace, key, "release failed")
    assert bench.serving() is None
    bench.deployer.unavailable = False
    bench.begin("two", APRIL)
    assert (bench.registry.champion("churn"), bench.serving()) == (1, 1)
    assert [body["run_key"] for body in bench.ledger.bodies("release")] == [key]


def test_an_alias_that_disagrees_with_the_ledger_is_an_error_not_a_promotion(bench: Bench):
    bench.whole("one", MARCH, 0.7)
    bench.registry.aliases["churn"]["champion"] = 99
    key = bench.begin("two", APRIL)
    bench.until_trained(key)
    bench.good(key)
    steps.evaluate(bench.workspace, key)
    steps.register(bench.workspace, key)
    with pytest.raises(RegistryDisagrees, match=r"version 99.*allowed: version 1"):
        steps.release(bench.workspace, key)
    assert bench.serving() == 1
    steps.report(bench.workspace, key)
    bench.begin("three", MAY)
    assert bench.ledger.bodies("release_intended")[-1]["run_key"] == "churn/one", "nothing was begun"
    steps.report(bench.workspace, "churn/three")
    bench.registry.aliases["churn"]["champion"] = 1
    bench.begin("two", APRIL)
    assert steps.release(bench.workspace, key) is not None
    assert bench.serving() == 2


def test_a_process_that_wakes_after_its_successor_released_changes_nothing(bench: Bench):
    bench.whole("one", MARCH, 0.7)
    old = bench.ledger.last("churn", "release_intended")
    assert old is not None
    bench.whole("two", APRIL, 0.9)
    stale = Lease("churn", "churn/one", 1)
    with pytest.raises(LeaseLost):
        settle.finish(bench.workspace, old, stale)
    with pytest.raises(LeaseLost):
        bench.deployer.deploy(from_json(Release, old.body), old.seq)
    assert (bench.registry.champion("churn"), bench.serving()) == (2, 2)


def test_a_target_that_went_astray_is_mended_by_the_next_run(bench: Bench):
    bench.whole("one", MARCH, 0.7)
    bench.deployer.pointers.clear()
    bench.begin("two", APRIL)
    assert bench.serving() == 1


def test_an_intent_of_another_run_is_finished_before_anything_is_compared(bench: Bench):
    first, second = bench.begin("one"), "churn/two"
    bench.until_trained(first)
    bench.good(first, 0.9)
    steps.evaluate(bench.workspace, first)
    steps.register(bench.workspace, first)
    bench.deployer.unavailable = True
    with pytest.raises(StoreUnavailable):
        steps.release(bench.workspace, first)
    bench.deployer.unavailable = False
    now = datetime.now(UTC) + timedelta(hours=1)
    bench.ledger.now = lambda: now
    bench.ledger.append(
        "run_started",
        f"run_started/{second}",
        to_json(replace(memory.retrain_of(bench.workspace, first), run_key=second)),
        bench.ledger.acquire("churn", second),
    )
    bench.until_trained(second)
    comparison = steps.evaluate(bench.workspace, second)
    assert comparison.champion_version == 1
    assert not comparison.promote, "it is the same model"
    assert bench.serving() == 1


def test_an_unopposed_run_replaces_a_champion_that_cannot_be_scored(bench: Bench):
    bench.whole("one", MARCH, 0.9)
    champion = memory.need(bench.workspace, "candidate", "churn/one", Candidate)
    del bench.scorer.certainty[champion.key]
    key = bench.begin("two", APRIL)
    bench.until_trained(key)
    bench.good(key, 0.8)
    with pytest.raises(DataUnusable, match=r"champion, version 1, cannot be scored.*release=unopposed"):
        steps.evaluate(bench.workspace, key)
    steps.report(bench.workspace, key)
    again = bench.begin("three", APRIL, release="unopposed")
    bench.until_trained(again)
    report = bench.finish(again)
    assert report.outcome == "promoted"
    assert "not compared with version 1, as asked" in report.lines
    assert bench.serving() == 2


@pytest.mark.parametrize(
    ("label", "gate", "said"),
    [
        (
            pa.array([number % 7 for number in range(DAYS * ROWS_A_DAY)], pa.float64()),
            {"metric": "squared_error"},
            r"another kind of question; got a challenger for regression; allowed: classification; give",
        ),
        (
            pa.array(["no", "yes"] * (DAYS * ROWS_A_DAY // 2)),
            {"metric": "log_loss"},
            r"classes are others.*; got no, yes; allowed: 0, 1; write the label as before",
        ),
    ],
    ids=["another task", "other classes"],
)
def test_a_champion_that_answers_another_question_is_never_compared_with(
    bench: Bench, label: pa.Array, gate: dict[str, object], said: str
):
    bench.whole("one", MARCH, 0.9)
    table = bench.source.table
    bench.source.table = table.set_column(table.column_names.index("late"), "late", label)
    bench.scorer.predict = lambda candidate, rows: np.zeros(  # type: ignore[method-assign]
        (len(rows), len(candidate.classes)) if candidate.classes else len(rows)
    )
    key = bench.begin("two", APRIL, pinned(gate=gate))
    bench.until_trained(key)
    with pytest.raises(DataUnusable, match=f"{said}.*release=unopposed"):
        steps.evaluate(bench.workspace, key)
    assert bench.serving() == 1


def test_a_lengthened_test_window_leaves_out_what_the_champion_learnt_from(bench: Bench):
    bench.whole("one", MARCH, 0.7)
    data = pinned().spec.data.model_dump(mode="json") | {"test_window": "3 months"}
    key = bench.begin("two", APRIL, pinned(data=data))
    bench.until_trained(key)
    bench.good(key, 0.8)
    comparison = steps.evaluate(bench.workspace, key)
    learnt_until = memory.retrain_of(bench.workspace, "churn/one").windows.train.end
    test = memory.retrain_of(bench.workspace, key).windows.test
    assert test.start < learnt_until
    assert comparison.rows == (test.end - learnt_until).days * ROWS_A_DAY
    assert "the champion was trained on the rows before" in comparison.notes[0]


def test_a_target_that_serves_something_else_is_not_recorded_as_released(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
):
    key = bench.begin()
    bench.until_trained(key)
    bench.good(key)
    monkeypatch.setattr(bench.deployer, "deploy", lambda release, fence: None)
    with pytest.raises(StoreUnavailable, match="does not serve what was released"):
        bench.finish(key)
    assert bench.ledger.bodies("release") == []


def test_a_secret_in_an_error_never_reaches_the_ledger(bench: Bench):
    key = bench.begin()
    bench.source.failure = SourceUnavailable("no answer from postgresql://bob:hunter22@db/x")
    with pytest.raises(SourceUnavailable):
        steps.ingest(bench.workspace, key)
    assert "hunter22" not in str(bench.ledger.bodies("step_failed"))
    assert "hunter22" not in steps.report(bench.workspace, key, "hunter22@db").summary


def test_summaries_are_there_for_a_run_that_never_began(bench: Bench):
    report = steps.report(bench.workspace, "churn/never", "resolve_window failed")
    assert report.outcome == "failed"
    assert "resolve_window failed" in report.summary


def test_pinned_runs_differ_in_key_by_code_version(bench: Bench):
    key = bench.begin()
    snapshot = steps.ingest(bench.workspace, key)
    retrain: Retrain = memory.retrain_of(bench.workspace, key)
    assert candidate_key(retrain, snapshot) != candidate_key(
        replace(retrain, code_version="2"), snapshot
    )


def test_windows_that_differ_by_less_than_a_minute_have_other_candidates(bench: Bench):
    key = bench.begin()
    snapshot = steps.ingest(bench.workspace, key)
    retrain: Retrain = memory.retrain_of(bench.workspace, key)
    test = retrain.windows.test
    later = replace(retrain.windows, test=Window(test.start, test.end + timedelta(seconds=1)))
    assert candidate_key(retrain, snapshot) != candidate_key(replace(retrain, windows=later), snapshot)


def test_a_candidate_that_was_remembered_is_finished_and_not_trained_again(bench: Bench):
    key = bench.begin()
    steps.ingest(bench.workspace, key)
    steps.validate(bench.workspace, key)
    bench.trainer.finish = _die  # type: ignore[method-assign] - the process dies once it is remembered
    with pytest.raises(KeyboardInterrupt):
        steps.train(bench.workspace, key)
    del bench.trainer.finish
    candidate = steps.train(bench.workspace, key)
    assert sum(bench.trainer.trainings.values()) == 1
    assert bench.trainer.finished == [candidate]


def _die(candidate: Candidate) -> None:
    raise KeyboardInterrupt


def test_what_was_trained_under_a_lost_lease_is_not_remembered(bench: Bench):
    now = [datetime(2013, 3, 1, tzinfo=UTC)]
    bench.ledger.now = lambda: now[0]
    key = bench.begin("one")
    steps.ingest(bench.workspace, key)
    steps.validate(bench.workspace, key)
    train = bench.trainer.train

    def slow(*args: object) -> Candidate:
        now[0] += timedelta(hours=1)
        bench.begin("two")
        return train(*args)  # type: ignore[arg-type]

    bench.trainer.train = slow  # type: ignore[method-assign, assignment]
    with pytest.raises(LeaseLost):
        steps.train(bench.workspace, key)
    assert bench.ledger.bodies("trained") == []
    assert bench.trainer.finished == []


def test_a_failure_that_a_retry_mended_is_not_what_a_later_end_is_blamed_on(bench: Bench):
    key = bench.begin()
    bench.source.failure = SourceUnavailable("the database did not answer")
    with pytest.raises(SourceUnavailable):
        steps.ingest(bench.workspace, key)
    steps.ingest(bench.workspace, key)
    report = steps.report(bench.workspace, key, "failed task: train")
    assert report.lines[-1] == "failed task: train"
