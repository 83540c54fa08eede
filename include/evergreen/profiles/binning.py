"""Numbers into bins: the inner loop of all counting.

Each value is compared with every edge, a megabyte of values at a time. These passes have no branches
and run at the speed of the cache, which no search per value reaches. Exact: nothing is rounded.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

CHUNK = 131_072
"""Values a pass: with fewer, two threads wait for each other; with more, the cache is left."""

Bound = tuple[np.ufunc, float]


def bounds_of(edges: tuple[float, ...]) -> tuple[Bound, ...]:
    """Return what a value must reach to be in the second cell or beyond, the third, and so on.

    The cells are missing, -inf, below, the bins, above and +inf; without edges there are no bins, and
    every finite value is "above".
    """
    ends = [(np.greater, edges[-1] if edges else -np.inf), (np.greater_equal, np.inf)]
    starts = [(np.greater_equal, edge) for edge in edges[:-1]]
    return ((np.greater_equal, -np.inf), (np.greater, -np.inf), *starts, *ends)


def bin_counts(values: np.ndarray, bounds: tuple[Bound, ...]) -> np.ndarray:
    """Return how many of the values `(n_rows,)`, missing ones as NaN, lie in each cell.

    >>> values = np.array([0.0, 1.0, 2.0, 2.5, np.nan, -np.inf])
    >>> bin_counts(values, bounds_of((0.0, 1.0, 2.0)))
    array([1, 1, 0, 1, 2, 1, 0])
    """
    reached = np.zeros(len(bounds) + 2, dtype=np.int64)
    reached[0] = len(values)
    flags = np.empty(min(len(values), CHUNK), dtype=bool)
    for start in range(0, len(values), CHUNK):
        chunk = values[start : start + CHUNK]
        reached[1:-1] += _reached(chunk, bounds, flags[: len(chunk)])
    return np.array([here - beyond for here, beyond in pairwise(reached)])


def bin_places(values: np.ndarray, bounds: tuple[Bound, ...]) -> np.ndarray:
    """Return the cell of each value, `(n_rows,)`.

    >>> values = np.array([0.0, 1.0, 2.0, 2.5, np.nan, -np.inf])
    >>> bin_places(values, bounds_of((0.0, 1.0, 2.0)))
    array([3, 4, 4, 5, 0, 1])
    """
    places = np.empty(len(values), dtype=np.int64)
    flags = np.empty(min(len(values), CHUNK), dtype=bool)
    for start in range(0, len(values), CHUNK):
        chunk = values[start : start + CHUNK]
        into, reached = flags[: len(chunk)], np.zeros(len(chunk), dtype=np.uint16)
        for compare, bound in bounds:
            reached += compare(chunk, bound, out=into)
        places[start : start + CHUNK] = reached
    return places


def _reached(chunk: np.ndarray, bounds: tuple[Bound, ...], flags: np.ndarray) -> list[int]:
    """Return how many values reach each bound; below the first that all reach, none is looked at."""
    *others, (_, _) = bounds
    counts = [len(chunk)] * len(bounds)
    for place in range(len(others) - 1, -1, -1):
        compare, bound = bounds[place]
        counts[place] = int(np.count_nonzero(compare(chunk, bound, out=flags)))
        if counts[place] == len(chunk):
            break
    counts[-1] = int(np.count_nonzero(chunk == np.inf)) if counts[-2] else 0
    return counts
