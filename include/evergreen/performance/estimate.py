"""What a classifier's metric probably is on rows whose labels nobody knows yet.

The confidence-based estimate (CBPE): a calibrated probability says how often an answer comes true, so it
says what the answer is expected to lose. Proposed as "average confidence" by Guillory et al., Predicting
with confidence on unseen distributions (ICCV 2021), and in this form by NannyML
(https://nannyml.readthedocs.io/en/stable/how_it_works/performance_estimation.html).

It sees what a shift of the features does to the model's confidence. It is blind to a change of the
relation between features and label, which changes no prediction: there it reports that all is well.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from evergreen.evidence.intervals import mean_of
from evergreen.evidence.judged_rows import JudgedRows, class_codes
from evergreen.evidence.losses import checked, row_losses
from evergreen.evidence.metrics import MetricUndefined
from evergreen.metric_spec import METRICS, RANKING, Metric, OwnMetric
from evergreen.performance.daily import by_day
from evergreen.profiles.baseline import Calibrator
from evergreen.watch_results import DayLoss

MOST_CORNERS = 200
FEWEST_CORNERS = 10
ROWS_A_CORNER = 50
"""With fewer rows in a bin, the line follows chance, and the estimate is too good."""
MOST_NUMBERS = 20_000
"""How many corners all classes may have together, as far as each has `FEWEST_CORNERS`."""


def estimable(metric: Metric) -> bool:
    """Whether there is an estimate: for classifiers, of every metric but the owner's own."""
    return not isinstance(metric, OwnMetric) and METRICS[metric.type].task == "classification"


