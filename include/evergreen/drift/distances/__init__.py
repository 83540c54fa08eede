"""Distances between two profiles of a column, from counts alone: one file each, one row in `DISTANCES`.

Every distance takes the baseline's shares `p`, shape `(k,)`, a window's shares `q`, shape `(..., k)`, so
that many windows are measured at once, and the cells' `positions`, shape `(k,)`, which only distances
that know how far apart cells lie look at. It returns `(...)`: 0 where the shares agree, never negative.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from evergreen.drift.distances import (
    anderson_darling,
    chi_square,
    hellinger,
    jensen_shannon,
    kolmogorov_smirnov,
    l_infinity,
    lepage,
    psi,
    wasserstein,
)
from evergreen.monitor_spec import DistanceName


@dataclass(frozen=True, slots=True)
class Distance:
    """A distance and what is known of it.

    Attributes:
        title: What people call it.
        measure: The distance itself.
        ordered: Whether it means something only where cells lie on a line.
        degree: How it grows near 0 with the differences of shares: 1 as they do, 2 as their square.
        curvature: Near 0 the distance (its square where `degree` is 1) is the quadratic form of this
            matrix; None where it is no smooth function of the shares.
        terms: What each cell adds to the distance (to its square where `degree` is 1); only where that
            grows no faster than the cell's rows, so that few rows in rare cells can be reckoned exactly.
    """

    title: str
    measure: Callable[[np.ndarray, np.ndarray, np.ndarray | None], np.ndarray]
    ordered: bool = False
    degree: int = 2
    curvature: Callable[[np.ndarray], np.ndarray] | None = None
    terms: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None


DISTANCES: Mapping[DistanceName, Distance] = {
    "anderson_darling": Distance(
        "Anderson-Darling", anderson_darling.distance, ordered=True, curvature=anderson_darling.curvature
    ),
    "chi_square": Distance("chi-square", chi_square.distance, curvature=chi_square.curvature),
    "hellinger": Distance("Hellinger", hellinger.distance, degree=1, curvature=hellinger.curvature),
    "jensen_shannon": Distance(
        "Jensen-Shannon",
        jensen_shannon.distance,
        degree=1,
        curvature=jensen_shannon.curvature,
        terms=jensen_shannon.terms,
    ),
    "kolmogorov_smirnov": Distance(
        "Kolmogorov-Smirnov", kolmogorov_smirnov.distance, ordered=True, degree=1
    ),
    "l_infinity": Distance("largest difference", l_infinity.distance, degree=1),
    "lepage": Distance("Lepage", lepage.distance, ordered=True, curvature=lepage.curvature),
    "psi": Distance("PSI", psi.distance, curvature=psi.curvature),
    "wasserstein": Distance("Wasserstein", wasserstein.distance, ordered=True, degree=1),
}
