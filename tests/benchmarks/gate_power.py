"""What the gate sees, beside the classical tests: `python -m tests.benchmarks.gate_power`.

A gate that never promotes would never be wrong. Here the challenger is better, and the question is how
often superiority (margin 0, 95%, `cluster: row`) proves it on independent rows, beside the test that a
statistician would choose for the metric, at the same level on the same rows: McNemar's for accuracy
(statsmodels, asymptotic without continuity correction, and exact), DeLong's for the area under the ROC
curve (written out here pair by pair), the paired t-test for log-loss (scipy). The champion reads the
same scores through more noise; both models are calibrated.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from scipy import stats

from evergreen.evidence.judged_rows import JudgedRows
from evergreen.evidence.paired import difference
from evergreen.gate_spec import Gate
from tests.benchmarks.trials import (
    BLUE,
    GREY,
    ORANGE,
    World,
    binary,
    canvas,
    compared,
    generator,
    in_processes,
    percent,
    portions,
    run,
    save,
    table,
    verdict,
)

METRICS = ("accuracy", "roc_auc", "log_loss")
TESTS = {"accuracy": "McNemar", "roc_auc": "DeLong", "log_loss": "paired t"}
ROWS = 2_000
NOISE = (0.0, 0.05, 0.1, 0.15, 0.2, 0.3)
SIZED_NOISE = (0.1, 0.2, 0.3)
WORLD = World(shared=0.7, own=0.2)
LEVEL = 0.95
POWER = 0.8
WITHIN = 0.02
KNOWN_ROWS = 1_000_000


@dataclass(frozen=True, slots=True)
class Part:
    """Some trials of one cell."""

    metric: str
    noise: float
    rows: int
    number: int
    trials: int


@dataclass(frozen=True, slots=True)
class Power:
    """How often each test proves a true difference; `exact` is McNemar's exact test."""

    metric: str
    noise: float
    rows: int
    truth: float
    gate: float
    classical: float
    exact: float | None


def measure(trials: int) -> tuple[list[Power], list[Power]]:
    """Return the power at the same number of rows, and at the number that should give 80%."""
    pairs = [(metric, noise) for metric in METRICS for noise in NOISE if noise]
    truths = dict(zip(pairs, in_processes(truth, pairs), strict=True))
    curves = [(metric, noise, ROWS) for metric in METRICS for noise in NOISE]
    sized = [
        (metric, noise, rows_needed(*truths[metric, noise]))
        for metric in METRICS
        for noise in SIZED_NOISE
    ]
    cells = [*curves, *sized]
    parts = [Part(*cell, *portion) for cell in cells for portion in portions(trials)]
    counts = dict.fromkeys(cells, np.zeros(3))
    for part, found in zip(parts, in_processes(count, parts), strict=True):
        cell = (part.metric, part.noise, part.rows)
        counts[cell] = counts[cell] + found
    found = [
        Power(
            metric,
            noise,
            rows,
            truths[metric, noise][0] if noise else 0.0,
            *(counts[metric, noise, rows][:2] / trials),
            counts[metric, noise, rows][2] / trials if metric == "accuracy" else None,
        )
        for metric, noise, rows in cells
    ]
    return found[: len(curves)], found[len(curves) :]


def truth(pair: tuple[str, float]) -> tuple[float, float]:
    """Return how much better the challenger is, and the spread of one row, on very many rows."""
    metric, noise = pair
    rule = Gate.model_validate({"metric": metric, "cluster": "row"})
    rows, challenger, champion = binary(
        generator("truth", noise), _world(noise), np.arange(KNOWN_ROWS), "row"
    )
    over = difference(rule.metric, rows, challenger, champion, confidence=LEVEL, min_clusters=10)
    assert over.interval is not None
    assert over.error is not None
    return abs(over.interval.estimate), over.error * np.sqrt(KNOWN_ROWS)


def rows_needed(difference: float, spread: float) -> int:
    """Return how many rows show a difference in 4 of 5 tests, by the normal law."""
    tails = stats.norm.ppf((1 + LEVEL) / 2) + stats.norm.ppf(POWER)
    return int(np.ceil((tails * spread / difference) ** 2))


def count(part: Part) -> np.ndarray:
    """Return how often the gate, the classical test and the exact one found the challenger better."""
    rng, world = generator("power", part), _world(part.noise)
    rule = Gate.model_validate({"metric": part.metric, "policy": "superiority", "cluster": "row"})
    found = np.zeros(3)
    for _ in range(part.trials):
        rows, challenger, champion = binary(rng, world, np.arange(part.rows), "row")
        seen = compared(rule, rows, challenger, champion, world.prevalence)
        test = {"accuracy": mcnemar, "roc_auc": delong, "log_loss": paired_t}[part.metric]
        found += [seen.promote, *test(rows, challenger, champion)]
    return found


