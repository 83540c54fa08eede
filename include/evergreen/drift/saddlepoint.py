"""Tails of a quadratic form of normal variables, far out, without drawing.

`T = sum(lambda_i Z_i^2)` has the cumulant generating function `K(s) = -sum(log(1 - 2 s lambda_i)) / 2`.
Each s gives a value `t = K'(s)` and the chance of more than that, by Lugannani and Rice's formula:
`1 - Phi(w) + phi(w) (1/u - 1/w)`, `w = sqrt(2 (s t - K(s)))`, `u = s sqrt(K''(s))`.

Source: Lugannani and Rice, Adv. Appl. Probab. 12 (1980); Kuonen, "Saddlepoint approximations for
distributions of quadratic forms in normal variables", Biometrika 86 (1999).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.interpolate import CubicHermiteSpline
from scipy.special import log_ndtr

_REACH = 1 - 2.0 ** -np.concatenate([np.linspace(0.02, 1, 12), np.linspace(1.15, 9, 30)])

_NEAR = 0.1


@dataclass(frozen=True, slots=True, eq=False)
class Generating:
    """`K`, `K'` and `K''` at points `s`, each `(..., n_points)`."""

    s: np.ndarray
    value: np.ndarray
    first: np.ndarray
    second: np.ndarray

    def plus(self, other: Generating) -> Generating:
        """Return those of the sum of two independent variables, at the same points."""
        return Generating(
            self.s,
            self.value + other.value,
            self.first + other.first,
            self.second + other.second,
        )

    def tail(self) -> tuple[np.ndarray, np.ndarray]:
        """Return values `t` and the logarithm of the chance of more, both `(..., n_points)`."""
        w = np.sqrt(np.maximum(2 * (self.s * self.first - self.value), 1e-12))
        u = self.s * np.sqrt(np.maximum(self.second, 1e-300))
        # phi(w) over 1 - Phi(w), from logarithms: both vanish far out.
        hazard = np.exp(-0.5 * w**2 - 0.5 * np.log(2 * np.pi) - log_ndtr(-w))
        # Near the mean both terms are huge and cancel; what is left of them is not worth it.
        more = np.where(w > _NEAR, hazard * (1 / u - 1 / w), 0.0)
        chance = log_ndtr(-w) + np.log(np.maximum(1 + more, 1e-12))
        return self.first, np.maximum.accumulate(chance[..., ::-1], axis=-1)[..., ::-1]

    def at(self, s: np.ndarray) -> Generating:
        """Return the same function at other points between the first and the last, whatever the shape.

        Between points `K'` is the cubic through its values and slopes, so that all three fit together.
        """
        first = CubicHermiteSpline(self.s, self.first, self.second)
        value = self.value[0] + first.antiderivative()(s)
        return Generating(s, value, first(s), first.derivative()(s))


def points(eigenvalues: np.ndarray) -> np.ndarray:
    """Return the points at which a form's tail is worked out, shape `(..., n_points)`."""
    found: np.ndarray = _REACH / (2 * eigenvalues.max(axis=-1, keepdims=True))
    return found


def quadratic(eigenvalues: np.ndarray, s: np.ndarray) -> Generating:
    """Return the function of the form with these eigenvalues, `(..., k)`, at points `(..., n_points)`.

    >>> chi2 = quadratic(np.array([1.0]), np.array([0.3]))
    >>> t, log_chance = chi2.tail()
    >>> print(t.round(2), np.exp(log_chance).round(3))  # exactly: 0.114
    [2.5] [0.113]
    """
    lam = eigenvalues[..., None, :]
    left = 1 - 2 * s[..., None] * lam
    return Generating(
        s,
        -0.5 * np.log(left).sum(axis=-1),
        (lam / left).sum(axis=-1),
        (2 * (lam / left) ** 2).sum(axis=-1),
    )


def linear(variance: float, eigenvalue: float, s: np.ndarray) -> Generating:
    """Return what a linear part adds to a form whose eigenvalues are all alike.

    `variance` is that of the linear part: `K(s) = variance s^2 / (2 (1 - 2 s eigenvalue))`.
    """
    left = 1 - 2 * eigenvalue * s
    return Generating(
        s,
        0.5 * variance * s**2 / left,
        variance * s * (1 - eigenvalue * s) / left**2,
        variance / left**3,
    )
