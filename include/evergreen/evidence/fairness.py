"""How differently models treat the groups of a sensitive column.

Fairlearn's definitions of the gaps, on sums over the rows; the interval is our own, as fairlearn's
resamples single rows: it would not allow for rows that are alike, and takes minutes at a million rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from scipy import stats

from evergreen.comparison import Gap, Group, Interval
from evergreen.errors import bounded
from evergreen.evidence.clustered_ratios import ClusteredRatios, clustered_ratios
from evergreen.evidence.column_codes import ColumnCodes, distinct_values, encoded, plain_values
from evergreen.evidence.judged_rows import JudgedRows
from evergreen.evidence.metrics import MetricUndefined, row_values
from evergreen.gate_spec import Fairness, FairnessMetric, Gate
from evergreen.text import plain

MOST_GROUPS = 100
RATES: Mapping[FairnessMetric, tuple[str, ...]] = {
    "demographic_parity": ("selection rate",),
    "equalized_odds": ("true positive rate", "false positive rate"),
    "equal_opportunity": ("true positive rate",),
    "group_loss": ("loss",),
}
NEEDED = {
    "true positive rate": "row whose label is the favourable class",
    "false positive rate": "row whose label is another class",
}


@dataclass(frozen=True, slots=True, eq=False)
class _Outcomes:
    """What is averaged within groups: a value for each row, and which of the metric's rates it is for.

    `rate` is -1 for rows of no rate, such as negatives where true positives are compared.
    """

    values: np.ndarray
    rate: np.ndarray


class _NotComparable(Exception):
    """The gap is undefined; the message is a clause that says why."""


def gaps(
    gate: Gate,
    rows: JudgedRows,
    columns: Mapping[str, pa.ChunkedArray],
    challenger: np.ndarray,
    champion: np.ndarray | None,
) -> tuple[Gap, ...]:
    """Return one gap for each sensitive column of `gate.fairness`.

    A classifier decides for its most probable class (the first of equally probable ones). Positive
    is the decision for `favourable`, or for the second of two classes. For equalized odds, which
    compares two rates, `Group.value` is the one that differs more. Groups of fewer than `min_group`
    rows, and those with a rate whose clusters count as fewer than `min_clusters` (`effective_number`),
    are left out and listed in `small`.

    The interval holds the largest difference with at least the gate's confidence: each pair of groups
    (and each rate) gets a t interval of its difference, at the level that Bonferroni's inequality asks
    for, with the covariance of `clustered_ratios` and as many degrees of freedom as the group of
    fewest such clusters has, less one. It runs from the largest lower end (at least 0) to the largest
    upper end. A percentile interval of the resampled largest difference would never hold a gap of 0,
    since each resample adds noise and the largest difference takes it for a gap. The variance of a rate
    is at least that of independent rows with one more of either outcome (Agresti and Caffo, The American
    Statistician 54, 2000): a rate of 0 or 1 in a few rows is not certain.

    Args:
        gate: With `fairness`; without, there are no gaps.
        rows: Truth, clusters and weights.
        columns: The sensitive columns' values for exactly these rows.
        challenger: Predictions `(n_rows, n_classes)` or `(n_rows,)`.
        champion: The same of the champion, where there is one.
    """
    rule = gate.fairness
    if rule is None:
        return ()
    try:
        outcomes = _outcomes(gate, rule, rows, challenger)
        before = None if champion is None else _outcomes(gate, rule, rows, champion)
    except _NotComparable as why:
        return tuple(Gap(column, rule.metric, None, problem=str(why)) for column in rule.columns)
    return tuple(_gap(gate, rule, column, rows, columns, outcomes, before) for column in rule.columns)


def _gap(
    gate: Gate,
    rule: Fairness,
    column: str,
    rows: JudgedRows,
    columns: Mapping[str, pa.ChunkedArray],
    outcomes: _Outcomes,
    before: _Outcomes | None,
) -> Gap:
    small: tuple[str, ...] = ()
    try:
        groups = _groups(column, columns)
        found = _means(rule.metric, outcomes, groups, rows)
        chosen = _large_enough(gate, rule, groups, found)
        small = tuple(name for i, name in enumerate(groups.names) if i not in chosen)
        if len(chosen) < 2:
            raise _NotComparable(
                f"fewer than two groups are large enough: each needs {rule.min_group:,} rows, and "
                f"{gate.min_clusters:,} clusters (by {rows.clustered_by}) for each rate"
            )
    except _NotComparable as why:
        return Gap(column, rule.metric, None, small=small, problem=str(why))
    values, gap = _largest(rule.metric, found, chosen, gate.confidence)
    counts = groups.rows
    told = tuple(
        Group(groups.names[i], int(counts[i]), value) for i, value in zip(chosen, values, strict=True)
    )
    champions = (
        None
        if before is None
        else _largest(rule.metric, _means(rule.metric, before, groups, rows), chosen, gate.confidence)[1]
    )
    return Gap(column, rule.metric, gap, told, small, champions)


def _outcomes(gate: Gate, rule: Fairness, rows: JudgedRows, predictions: np.ndarray) -> _Outcomes:
    """Return what is averaged within groups: the loss, or whether the row was decided for."""
    if rule.metric == "group_loss":
        try:
            losses = row_values(gate.metric, rows, predictions)
        except MetricUndefined as exc:
            raise _NotComparable(str(exc)) from exc
        if losses is None:
            raise _NotComparable(
                f"{gate.metric_name} is no mean over rows, so no group has a loss of its own; choose "
                "another gate.metric or another fairness.metric"
            )
        return _Outcomes(losses, np.zeros(len(rows), dtype=np.int64))
    classes = rows.classes
    if not classes:
        raise _NotComparable(f"{rule.metric} is about decisions; for regression, choose group_loss")
    if rule.favourable is None and len(classes) != 2:
        raise _NotComparable(
            f"gate.fairness.favourable is needed to say which of {len(classes)} classes is good to get"
        )
    good = rule.favourable or classes[1]
    if good not in classes:
        raise _NotComparable(
            f"gate.fairness.favourable is {plain(good, 100)!r}, which no model knows; "
            f"allowed: {bounded(', '.join(classes), 300)}"
        )
    place = classes.index(good)
    decided = predictions.argmax(axis=1) == place
    rate = np.zeros(len(rows), dtype=np.int64)
    if rule.metric != "demographic_parity":
        negative = -1 if rule.metric == "equal_opportunity" else 1
        rate[rows.codes != place] = negative
    return _Outcomes(decided.astype(np.float64), rate)


def _groups(column: str, columns: Mapping[str, pa.ChunkedArray]) -> ColumnCodes:
    if column not in columns:
        raise _NotComparable(
            "the data has no such column; name one that the query gives, under gate.fairness.columns"
        )
    values = plain_values(columns[column])
    count = distinct_values(values)
    if count > MOST_GROUPS:
        raise _NotComparable(
            f"the column has {count:,} values; at most {MOST_GROUPS} groups are compared: make a "
            "coarser column in the query, such as age bands"
        )
    return encoded(values)


def _means(
    metric: FairnessMetric, outcomes: _Outcomes, groups: ColumnCodes, rows: JudgedRows
) -> ClusteredRatios:
    """Return the mean of each rate and group: part `rate * n_groups + group`."""
    count = len(groups.names)
    parts = np.where(outcomes.rate < 0, -1, outcomes.rate * count + groups.codes)
    parts_in_all = len(RATES[metric]) * count
    return clustered_ratios(outcomes.values, rows.weights, parts, parts_in_all, rows.clusters)


def _large_enough(
    gate: Gate, rule: Fairness, groups: ColumnCodes, found: ClusteredRatios
) -> tuple[int, ...]:
    """Return the groups with enough rows, and enough clusters behind each rate."""
    names = RATES[rule.metric]
    weights = found.weights.reshape(len(names), -1)
    clusters = found.clusters.reshape(len(names), -1)
    large = np.flatnonzero(groups.rows >= rule.min_group)
    for rate, name in enumerate(names):
        for group in large[weights[rate, large] == 0]:
            needed = NEEDED.get(name, "row of any weight")
            raise _NotComparable(f"group {groups.names[group]} has no {needed}: its {name} is undefined")
    return tuple(int(group) for group in large if clusters[:, group].min() >= gate.min_clusters)


def _largest(
    metric: FairnessMetric, found: ClusteredRatios, chosen: tuple[int, ...], confidence: float
) -> tuple[list[float], Interval]:
    """Return each group's value and the largest difference between two of them."""
    frame = _frame(metric, found, chosen)
    differences = frame.difference(method="between_groups").to_numpy(dtype=float)
    widest = int(differences.argmax())
    values = [float(value) for value in frame.by_group.to_numpy()[:, widest]]
    loss = metric == "group_loss"
    least = np.zeros_like(found.means) if loss else _least_variances(found)
    low, high = _ends(found, least, np.asarray(chosen), len(differences), confidence)
    return values, Interval(
        float(differences[widest]), low, high if loss else min(high, 1.0), confidence
    )