def mcnemar(rows: JudgedRows, first: np.ndarray, second: np.ndarray) -> tuple[bool, bool]:
    """Return whether the asymptotic and the exact test find the first model better."""
    from statsmodels.stats.contingency_tables import mcnemar as test

    right = [(model[:, 1] > 0.5) == (rows.codes == 1) for model in (first, second)]
    only_first = int((right[0] & ~right[1]).sum())
    only_second = int((right[1] & ~right[0]).sum())
    square = [[0, only_first], [only_second, 0]]
    ahead = only_first > only_second
    loose, exact = (partial(test, square), partial(test, square, exact=True))
    return (
        ahead and loose(exact=False, correction=False).pvalue < 1 - LEVEL,
        ahead and exact().pvalue < 1 - LEVEL,
    )


def delong(rows: JudgedRows, first: np.ndarray, second: np.ndarray) -> tuple[bool, bool]:
    """Return whether DeLong's test finds the first model better: all pairs, as the paper has it."""
    positive = rows.codes == 1
    wins = [
        (model[positive, 1][:, None] > model[~positive, 1]).astype(np.float32)
        for model in (first, second)
    ]
    of_positives = np.cov([each.mean(axis=1) for each in wins])
    of_negatives = np.cov([each.mean(axis=0) for each in wins])
    covariance = of_positives / positive.sum() + of_negatives / (~positive).sum()
    spread = np.sqrt(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])
    gain = float(wins[0].mean() - wins[1].mean())
    found = gain / spread > stats.norm.ppf((1 + LEVEL) / 2)
    return bool(found), bool(found)


def paired_t(rows: JudgedRows, first: np.ndarray, second: np.ndarray) -> tuple[bool, bool]:
    """Return whether scipy's paired t-test of log-loss finds the first model better."""
    each = np.arange(len(rows))
    losses = [-np.log(model[each, rows.codes]) for model in (first, second)]
    test = stats.ttest_rel(*losses)
    found = bool(test.statistic < 0 and test.pvalue < 1 - LEVEL)
    return found, found


def markdown(figures: tuple[list[Power], list[Power]]) -> str:
    """Return the figures as Markdown."""
    curves, sized = figures
    apart = max([*curves, *sized], key=lambda one: abs(one.gate - one.classical))
    farthest = max(abs(one.gate - POWER) for one in sized)
    return "\n\n".join(
        [
            f"Proven better, on {ROWS:,} rows:",
            table(
                ["metric", "true difference", "gate", "classical test", "McNemar, exact"],
                [
                    [
                        one.metric,
                        f"{one.truth:.4f}",
                        percent(one.gate),
                        f"{percent(one.classical)} ({TESTS[one.metric]})",
                        "" if one.exact is None else percent(one.exact),
                    ]
                    for one in curves
                ],
            ),
            "Rows that show a difference in 4 of 5 tests, by formula, and what is proven on so many:",
            table(
                ["metric", "true difference", "test rows", "gate", "classical test"],
                [
                    [
                        one.metric,
                        f"{one.truth:.4f}",
                        f"{one.rows:,}",
                        percent(one.gate),
                        percent(one.classical),
                    ]
                    for one in sized
                ],
            ),
            verdict(
                abs(apart.gate - apart.classical) <= WITHIN,
                "the gate's power is within 2 points of the classical test's; the largest difference is "
                f"{100 * (apart.gate - apart.classical):+.1f} points ({apart.metric}, {apart.rows:,} "
                f"rows, difference {apart.truth:.4f}).",
            ),
            verdict(
                farthest <= 0.03,
                f"the rows named give 80% power, within 3 points (farthest: {100 * farthest:.1f}).",
            ),
        ]
    )


def _world(noise: float) -> World:
    return World(shared=WORLD.shared, own=WORLD.own, worse=noise)


def draw(figures: tuple[list[Power], list[Power]], path: Path) -> None:
    """Draw power against the true difference."""
    figure, rows = canvas(height=3.2, ncols=3, sharey=True)
    for axes, metric in zip(rows, METRICS, strict=True):
        cells = [one for one in figures[0] if one.metric == metric]
        truths = [one.truth for one in cells]
        axes.plot(
            truths,
            [100 * one.classical for one in cells],
            color=ORANGE,
            marker="s",
            markersize=8,
            linewidth=4,
            alpha=0.7,
            label="classical test",
        )
        axes.plot(
            truths,
            [100 * one.gate for one in cells],
            color=BLUE,
            marker="o",
            markersize=4,
            label="the gate",
        )
        axes.axhline(100 * POWER, color=GREY, linestyle="--", linewidth=1)
        axes.set_title(f"{metric}: {TESTS[metric]}", fontsize=10)
        axes.set_xlabel("how much better it truly is")
        axes.set_xlim(left=0)
    rows[0].set_ylabel("proven better, %")
    rows[0].set_ylim(0, 103)
    rows[0].legend(loc="lower right")
    figure.suptitle(f"Power on {ROWS:,} independent rows", x=0.01, ha="left")
    save(figure, path)


if __name__ == "__main__":
    run(measure, markdown, draw, __doc__, 2_000)
