"""The gate: whether the challenger has proven itself. Values in, a `Comparison` out.

It knows no clock, no file and no client. Losses come paired: row i of every array is the same row of
the test window, so that what is judged is the difference and not two separate means.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import numpy as np
from scipy import stats

from evergreen.results import Comparison, Interval
from evergreen.spec import Gate


def compare(
    rule: Gate,
    challenger: np.ndarray,
    champion: np.ndarray | None,
    baseline: np.ndarray,
    clusters: np.ndarray | None = None,
) -> Comparison:
    """Judge the challenger by its losses on rows that none of the models was trained on.

    It is promoted where it beats the baseline with evidence and, where there is a champion, the whole
    interval of the paired difference lies below the margin (`non_inferiority`) or below minus the
    margin (`superiority`). Challenger and champion that lose alike on every row are the same model
    as far as these rows can tell: the champion is kept.

    Args:
        rule: Metric, policy, margin and confidence.
        challenger: Loss per row, `(n_rows,)`.
        champion: The champion's on the same rows, or None where there is no champion.
        baseline: The trivial predictor's on the same rows.
        clusters: A label per row, `(n_rows,)`: rows of one label (a day, say) may be alike, and the
            interval allows for it. None: every row stands for itself.
    """
    groups = np.arange(len(challenger)) if clusters is None else clusters
    over_baseline = paired_interval(challenger - baseline, groups, rule.confidence)
    over_champion = (
        None if champion is None else paired_interval(challenger - champion, groups, rule.confidence)
    )
    reasons = [_beats_baseline(over_baseline, rule)]
    if champion is not None:
        reasons.append(
            _against_champion(over_champion, rule, bool(np.array_equal(challenger, champion)))
        )
    return Comparison(
        promote=all(passed for passed, _ in reasons),
        reasons=tuple(reason for _, reason in reasons),
        metric=rule.metric,
        policy=rule.policy,
        margin=rule.margin,
        rows=len(challenger),
        clusters=len(np.unique(groups)),
        challenger_loss=float(challenger.mean()),
        champion_loss=None if champion is None else float(champion.mean()),
        baseline_loss=float(baseline.mean()),
        over_champion=over_champion,
        over_baseline=over_baseline,
    )


def never_over_newer(
    comparison: Comparison, as_of: datetime, champion_as_of: datetime | None
) -> Comparison:
    """Refuse a promotion over a champion that was trained on newer data, as a backfill would."""
    if champion_as_of is None or champion_as_of <= as_of:
        return comparison
    reason = (
        f"kept: the champion was trained as of {champion_as_of:%Y-%m-%d %H:%M}, after this run's as-of "
        f"{as_of:%Y-%m-%d %H:%M}; a backfill never replaces newer data"
    )
    return replace(comparison, promote=False, reasons=(*comparison.reasons, reason))


def paired_interval(differences: np.ndarray, clusters: np.ndarray, confidence: float) -> Interval | None:
    """Return the mean of paired differences with its two-sided, cluster-robust t interval.

    With G clusters and residuals e = d - mean(d), the variance of the mean over n rows is
    G/(G-1) * sum over clusters of (sum of e)^2 / n^2, with G-1 degrees of freedom (Liang and Zeger
    1986, for an intercept alone); with a cluster per row it is the paired t-test's. Below two
    clusters nothing can be said: None.

    Args:
        differences: `(n_rows,)`.
        clusters: A label per row, `(n_rows,)`.
        confidence: Such as 0.95.

    >>> str(paired_interval(np.array([1.0, 2.0, 3.0]), np.arange(3), 0.95))
    '+2 (95% interval -0.4841 to +4.484)'
    """
    mean = float(differences.mean())
    _, codes = np.unique(clusters, return_inverse=True)
    count = int(codes.max()) + 1
    if count < 2:
        return None
    sums = np.bincount(codes, weights=differences - mean, minlength=count)
    error = float(np.sqrt(count / (count - 1) * (sums**2).sum()) / len(differences))
    reach = float(stats.t.ppf((1 + confidence) / 2, count - 1)) * error
    return Interval(mean, mean - reach, mean + reach, confidence)


def _beats_baseline(over: Interval | None, rule: Gate) -> tuple[bool, str]:
    words = f"{rule.metric} {_in_words(over)}"
    if over is not None and over.high < 0:
        return True, f"beats the baseline: {words}"
    return False, f"kept: no proof that the challenger beats the baseline: {words}"


def _against_champion(over: Interval | None, rule: Gate, identical: bool) -> tuple[bool, str]:
    if identical:
        return False, "kept: challenger and champion lose alike on every row"
    limit = 0.0 - rule.margin if rule.policy == "superiority" else rule.margin
    words = (
        f"{rule.metric} against the champion {_in_words(over)}, "
        f"{rule.policy} needs all of it below {limit:+.4g}"
    )
    proven = over is not None and over.high < limit
    return (True, f"proven: {words}") if proven else (False, f"kept: {words}")


def _in_words(interval: Interval | None) -> str:
    return "cannot be judged: all test rows fall into one cluster" if interval is None else str(interval)