def fit_calibrator(
    labels: np.ndarray,
    probabilities: np.ndarray,
    classes: Sequence[str],
    weights: np.ndarray | None = None,
) -> Calibrator:
    """Learn how often each class's probability comes true, on rows out of the model's sight.

    Scores are put into up to `MOST_CORNERS` bins of equally many rows, equal scores together; the
    bins' shares are made to rise by isotonic regression (Zadrozny and Elkan, KDD 2002).

    Args:
        labels: `(n_rows,)` text.
        probabilities: `(n_rows, n_classes)` in the order of `classes`.
        classes: The model's.
        weights: `(n_rows,)`, or None where all rows count alike.

    Raises:
        DataUnusable: probabilities that are none.
        MetricUndefined: no row counts.
    """
    codes = class_codes(labels, classes)
    if weights is not None:
        counted = weights > 0
        codes, probabilities, weights = codes[counted], probabilities[counted], weights[counted]
    if not len(codes):
        raise MetricUndefined("no calibration can be learnt: no row counts")
    probabilities = checked(_rows(len(codes), tuple(classes)), probabilities)
    most = min(MOST_CORNERS, MOST_NUMBERS // len(classes), len(codes) // ROWS_A_CORNER)
    most = max(most, FEWEST_CORNERS)
    if len(classes) == 2:
        scores, shares = _rising(probabilities[:, 1], codes == 1, weights, most)
        lines = [(1 - scores[::-1], 1 - shares[::-1]), (scores, shares)]
    else:
        lines = [
            _rising(probabilities[:, each], codes == each, weights, most) for each in range(len(classes))
        ]
    return Calibrator(
        tuple(classes),
        tuple(tuple(map(float, scores)) for scores, _ in lines),
        tuple(tuple(map(float, shares)) for _, shares in lines),
    )


def calibrated(calibrator: Calibrator, probabilities: np.ndarray) -> np.ndarray:
    """Return how often each class is expected to be the truth, `(n_rows, n_classes)`, rows adding to 1.

    A row for which all lines say 0 keeps the probabilities that it came with.
    """
    shares = np.empty(probabilities.shape)
    for place, (scores, heights) in enumerate(zip(calibrator.scores, calibrator.shares, strict=True)):
        shares[:, place] = np.interp(probabilities[:, place], scores, heights)
    sums = shares.sum(axis=1)
    lost = sums <= 0
    if lost.any():
        shares[lost] = np.maximum(probabilities[lost], 0.0)
        sums[lost] = shares[lost].sum(axis=1)
    return np.asarray(shares / sums[:, None])


def estimate(
    metric: Metric,
    calibrator: Calibrator,
    probabilities: np.ndarray,
    weights: np.ndarray | None = None,
) -> float:
    """Return the expected metric of these predictions, in its own unit and direction.

    A mean metric is the mean over rows of what each row loses, averaged over what its truth may be. For
    a ranking each row counts as its class and as the rest, by the two shares.

    Args:
        metric: One that is `estimable`.
        calibrator: Of the model that predicted.
        probabilities: `(n_rows, n_classes)` in the order of the calibrator's classes.
        weights: `(n_rows,)`, or None where all rows count alike.

    Raises:
        MetricUndefined: no row counts, or a class that is never expected in a ranking.
        DataUnusable: probabilities that are none, or a cost that is not listed.
        ValueError: a metric that has no estimate.
    """
    if weights is not None and not weights.all():
        probabilities, weights = probabilities[weights > 0], weights[weights > 0]
    if not len(probabilities):
        raise MetricUndefined("no row counts: there are none, or all weights are 0")
    if metric.type in RANKING:
        return _ranking(metric.type, calibrator, probabilities, weights)
    return mean_of(_expected(metric, calibrator, probabilities), weights)


def estimate_by_day(
    metric: Metric,
    calibrator: Calibrator,
    probabilities: np.ndarray,
    days: np.ndarray,
    weights: np.ndarray | None = None,
) -> tuple[DayLoss, ...]:
    """Return the estimate of each day's rows, by rising day; days where it is undefined are left out.

    Args:
        metric: One that is `estimable`.
        calibrator: Of the model that predicted.
        probabilities: `(n_rows, n_classes)`.
        days: `(n_rows,)` datetime64[D], each row's day in UTC.
        weights: `(n_rows,)`, or None where all rows count alike.

    Raises:
        DataUnusable: as `estimate`.
        ValueError: a metric that has no estimate.
    """
    ranked = metric.type in RANKING
    losses = None if ranked or not len(days) else _expected(metric, calibrator, probabilities)
    found = []
    for day, places in by_day(days):
        weighing = None if weights is None else weights[places]
        counted = len(places) if weighing is None else int(np.count_nonzero(weighing))
        if not counted:
            continue
        try:
            value = (
                estimate(metric, calibrator, probabilities[places], weighing)
                if losses is None
                else mean_of(losses[places], weighing)
            )
        except MetricUndefined:
            continue
        found.append(DayLoss(day, value, counted))
    return tuple(found)


def _expected(metric: Metric, calibrator: Calibrator, probabilities: np.ndarray) -> np.ndarray:
    """Return what each row is expected to add to the metric, `(n_rows,)`."""
    if not estimable(metric):
        raise ValueError(f"there is no estimate of {metric.type} without labels")
    classes = calibrator.classes
    probabilities = checked(_rows(len(probabilities), classes), probabilities)
    shares = calibrated(calibrator, probabilities)
    expected = np.zeros(len(probabilities))
    for code in range(len(classes)):
        if shares[:, code].any():
            truth = _rows(len(probabilities), classes, code)
            expected += shares[:, code] * row_losses(metric, truth, probabilities)
    return 1.0 - expected if metric.type == "accuracy" else expected


def _rows(count: int, classes: tuple[str, ...], code: int = 0) -> JudgedRows:
    """Return rows that all have the label of one class."""
    return JudgedRows(
        labels=np.broadcast_to(np.asarray(classes[code]), count),
        classes=classes,
        clusters=np.broadcast_to(np.int64(0), count),
        clustered_by="row",
        codes=np.broadcast_to(np.int64(code), count),
    )


def _ranking(
    name: str, calibrator: Calibrator, probabilities: np.ndarray, weights: np.ndarray | None
) -> float:
    from sklearn.metrics import average_precision_score, roc_auc_score

    score = roc_auc_score if name == "roc_auc" else average_precision_score
    classes = calibrator.classes
    shares = calibrated(calibrator, checked(_rows(len(probabilities), classes), probabilities))
    weighed = shares if weights is None else shares * weights[:, None]
    total = weighed.sum()
    truth = np.repeat([True, False], len(probabilities))
    values = []
    for place in (1,) if len(classes) == 2 else range(len(classes)):
        ours = weighed[:, place]
        if not 0 < ours.sum() < total:
            raise MetricUndefined(f"{name} is undefined: {classes[place]!r} is never or always expected")
        rest = weighed.sum(axis=1) - ours
        counts = np.concatenate([ours, np.maximum(rest, 0.0)])
        values.append(score(truth, np.tile(probabilities[:, place], 2), sample_weight=counts))
    return float(np.mean(values))


def _rising(
    scores: np.ndarray, happened: np.ndarray, weights: np.ndarray | None, most: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the corners of the isotonic line, scores and shares."""
    from sklearn.isotonic import IsotonicRegression

    order = np.argsort(scores, kind="stable")
    ordered = scores[order]
    bins = np.arange(len(order)) * most // len(order)
    bins = bins[np.searchsorted(ordered, ordered)]  # equal scores go where the first of them goes
    weighing = np.ones(len(order)) if weights is None else weights[order]
    mass = np.bincount(bins, weighing)
    used = mass > 0
    mass = mass[used]
    centres = np.bincount(bins, weighing * ordered)[used] / mass
    shares = np.bincount(bins, weighing * happened[order])[used] / mass
    line = IsotonicRegression(y_min=0.0, y_max=1.0).fit(centres, shares, sample_weight=mass)
    return np.asarray(line.X_thresholds_), np.asarray(line.y_thresholds_)
