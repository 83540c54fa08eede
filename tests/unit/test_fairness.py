"""Gaps between groups against fairlearn on the rows themselves, and what cannot be compared."""

import numpy as np
import pyarrow as pa
import pytest
from fairlearn import metrics as fairlearn
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from evergreen.evidence.clustered_ratios import clustered_ratios
from evergreen.evidence.fairness import gaps
from evergreen.evidence.judged_rows import JudgedRows
from evergreen.gate_spec import Gate

CLASSES = ("no", "yes")


def gate(metric, *, of="log_loss", cluster="row", **more):
    rule = {"columns": ["sex"], "metric": metric, "bound": 0.1, **more}
    return Gate.model_validate({"metric": of, "cluster": cluster, "fairness": rule})


def people(rows, seed, *, shares=(0.3, 0.5), clusters=None, weighted=False):
    """Return judged rows, each row's group, and predictions that decide for `shares` of each group."""
    random = np.random.default_rng(seed)
    groups = random.integers(0, len(shares), rows)
    labels = np.where(random.random(rows) < 0.5, "yes", "no")
    decided = random.random(rows) < np.asarray(shares)[groups]
    probability = np.where(decided, 0.8, 0.3)
    codes = np.arange(rows) if clusters is None else random.integers(0, clusters, rows)
    weights = random.uniform(0.5, 3, rows) if weighted else None
    judged = JudgedRows(labels, CLASSES, codes, "row" if clusters is None else "day", weights)
    return judged, groups, np.column_stack([1 - probability, probability])


def column(groups):
    return {"sex": pa.chunked_array([pa.array([f"g{group}" for group in groups])])}


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("metric", ["demographic_parity", "equalized_odds", "equal_opportunity"])
def test_gaps_of_decisions_equal_fairlearn_on_the_rows(metric, weighted):
    rows, groups, predictions = people(3000, 1, shares=(0.3, 0.5, 0.45), weighted=weighted)
    (gap,) = gaps(gate(metric), rows, column(groups), predictions, None)
    expected = getattr(fairlearn, f"{metric}_difference")(
        (rows.labels == "yes").astype(int),
        (predictions[:, 1] > 0.5).astype(int),
        sensitive_features=groups,
        sample_weight=rows.weights,
    )
    assert gap.gap.estimate == pytest.approx(expected)
    assert gap.gap.low < expected < gap.gap.high
    assert max(g.value for g in gap.groups) - min(g.value for g in gap.groups) == pytest.approx(expected)


def test_the_gap_of_losses_equals_fairlearn_on_the_rows():
    random = np.random.default_rng(2)
    labels, groups = random.normal(0, 1, 900), random.integers(0, 3, 900)
    predictions, weights = labels + random.normal(0, 1 + groups), random.uniform(0, 2, 900)
    rows = JudgedRows(labels, (), np.arange(900), "row", weights)
    (gap,) = gaps(gate("group_loss", of="squared_error"), rows, column(groups), predictions, None)
    frame = fairlearn.MetricFrame(
        metrics=fairlearn.mean_prediction,
        y_true=labels,
        y_pred=(labels - predictions) ** 2,
        sensitive_features=groups,
        sample_params={"sample_weight": weights},
    )
    assert gap.gap.estimate == pytest.approx(frame.difference())
    assert [group.value for group in gap.groups] == pytest.approx(list(frame.by_group))


def test_two_groups_of_independent_rows_have_the_t_interval_of_their_difference():
    random = np.random.default_rng(3)
    first, second = random.normal(0, 1, 200), random.normal(0, 1.5, 300)
    labels = np.concatenate([first, second])
    groups = np.repeat([0, 1], [200, 300])
    rows = JudgedRows(labels, (), np.arange(500), "row")
    predictions = labels + np.concatenate([np.abs(first), np.abs(second) + 1])
    (gap,) = gaps(gate("group_loss", of="absolute_error"), rows, column(groups), predictions, None)
    a, b = np.abs(first), np.abs(second) + 1
    reach = stats.t.ppf(0.975, 199) * np.sqrt(a.var(ddof=1) / 200 + b.var(ddof=1) / 300)
    assert gap.gap.estimate == pytest.approx(b.mean() - a.mean())
    assert (gap.gap.low, gap.gap.high) == pytest.approx(
        (b.mean() - a.mean() - reach, b.mean() - a.mean() + reach)
    )


