"""How well each feature predicts the label all by itself: what a leaked label looks like.

A feature is judged on rows that are later than those it was learnt from. So an identifier, which tells
apart every row of the train window, scores like a coin.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from evergreen.column_kinds import kind_of
from evergreen.metric_spec import Task
from evergreen.results import ColumnType
from evergreen.training.frame import feature_frame
from evergreen.training.labels import labelled, labels_of

if TYPE_CHECKING:
    import pandas as pd

SUSPICIOUS: Mapping[Task, float] = {"classification": 0.99, "regression": 0.99}
"""From which score on a feature is taken for a leak: ROC AUC, and R².

Honest features fall far below. A model of many of them that reaches an AUC of 0.95 is rare, and 0.99
from a single column means that nothing is left to predict: it holds the label, a consequence of it or
what the label is computed from. The few honest ones (a value that hardly changes from one hour to the
next) are for a person to look at, once, and to name in `gate.leaks.allow`.
"""
MOST_ROWS = 20_000
"""Most rows that are learnt from and judged on: the error of an AUC near 0.99 is then below 0.001."""
FEWEST_ROWS = 20
"""Fewest rows of a class (of a window, for regression): with fewer, 0.99 comes about by chance."""
MOST_CLASSES = 10
"""Most classes that are judged; of more, the most frequent."""

_LEAVES = 32
_SMALLEST_LEAF = 20
_ROW = "row\x00"  # no column of a snapshot is called so


def lone_scores(
    train: pa.Table, test: pa.Table, features: Sequence[ColumnType], label: str, task: Task
) -> Iterator[tuple[str, float]]:
    """Yield the name and the score of each feature that can be judged.

    The score is, for classification, the ROC AUC (of several classes the mean of each against the
    rest); for regression, R² of the label's value or of its rank, whichever is higher, since one
    outlier can hide a copied label from the former. Numbers, booleans and the calendar parts of times
    are learnt by a small decision tree and, for classification, taken as they are, too; text is learnt
    by the label's mean within each value (scikit-learn's `TargetEncoder`). Samples are drawn with a
    fixed seed; of each class equally many, which leaves an AUC what it is and keeps rare classes.
    Nothing is yielded where one of the windows holds fewer than two classes of at least `FEWEST_ROWS`
    rows, or (regression) fewer rows than that or one value only.

    Args:
        train: Rows to learn from.
        test: Rows to judge on.
        features: What models see of the rows.
        label: The label's column.
        task: What is predicted.
    """
    rng = np.random.default_rng(0)
    columns = [label, *(feature.name for feature in features)]
    learnt, judged = (_sample(rows.select(columns), label, task, rng) for rows in (train, test))
    before, after = (labels_of(rows, label, task) for rows in (learnt, judged))
    if task == "classification":
        classes = _judged_classes(before, after)
        if len(classes) < 2:
            return
        learnt, before = _of_classes(learnt, before, classes)
        judged, after = _of_classes(judged, after, classes)
    elif min(len(before), len(after)) < FEWEST_ROWS or np.ptp(before) == 0 or np.ptp(after) == 0:
        return
    for feature in features:
        known, asked = feature_frame(learnt, [feature]), feature_frame(judged, [feature])
        is_text = kind_of(feature.type) == "text"
        if task == "classification":
            yield feature.name, _auc(_class_scores(known, before, asked, is_text=is_text), after)
        else:
            yield feature.name, _r2(known, before, asked, after, is_text=is_text)


def _sample(rows: pa.Table, label: str, task: Task, rng: np.random.Generator) -> pa.Table:
    """Return at most `MOST_ROWS` rows with a label, of each class equally many where it has them."""
    numbered = pa.table({label: rows.column(label), _ROW: np.arange(len(rows))})
    known = labelled(numbered, label)
    places = known.column(_ROW).to_numpy()
    if task == "regression":
        groups = [places]
    else:
        codes = np.asarray(known.column(label).combine_chunks().dictionary_encode().indices)
        order = np.argsort(codes, kind="stable")
        groups = np.split(places[order], np.cumsum(np.bincount(codes))[:-1])
    groups = sorted(groups, key=len, reverse=True)[:MOST_CLASSES]
    most = MOST_ROWS // max(1, len(groups))
    drawn = [group if len(group) <= most else rng.choice(group, most, replace=False) for group in groups]
    return rows.take(np.sort(np.concatenate(drawn)) if drawn else [])


def _judged_classes(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    names, counts = np.unique(before, return_counts=True)
    later, later_counts = np.unique(after, return_counts=True)
    return np.intersect1d(names[counts >= FEWEST_ROWS], later[later_counts >= FEWEST_ROWS])


def _of_classes(rows: pa.Table, labels: np.ndarray, classes: np.ndarray) -> tuple[pa.Table, np.ndarray]:
    chosen = np.isin(labels, classes)
    return rows.take(np.flatnonzero(chosen)), labels[chosen]


def _class_scores(
    known: pd.DataFrame, labels: np.ndarray, asked: pd.DataFrame, *, is_text: bool
) -> list[np.ndarray]:
    """Return, for each of the sorted classes, scores `(n_asked, n_scores)`: one good one is enough."""
    several = len(np.unique(labels)) > 2
    if is_text:
        means = _means_by_value(known, labels, asked, "multiclass" if several else "binary")
        return [means[:, [column]] for column in range(means.shape[1])]
    from sklearn.tree import DecisionTreeClassifier

    tree = DecisionTreeClassifier(
        max_leaf_nodes=_LEAVES, min_samples_leaf=_SMALLEST_LEAF, class_weight="balanced", random_state=0
    )
    ranks, asked_ranks = _ranks(known, asked)
    shares = tree.fit(ranks, labels).predict_proba(asked_ranks)
    # The values themselves, too: a tree of few rows is a coarse ranking of a feature that ranks well.
    columns = range(shares.shape[1]) if several else [1]
    return [np.column_stack([shares[:, column], asked_ranks, -asked_ranks]) for column in columns]


def _auc(scores: list[np.ndarray], labels: np.ndarray) -> float:
    from sklearn.metrics import roc_auc_score

    classes = np.unique(labels)
    judged = classes if len(classes) > 2 else classes[1:]
    best = [
        max(roc_auc_score(labels == name, each) for each in of_class.T)
        for name, of_class in zip(judged, scores, strict=True)
    ]
    return float(np.mean(best))


def _r2(
    known: pd.DataFrame,
    before: np.ndarray,
    asked: pd.DataFrame,
    after: np.ndarray,
    *,
    is_text: bool,
) -> float:
    from sklearn.metrics import r2_score
    from sklearn.tree import DecisionTreeRegressor

    largest = max(np.abs(before).max(), np.abs(after).max())
    sorted_labels = np.sort(before)
    learnt, wanted = (
        np.column_stack([labels / largest, np.searchsorted(sorted_labels, labels) / len(before)])
        for labels in (before, after)
    )
    if is_text:
        columns = [_means_by_value(known, values, asked, "continuous") for values in learnt.T]
        answers = np.hstack(columns)
    else:
        tree = DecisionTreeRegressor(min_samples_leaf=_SMALLEST_LEAF, random_state=0)
        ranks, asked_ranks = _ranks(known, asked)
        answers = tree.fit(ranks, learnt).predict(asked_ranks)
    return float(np.max(r2_score(wanted, answers, multioutput="raw_values")))


def _means_by_value(
    known: pd.DataFrame, labels: np.ndarray, asked: pd.DataFrame, target: str
) -> np.ndarray:
    from sklearn.preprocessing import TargetEncoder

    encoder = TargetEncoder(target_type=target, smooth=1.0, random_state=0)
    return np.asarray(encoder.fit(known, labels).transform(asked))


def _ranks(known: pd.DataFrame, asked: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Return both as ranks among the known values; a missing value comes before them all.

    scikit-learn's trees hold numbers as float32 and do not part one value from a missing one.
    """
    pairs = [_ranked(known[name].to_numpy(), asked[name].to_numpy()) for name in known.columns]
    return np.column_stack([pair[0] for pair in pairs]), np.column_stack([pair[1] for pair in pairs])


def _ranked(known: np.ndarray, asked: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    values = np.unique(known[~np.isnan(known)])
    if not len(values):
        values = np.zeros(1)
    ranks = np.arange(len(values))
    first, second = (
        np.where(np.isnan(each), -1.0, np.interp(each, values, ranks)) for each in (known, asked)
    )
    return first, second
