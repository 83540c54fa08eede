"""How much windows of the baseline differ by themselves, beyond what the number of their rows explains.

Weekdays and days that resemble the day before make windows differ although nothing happened. How much is
read from blocks of consecutive days of the baseline, each as long as a check's window: the distance of
their shares from the whole baseline's, over what sampling alone would give, is one figure M a column.
Few blocks tell little of it, so no figure is taken for the truth: every ratio r of natural variation to
sampling (at a block's rows) in `RATIOS` is weighed by how well it explains M. What all columns of a
model show together is where that weighing begins (`pooled`), so that twenty steady columns vouch for
one another and a common rhythm is seen although each column shows it dimly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import gammaln

RATIOS = np.concatenate([[0.0], 2.0 ** np.arange(-5, 20.5, 0.5)])
_FALLING = 1 / np.sqrt(1 + RATIOS[1:])
BEFORE = np.concatenate([[0.5], 0.5 * _FALLING / _FALLING.sum()])
"""How likely each of `RATIOS` is where nothing is known: half for none; the larger, the less."""
_WORTH = 0.5
_STEADY = 0.1
_WEEK = 7
_FEWEST_BLOCKS = 3
_ROUNDS = 60


@dataclass(frozen=True, slots=True, eq=False)
class Natural:
    """Natural variation of the shares of the cells that the baseline filled.

    Attributes:
        shape: `(k, rank)`; at ratio r shares differ by nature with covariance `r * shape @ shape.T`.
        log_likelihood: `(len(RATIOS),)`: how well each ratio explains the blocks, 0 for the best.
    """

    shape: np.ndarray
    log_likelihood: np.ndarray

    def weights(self, before: np.ndarray = BEFORE) -> np.ndarray:
        """Return how likely each of `RATIOS` is, now that the blocks were seen; they sum to 1."""
        return _after(before, self.log_likelihood)


def pooled(columns: Sequence[Natural]) -> np.ndarray:
    """Return how likely each of `RATIOS` is for a column before it is seen itself, `(columns, ratios)`.

    What the other columns show: what they add to the nonparametric maximum-likelihood mixture, found by
    expectation-maximisation with `BEFORE` worth half a column (Kiefer and Wolfowitz, Ann. Math. Statist.
    27 (1956); Laird, JASA 73 (1978)). Beside them stand as many steady ones as a tenth of them, as a
    mixture takes some of what is noise for variation. A lone column is left with `BEFORE`.
    """
    seen = np.array([column.log_likelihood for column in columns]).reshape(-1, len(RATIOS))
    each = np.broadcast_to(BEFORE, seen.shape)
    beside = _WORTH * BEFORE + _STEADY * max(len(seen) - 1, 0) * (RATIOS == 0)
    for _ in range(_ROUNDS):
        each = _after(each.sum(axis=0) + beside, seen)
    others = each.sum(axis=0) - each + beside
    found: np.ndarray = others / others.sum(axis=1, keepdims=True)
    return found


def _after(before: np.ndarray, log_likelihood: np.ndarray) -> np.ndarray:
    """Return Bayes' weights, `(..., n_ratios)`, from logarithms: days may be unlikely in every way."""
    with np.errstate(divide="ignore"):
        logs = np.log(before) + log_likelihood
    weights = np.exp(logs - logs.max(axis=-1, keepdims=True))
    found: np.ndarray = weights / weights.sum(axis=-1, keepdims=True)
    return found