def test_the_covariance_of_two_groups_is_that_of_means_which_leave_out_one_cluster_each():
    random = np.random.default_rng(8)
    values, weights = random.normal(size=400), random.uniform(0.5, 2, 400)
    parts, clusters = random.integers(-1, 2, 400), np.minimum(np.arange(400) // 12, 25)
    found = clustered_ratios(values, weights, parts, 2, clusters)

    def means(chosen):
        return np.array(
            [
                np.average(values[chosen & (parts == k)], weights=weights[chosen & (parts == k)])
                for k in (0, 1)
            ]
        )

    moved = np.array([means(clusters != each) for each in range(26)]) - means(clusters >= 0)
    masses = np.array([np.bincount(clusters[parts == k], weights[parts == k], 26) for k in (0, 1)])
    counts = np.count_nonzero(masses, axis=1)
    moved *= np.sqrt((counts - 1) / counts)
    assert found.covariance == pytest.approx(moved.T @ moved)
    assert found.clusters == pytest.approx(masses.sum(axis=1) ** 2 / (masses**2).sum(axis=1))


def test_a_group_of_one_days_rows_is_not_compared_however_many_days_it_is_seen_on():
    rows, groups, predictions = people(2000, 4, clusters=40)
    days = np.where((groups == 1) & (np.arange(2000) > 100), 0, rows.clusters)
    uneven = JudgedRows(rows.labels, CLASSES, days, "day")
    (gap,) = gaps(gate("demographic_parity", cluster="day"), uneven, column(groups), predictions, None)
    assert gap.gap is None
    assert gap.small == ("g1",)


def test_repeating_each_row_within_its_cluster_proves_nothing_more():
    rows, groups, predictions = people(2000, 4, clusters=40)
    again = np.repeat(np.arange(2000), 3)
    (once,) = gaps(gate("demographic_parity", cluster="day"), rows, column(groups), predictions, None)
    (thrice,) = gaps(
        gate("demographic_parity", cluster="day"),
        rows.only(again),
        column(groups[again]),
        predictions[again],
        None,
    )
    assert once.gap.estimate == pytest.approx(thrice.gap.estimate)
    assert (thrice.gap.low, thrice.gap.high) == pytest.approx((once.gap.low, once.gap.high), abs=1e-3)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000))
def test_the_order_of_rows_changes_nothing(seed):
    rows, groups, predictions = people(600, seed, clusters=20, weighted=True)
    order = np.random.default_rng(seed).permutation(600)
    rule = gate("equalized_odds", cluster="day")
    (first,) = gaps(rule, rows, column(groups), predictions, None)
    (second,) = gaps(rule, rows.only(order), column(groups[order]), predictions[order], None)
    assert [g.name for g in first.groups] == [g.name for g in second.groups]
    assert (first.gap.estimate, first.gap.low, first.gap.high) == pytest.approx(
        (second.gap.estimate, second.gap.low, second.gap.high)
    )


@pytest.mark.parametrize(
    ("shares", "clusters"), [((0.3, 0.3), None), ((0.3, 0.4), 12), ((0.3, 0.5, 0.4), 30)]
)
def test_the_interval_holds_the_true_gap_as_often_as_it_says(shares, clusters):
    true = max(shares) - min(shares)
    rule = gate("demographic_parity", cluster="row" if clusters is None else "day")
    held = []
    for seed in range(200):
        rows, groups, predictions = people(800, seed, shares=shares, clusters=clusters)
        (gap,) = gaps(rule, rows, column(groups), predictions, None)
        held.append(gap.gap.low <= true <= gap.gap.high)
    assert 0.91 <= np.mean(held) <= 1


def test_rates_of_nought_in_every_group_are_not_certain():
    rows, groups, predictions = people(400, 5, shares=(0.0, 0.0))
    (gap,) = gaps(gate("demographic_parity"), rows, column(groups), predictions, None)
    assert gap.gap.estimate == 0
    assert 0.005 < gap.gap.high < 0.03


