"""Measures all that the gate judges by: every figure of a comparison comes from here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from evergreen.comparison import CheckName, Evidence
from evergreen.evidence.calibration import calibration
from evergreen.evidence.enough import too_few_clusters, unit
from evergreen.evidence.fairness import gaps
from evergreen.evidence.judged_rows import JudgedRows
from evergreen.evidence.losses import need_readable
from evergreen.evidence.paired import difference, relative_margin
from evergreen.evidence.slices import judged_slices
from evergreen.gate_spec import Gate

if TYPE_CHECKING:
    import pyarrow as pa


def gather(
    rule: Gate,
    rows: JudgedRows,
    columns: Mapping[str, pa.ChunkedArray],
    challenger: np.ndarray,
    champion: np.ndarray | None,
    baseline: np.ndarray,
    last_period: np.ndarray | None,
) -> Evidence:
    """Measure challenger, champion and trivial predictors on the same rows.

    Args:
        rule: Metric, confidence, clusters, slices and what else is declared.
        rows: The rows that are judged on.
        columns: The rows' columns that slices and fairness name, as far as the data has them.
        challenger: Predictions, `(n_rows, n_classes)` in the order of `rows.classes`, or `(n_rows,)`.
        champion: The champion's on the same rows, or None where there is none to compare with.
        baseline: The trivial predictor's.
        last_period: The trivial predictor's of the last period only, or None.

    Raises:
        DataUnusable: predictions that the metric cannot read, with the model's name, and labels.
    """
    need_readable(rule.metric, rows, challenger, "the challenger")
    if champion is not None:
        need_readable(rule.metric, rows, champion, "the champion")
    between = partial(
        difference, rule.metric, rows, confidence=rule.confidence, min_clusters=rule.min_clusters
    )
    slices, problems = judged_slices(rule, rows, columns, challenger, champion)
    named: list[tuple[CheckName, str]] = [("slices", problem) for problem in problems]
    calibrated = partial(calibration, rows, confidence=rule.confidence, min_clusters=rule.min_clusters)
    too_few = too_few_clusters(rows, rule.min_clusters) if rows.classes else None
    if too_few is not None:
        units = unit(rows, many=True)
        named.append(("calibration", f"there are too few {units} to judge calibration: {too_few}"))
    return Evidence(
        rows=len(rows),
        clusters=int(rows.clusters.max()) + 1,
        clustered_by=rows.clustered_by,
        over_baseline=between(challenger, baseline),
        over_last_period=None if last_period is None else between(challenger, last_period),
        over_champion=None
        if champion is None
        else between(challenger, champion, relative=relative_margin(rule, rule.margin, rule.policy)),
        champion_over_baseline=None if champion is None else between(champion, baseline),
        slices=slices,
        gaps=() if rule.fairness is None else gaps(rule, rows, columns, challenger, champion),
        calibration=calibrated(challenger),
        champion_calibration=None if champion is None else calibrated(champion),
        problems=tuple(named),
    )


def aligned(predictions: np.ndarray, known: Sequence[str], classes: Sequence[str]) -> np.ndarray:
    """Return probabilities `(n_rows, n_classes)` in the order of `classes`; unknown ones are 0.

    Args:
        predictions: `(n_rows, n_known)`, or values `(n_rows,)` of a regression, which stay as they are.
        known: The model's own classes, a part of `classes`; empty for regression.
        classes: Every class that one of the models knows.
    """
    if not classes or tuple(known) == tuple(classes):
        return predictions
    wider = np.zeros((len(predictions), len(classes)))
    wider[:, [list(classes).index(name) for name in known]] = predictions
    return wider


def constant(answer: Sequence[float], known: Sequence[str], rows: JudgedRows) -> np.ndarray:
    """Return the predictions of a trivial predictor, the same for each row."""
    if not rows.classes:
        return np.full(len(rows), answer[0], dtype=float)
    row = aligned(np.asarray(answer, dtype=float)[None, :], known, rows.classes)
    return np.broadcast_to(row, (len(rows), len(rows.classes)))
