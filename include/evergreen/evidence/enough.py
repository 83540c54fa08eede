"""Whether rows fall into enough clusters for anything to be proven on them, and why not."""

from __future__ import annotations

from math import floor

import numpy as np

from evergreen.evidence.intervals import cluster_weights, effective_number
from evergreen.evidence.judged_rows import JudgedRows


def too_few_clusters(rows: JudgedRows, min_clusters: int) -> str | None:
    """Return why nothing can be proven on these rows, or None where their clusters are enough.

    Clusters count by their `effective_number`: one that holds most of the weight decides alone.

    Args:
        rows: At least one.
        min_clusters: Fewest clusters anything is proven on.
    """
    clusters, alone = clusters_with_rows(rows), rows.clustered_by == "row"
    needed = f"at least {min_clusters} are needed: lengthen data.test_window"
    if not alone:
        needed += ", or state gate.cluster"
    if clusters < min_clusters:
        if clusters == 1 and not alone:
            return f"all test rows fall into one {unit(rows)}, {needed}"
        return f"only {clusters} {unit(rows, many=True)}, {needed}"
    weights = cluster_weights(None if alone else rows.clusters, len(rows), rows.weights)
    effective = effective_number(weights)
    if effective >= min_clusters:
        return None
    worth = f"{floor(10 * effective) / 10:g}"
    if alone:
        return (
            f"the weights are so uneven that {clusters} rows count as {worth} of equal weight, {needed}"
        )
    return (
        f"the rows fall so unevenly into {clusters} {unit(rows, many=True)} that they count as {worth} "
        f"of equal size, {needed}"
    )


def clusters_with_rows(rows: JudgedRows) -> int:
    """Return how many clusters have a row."""
    if rows.clustered_by == "row" or not len(rows):
        return len(rows)
    return int(np.count_nonzero(np.bincount(rows.clusters)))


def unit(rows: JudgedRows, many: bool = False) -> str:
    """Return what a cluster is, in words.

    >>> unit(JudgedRows(np.zeros(2), (), np.arange(2), "customer"), many=True)
    'values of customer'
    """
    if rows.clustered_by in ("day", "row"):
        return f"{rows.clustered_by}s" if many else rows.clustered_by
    return f"{'values' if many else 'value'} of {rows.clustered_by}"