def test_missing_values_are_a_group_of_their_own_and_small_groups_are_named():
    rows, _, predictions = people(1000, 6)
    names = ["few" if i < 40 else None if i % 3 else "many" for i in range(1000)]
    columns = {"sex": pa.chunked_array([pa.array(names).dictionary_encode()])}
    (gap,) = gaps(gate("demographic_parity"), rows, columns, predictions, None)
    assert {group.name: group.rows for group in gap.groups} == {"many": 320, "missing": 640}
    assert gap.small == ("few",)
    assert gap.problem is None


def test_the_champion_is_measured_on_the_same_groups():
    rows, groups, predictions = people(2000, 7)
    (gap,) = gaps(gate("equal_opportunity"), rows, column(groups), predictions[:, ::-1], predictions)
    (own,) = gaps(gate("equal_opportunity"), rows, column(groups), predictions, None)
    assert gap.champion == own.gap
    assert own.champion is None


def test_the_favourable_class_is_compared_among_more_than_two():
    random = np.random.default_rng(8)
    classes = ("gold", "none", "silver")
    probabilities = random.dirichlet([1, 1, 1], 900)
    groups = random.integers(0, 2, 900)
    rows = JudgedRows(random.choice(classes, 900), classes, np.arange(900), "row")
    (gap,) = gaps(
        gate("equal_opportunity", favourable="gold"), rows, column(groups), probabilities, None
    )
    assert gap.gap.estimate == pytest.approx(
        fairlearn.equal_opportunity_difference(
            (rows.labels == "gold").astype(int),
            (probabilities.argmax(axis=1) == 0).astype(int),
            sensitive_features=groups,
        )
    )
    (gap,) = gaps(gate("equal_opportunity"), rows, column(groups), probabilities, None)
    assert gap.gap is None
    assert "gate.fairness.favourable is needed to say which of 3 classes" in gap.problem
    (gap,) = gaps(gate("equal_opportunity", favourable="tin"), rows, column(groups), probabilities, None)
    assert gap.problem == (
        "gate.fairness.favourable is 'tin', which no model knows; allowed: gold, none, silver"
    )


def problem(metric="demographic_parity", *, columns=None, labels=None, of="log_loss", clusters=None):
    rows, groups, predictions = people(600, 9, clusters=clusters)
    if labels is not None:
        rows = JudgedRows(labels(rows.labels, groups), CLASSES, rows.clusters, rows.clustered_by)
    cluster = "row" if clusters is None else "day"
    (gap,) = gaps(
        gate(metric, of=of, cluster=cluster), rows, column(groups) if columns is None else columns,
        predictions, None,
    )  # fmt: skip
    assert gap.gap is None
    return gap.problem


def test_what_cannot_be_compared_says_why():
    assert "the data has no such column" in problem(columns={})
    many = {"sex": pa.chunked_array([pa.array(range(600))])}
    assert "600 values; at most 100 groups" in problem(columns=many)
    alone = {"sex": pa.chunked_array([pa.array(["a"] * 600)])}
    assert problem(columns=alone) == (
        "fewer than two groups are large enough: each needs 100 rows, and 10 clusters (by row) for each "
        "rate"
    )
    assert "10 clusters (by day) for each rate" in problem(clusters=8)
    assert "roc_auc is no mean over rows" in problem("group_loss", of="roc_auc")


def test_a_group_without_positives_is_named():
    without = problem("equalized_odds", labels=lambda labels, group: np.where(group == 1, "no", labels))
    assert without == (
        "group g1 has no row whose label is the favourable class: its true positive rate is undefined"
    )


def test_decisions_of_a_regression_are_refused():
    rows = JudgedRows(np.zeros(300), (), np.arange(300), "row")
    (gap,) = gaps(
        gate("equalized_odds", of="squared_error"), rows, column(np.arange(300) % 2), np.zeros(300), None
    )
    assert gap.problem == "equalized_odds is about decisions; for regression, choose group_loss"


def test_without_a_rule_there_are_no_gaps():
    rows, _, predictions = people(100, 10)
    assert gaps(Gate.model_validate({"metric": "log_loss"}), rows, {}, predictions, None) == ()