def _least_variances(found: ClusteredRatios) -> np.ndarray:
    """Return the variances of independent rows, with one more of either outcome."""
    worth = found.rows + 2
    shares = (found.means * found.rows + 1) / worth
    return np.asarray(shares * (1 - shares) / worth)


def _ends(
    found: ClusteredRatios, least: np.ndarray, chosen: np.ndarray, rates: int, confidence: float
) -> tuple[float, float]:
    """Return the ends of the largest difference's interval, over all pairs of groups and rates."""
    first, second = np.triu_indices(len(chosen), k=1)
    tail = (1 - confidence) / 2 / (len(first) * rates)
    low = high = 0.0
    for parts in np.arange(len(found.means)).reshape(rates, -1)[:, chosen]:
        covariance = found.covariance[np.ix_(parts, parts)]
        own = np.maximum(np.diagonal(covariance), least[parts])
        squared = own[first] + own[second] - 2 * covariance[first, second]
        degrees = float(found.clusters[parts].min()) - 1
        reach = float(stats.t.ppf(1 - tail, degrees)) * np.sqrt(np.maximum(squared, 0.0))
        apart = np.abs(found.means[parts][first] - found.means[parts][second])
        low, high = max(low, (apart - reach).max()), max(high, (apart + reach).max())
    return float(low), float(high)


def _frame(metric: FairnessMetric, found: ClusteredRatios, chosen: tuple[int, ...]) -> Any:
    """Return fairlearn's frame of the rates by group, made of sums instead of rows: they are alike."""
    from fairlearn import metrics

    measures = {
        "selection rate": metrics.selection_rate,
        "true positive rate": metrics.true_positive_rate,
        "false positive rate": metrics.false_positive_rate,
        "loss": metrics.mean_prediction,
    }
    names = RATES[metric]
    groups, truths, answers, weights = [], [], [], []
    for rate, name in enumerate(names):
        for group in chosen:
            part = rate * (len(found.means) // len(names)) + group
            mean, weight = found.means[part], found.weights[part]
            yes = min(mean, 1.0) * weight
            cells = [(mean, weight)] if name == "loss" else [(1, yes), (0, weight - yes)]
            for answer, amount in cells:
                groups.append(group)
                truths.append(int(name == "true positive rate"))
                answers.append(answer)
                weights.append(amount)
    return metrics.MetricFrame(
        metrics={name: measures[name] for name in names},
        y_true=truths,
        y_pred=answers,
        sensitive_features=groups,
        sample_params={name: {"sample_weight": weights} for name in names},
    )
