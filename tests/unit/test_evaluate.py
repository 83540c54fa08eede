"""What the gate makes of rows and models that are not as they should be: nothing is promoted by it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from evergreen import steps
from evergreen.comparison import Comparison
from evergreen.errors import ArtefactDamaged, DataUnusable, LeaseLost, StoreUnavailable
from evergreen.names import file_name
from evergreen.results import Candidate
from evergreen.steps import memory
from tests.fakes.bench import APRIL, MARCH, Bench, CertainScorer, pinned

GATE = {"metric": "log_loss", "margin": 0.01}


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def trained(bench: Bench, run: str = "one", certainty: float = 0.8, **changes: object) -> str:
    key = bench.begin(run, MARCH if run == "one" else APRIL, pinned(**changes))
    bench.until_trained(key)
    bench.good(key, certainty)
    return key


def verdict(comparison: Comparison, check: str) -> str:
    return next(one.verdict for one in comparison.checks if one.name == check)


def change_rows(bench: Bench, change: Callable[[pa.Table], pa.Table]) -> None:
    bench.source.table = change(bench.source.table)


def with_column(name: str, values: Callable[[int], object]) -> Callable[[pa.Table], pa.Table]:
    return lambda table: table.append_column(
        name, pa.array([values(row) for row in range(table.num_rows)])
    )


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_predictions_that_are_not_finite_are_refused_and_nothing_is_released(bench: Bench, bad: float):
    bench.whole("one", MARCH, 0.7)
    key = trained(bench, "two")
    bench.scorer.answer = lambda rows: np.full((rows, 2), bad)
    with pytest.raises(DataUnusable, match="not finite"):
        steps.evaluate(bench.workspace, key)
    assert bench.serving() == 1
    assert steps.report(bench.workspace, key, "evaluate failed").outcome == "failed"


def test_probabilities_that_do_not_sum_to_one_are_refused(bench: Bench):
    key = trained(bench)
    bench.scorer.answer = lambda rows: np.full((rows, 2), 0.7)
    with pytest.raises(DataUnusable, match="probabilities"):
        steps.evaluate(bench.workspace, key)
    assert bench.serving() is None


def test_a_champion_whose_files_are_damaged_stops_the_run_and_goes_on_serving(bench: Bench):
    bench.whole("one", MARCH, 0.7)
    champion = memory.need(bench.workspace, "candidate", "churn/one", Candidate)
    key = trained(bench, "two")
    bench.scorer.damaged.add(champion.key)
    with pytest.raises(ArtefactDamaged, match="the champion, version 1, cannot be scored"):
        steps.evaluate(bench.workspace, key)
    assert bench.serving() == 1


def test_a_label_that_grew_a_class_is_said_and_counts_as_improbable(bench: Bench):
    bench.whole("one", MARCH, 0.9)

    def grown(table: pa.Table) -> pa.Table:
        labels = table.column("late").to_numpy().copy()
        labels[::50] = 2
        return table.set_column(table.schema.get_field_index("late"), "late", pa.array(labels))

    change_rows(bench, grown)
    key = trained(bench, "two", 0.9)
    comparison = steps.evaluate(bench.workspace, key)
    assert any("version 1, does not know the class 2" in note for note in comparison.notes)
    assert comparison.evidence.over_champion is not None
    assert comparison.promote


def test_one_class_in_the_test_window_proves_nothing(bench: Bench):
    def one_class(table: pa.Table) -> pa.Table:
        late = [
            0 if time >= MARCH - timedelta(days=28) else label
            for time, label in zip(
                table.column("at").to_pylist(), table.column("late").to_pylist(), strict=True
            )
        ]
        return table.set_column(table.schema.get_field_index("late"), "late", pa.array(late))

    change_rows(bench, one_class)
    comparison = steps.evaluate(bench.workspace, trained(bench))
    assert (comparison.decision, comparison.promote) == ("inconclusive", False)
    assert "one class proves nothing" in comparison.reasons[0]


def test_one_cluster_proves_nothing(bench: Bench):
    change_rows(bench, with_column("region", lambda row: "north"))
    key = trained(bench, gate=GATE | {"cluster": {"column": "region"}})
    comparison = steps.evaluate(bench.workspace, key)
    assert comparison.decision == "inconclusive"
    assert "one value of region" in comparison.reasons[0]


def test_a_test_window_of_few_days_proves_nothing(bench: Bench):
    data = pinned().spec.data.model_dump(mode="json") | {"test_window": "6 days", "min_rows": 20}
    key = trained(bench, data=data)
    comparison = steps.evaluate(bench.workspace, key)
    assert comparison.decision == "inconclusive"
    assert "only 5 days, at least 10 are needed" in comparison.reasons[0]


def test_identical_models_keep_the_champion(bench: Bench):
    bench.whole("one", MARCH, 0.8)
    key = trained(bench, "two")
    bench.scorer.answer = lambda rows: np.tile([0.6, 0.4], (rows, 1))
    comparison = steps.evaluate(bench.workspace, key)
    assert verdict(comparison, "champion") == "failed"
    assert comparison.decision == "keep"


def test_a_slice_column_that_the_data_lacks_keeps_the_champion(bench: Bench):
    bench.whole("one", MARCH, 0.7)
    key = trained(bench, "two", 0.9, gate=GATE | {"slices": ["region"]})
    comparison = steps.evaluate(bench.workspace, key)
    assert verdict(comparison, "slices") == "failed"
    assert "region" in next(c.words for c in comparison.checks if c.name == "slices")
    assert bench.finish(key).outcome == "kept"


def test_a_slice_column_that_is_missing_keeps_a_first_challenger_out_too(bench: Bench):
    comparison = steps.evaluate(bench.workspace, trained(bench, gate=GATE | {"slices": ["region"]}))
    assert verdict(comparison, "slices") == "failed"
    assert not comparison.promote


def test_a_harmed_slice_keeps_the_champion(bench: Bench):
    change_rows(bench, with_column("region", lambda row: "north" if row % 4 else "south"))
    bench.whole("one", MARCH, 0.8)
    key = trained(bench, "two", 0.9, gate=GATE | {"slices": ["region"], "slice_rule": {"min_rows": 30}})
    bench.scorer.worse_where[memory.need(bench.workspace, "candidate", key, Candidate).key] = (
        "region",
        "south",
        0.3,
    )
    comparison = steps.evaluate(bench.workspace, key)
    assert {one.value: one.verdict for one in comparison.evidence.slices} == {
        "north": "unharmed",
        "south": "harmed",
    }
    assert not comparison.promote


def test_a_model_that_fails_on_nulls_cannot_win(bench: Bench):
    key = trained(bench, certainty=0.95)
    candidate = memory.need(bench.workspace, "candidate", key, Candidate)
    bench.scorer.faults[candidate.key] = ("it fails on a row of nulls: ValueError",)
    comparison = steps.evaluate(bench.workspace, key)
    assert verdict(comparison, "serving") == "failed"
    assert bench.finish(key).outcome == "kept"
    assert bench.registry.champion("churn") is None


def test_a_feature_that_gives_the_answer_away_blocks_by_tier(bench: Bench):
    def leaky(table: pa.Table) -> pa.Table:
        return table.append_column("answer", table.column("late").cast(pa.float64()))

    change_rows(bench, leaky)
    key = trained(bench, tier="high")
    assert verdict(steps.evaluate(bench.workspace, key), "leaks") == "failed"
    steps.report(bench.workspace, key)
    low = trained(bench, "two", tier="low")
    comparison = steps.evaluate(bench.workspace, low)
    assert verdict(comparison, "leaks") == "reported"
    assert any("answer" in one.words for one in comparison.evidence.findings)


def test_a_column_that_the_leak_checks_cannot_leave_alone_is_said(bench: Bench):
    comparison = steps.evaluate(
        bench.workspace, trained(bench, gate=GATE | {"leaks": {"allow": ["x", "anwser"]}})
    )
    assert comparison.notes == ("gate.leaks.allow names 'anwser', which the data does not have",)


def test_sensitive_columns_are_judged_though_they_are_no_features(bench: Bench):
    change_rows(bench, with_column("sex", lambda row: "f" if row % 2 else "m"))
    data = pinned().spec.data.model_dump(mode="json") | {"exclude": ["sex"]}
    fairness = {"columns": ["sex"], "metric": "demographic_parity", "bound": 0.5, "min_group": 50}
    key = trained(bench, data=data, gate=GATE | {"fairness": fairness})
    candidate = memory.need(bench.workspace, "candidate", key, Candidate)
    assert "sex" not in {feature.name for feature in candidate.features}
    comparison = steps.evaluate(bench.workspace, key)
    assert verdict(comparison, "fairness") == "passed"
    assert comparison.evidence.gaps[0].gap is not None


def test_weights_count_in_the_comparison(bench: Bench):
    change_rows(bench, with_column("w", lambda row: 2.0 if row % 2 else 1.0))
    data = pinned().spec.data.model_dump(mode="json") | {"weight": "w"}
    key = trained(bench, data=data)
    candidate = memory.need(bench.workspace, "candidate", key, Candidate)
    assert "w" not in {feature.name for feature in candidate.features}
    plain = steps.evaluate(bench.workspace, key)
    assert plain.promote


def test_the_evidence_is_kept_beside_the_model(bench: Bench):
    key = trained(bench)
    comparison = steps.evaluate(bench.workspace, key)
    candidate = memory.need(bench.workspace, "candidate", key, Candidate)
    files = bench.trainer.attached[candidate.run_id]
    folder = file_name("one")
    assert files[f"{folder}/gate.png"].startswith(b"\x89PNG")
    assert f'"decision": "{comparison.decision}"'.encode() in files[f"{folder}/comparison.json"]


def test_an_equal_run_leaves_the_evidence_of_the_first_alone(bench: Bench):
    bench.whole("one", MARCH, 0.8)
    candidate = memory.need(bench.workspace, "candidate", "churn/one", Candidate)
    before = dict(bench.trainer.attached[candidate.run_id])
    bench.whole("two", MARCH, 0.8)
    after = bench.trainer.attached[candidate.run_id]
    assert before.items() <= after.items()
    assert len(after) == 2 * len(before)


def test_a_process_that_lost_its_lease_attaches_nothing(bench: Bench):
    key = trained(bench)
    candidate = memory.need(bench.workspace, "candidate", key, Candidate)
    predict = bench.scorer.predict

    def taken_over(candidate: Candidate, rows: pa.Table) -> np.ndarray:
        bench.ledger.acquire("churn", key)
        return predict(candidate, rows)

    bench.scorer.predict = taken_over  # type: ignore[method-assign]
    with pytest.raises(LeaseLost):
        steps.evaluate(bench.workspace, key)
    assert candidate.run_id not in bench.trainer.attached


def test_a_tracking_server_that_is_down_loses_no_decision(bench: Bench, monkeypatch: pytest.MonkeyPatch):
    key = trained(bench)

    def down(candidate: Candidate, files: Mapping[str, bytes]) -> None:
        raise StoreUnavailable("MLflow did not answer")

    with monkeypatch.context() as patched:
        patched.setattr(bench.trainer, "attach", down)
        with pytest.raises(StoreUnavailable):
            steps.evaluate(bench.workspace, key)
    assert memory.recall(bench.workspace, "comparison", key, Comparison) is None
    assert steps.evaluate(bench.workspace, key).promote
    assert len(bench.trainer.attached) == 1


class CountingScorer(CertainScorer):
    """Predicts the count itself, less what is taken off for one candidate."""

    def __init__(self) -> None:
        super().__init__()
        self.less: dict[str, float] = {}

    def predict(self, candidate: Candidate, rows: pa.Table) -> np.ndarray:
        counts = np.asarray(rows.column("late").to_pylist(), dtype=float)
        return counts + 0.5 - self.less.get(candidate.key, 0.0)


def test_a_first_challenger_that_the_metric_cannot_judge_is_named(bench: Bench):
    counting = {
        "train": {"estimator": "sklearn.linear_model.Ridge"},
        "gate": {"metric": "poisson_loss", "margin": 0.01},
    }
    scorer = CountingScorer()
    bench.workspace = workspace = replace(bench.workspace, scorer=scorer)
    key = bench.begin("one", MARCH, pinned(**counting))
    bench.until_trained(key)
    scorer.less[memory.need(workspace, "candidate", key, Candidate).key] = 0.5
    with pytest.raises(
        DataUnusable, match="the challenger's predictions cannot be judged: poisson_loss"
    ):
        steps.evaluate(workspace, key)


def test_a_champion_that_the_metric_cannot_judge_is_named_with_the_way_out(bench: Bench):
    counting = {
        "train": {"estimator": "sklearn.linear_model.Ridge"},
        "gate": {"metric": "poisson_loss", "margin": 0.01},
    }
    scorer = CountingScorer()
    bench.workspace = workspace = replace(bench.workspace, scorer=scorer)
    first = bench.begin("one", MARCH, pinned(**counting))
    bench.until_trained(first)
    assert bench.finish(first).outcome == "promoted"
    scorer.less[memory.need(workspace, "candidate", first, Candidate).key] = 0.5
    key = bench.begin("two", APRIL, pinned(**counting))
    bench.until_trained(key)
    with pytest.raises(DataUnusable, match="the champion, version 1, cannot be scored") as caught:
        steps.evaluate(workspace, key)
    assert "release=unopposed" in str(caught.value)
    assert bench.serving() == 1