def natural_of(day_counts: np.ndarray, root: np.ndarray, window_days: int) -> Natural:
    """Return the natural variation of windows of so many days.

    Args:
        day_counts: `(days, k)` of the cells that the baseline filled, in the order of days.
        root: `(k, k)`, the distance's quadratic form is `|root @ (q - p)|^2`.
        window_days: How long a window is.
    """
    rows = day_counts.sum()
    shares = day_counts.sum(axis=0) / rows
    noise = root @ (np.diag(shares) - np.outer(shares, shares)) @ root.T
    blocks, length = _blocks(day_counts, window_days)
    sizes = blocks.sum(axis=1)
    used = sizes > 0
    if used.sum() < _FEWEST_BLOCKS or np.trace(noise) <= 0:
        return Natural(np.zeros((len(shares), 1)), np.where(RATIOS == 0, 0.0, -np.inf))
    sizes = sizes[used]
    apart = (blocks[used] / sizes[:, None] - shares) @ root.T * np.sqrt(sizes)[:, None]
    inside = 1 - sizes / rows
    found = apart.T @ apart / len(sizes) - noise * inside.mean()
    spread = np.trace(noise) / sizes.mean()
    excess = np.trace(found) / (np.trace(noise) * inside.mean())
    values, directions = _leading(found)
    shape = np.linalg.solve(root, directions * np.sqrt(values)) * np.sqrt(spread)
    effective = len(day_counts) / length
    rare = _rare(shares, noise, root) / sizes.mean()
    explains = _explains(1 + excess, noise, values, directions, effective, rare)
    return Natural(shape * _ahead(length, window_days, effective), explains)


def _blocks(day_counts: np.ndarray, window_days: int) -> tuple[np.ndarray, int]:
    """Return the counts of all blocks of consecutive days, and their length.

    Where the baseline holds fewer than three windows, blocks are shorter, of whole weeks if possible.
    """
    days = len(day_counts)
    length = max(1, min(window_days, days // _FEWEST_BLOCKS))
    if length > _WEEK:
        length -= length % _WEEK
    summed = np.concatenate([np.zeros((1, day_counts.shape[1])), np.cumsum(day_counts, axis=0)])
    return summed[length:] - summed[:-length], length


def _ahead(length: int, window_days: int, effective: float) -> float:
    """Return by what to multiply a block's natural deviation to have a later window's.

    A longer window varies less, halfway between not at all and as if days were independent; and the
    baseline's own mean is off by nature, too.
    """
    longer = (length / max(window_days, length)) ** 0.5
    return float(np.sqrt(longer * (1 + _carried(effective))))


def _carried(effective: float) -> float:
    """Return the natural variance of the baseline's mean over that of a block's."""
    return min(0.5, 1.5 / effective)


def _leading(found: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the leading directions that add up to the trace, as shares of it and columns."""
    values, vectors = np.linalg.eigh(found)
    values, vectors = np.maximum(values[::-1], 0), vectors[:, ::-1]
    wanted = max(float(np.trace(found)), values[0], 1e-300)
    taken = np.diff(np.minimum(np.cumsum(np.concatenate([[0.0], values])), wanted))
    kept = taken > 1e-3 * wanted
    kept[0] = True
    share = np.maximum(taken[kept], 1e-300)
    return share / share.sum(), vectors[:, kept]


def _rare(shares: np.ndarray, noise: np.ndarray, root: np.ndarray) -> float:
    """Return what rare cells add to the variance of a block's distance over its mean, times its rows."""
    each = np.sum(root**2, axis=0) * shares
    return float(np.sum(each**2 / shares) / np.trace(noise) ** 2)


def _explains(
    seen: float,
    noise: np.ndarray,
    values: np.ndarray,
    directions: np.ndarray,
    effective: float,
    rare: float,
) -> np.ndarray:
    """Return the log of how well each of `RATIOS` explains the blocks' distance over that of sampling.

    Their mean is taken for a gamma variable. Overlapping blocks are worth 1.5 times as many apart.
    """
    whole = np.trace(noise)
    alone = np.sum(noise**2) / whole**2
    along = np.sum(directions * (noise @ directions), axis=0) @ values / whole
    blocks, natural_blocks = 1.5 * effective, max(effective - 1, 0.5)
    ratios = RATIOS * (1 - _carried(effective))
    mean = 1 + ratios
    variance = (
        (2 * alone + rare) / blocks
        + 4 * ratios * along / blocks
        + 2 * ratios**2 * np.sum(values**2) / natural_blocks
    )
    form = mean**2 / variance
    # Blocks more alike than chance makes them speak for no natural variation, and not for any of it.
    at = max(seen, 1 - np.sqrt(variance[0]), 0.1)
    logs = form * np.log(form / mean) + (form - 1) * np.log(at) - form * at / mean - gammaln(form)
    found: np.ndarray = logs - logs.max()
    return found
