"""How often a 95% interval holds the true difference: `python -m tests.benchmarks.gate_coverage`.

The challenger is truly another model than the champion, and how much it differs is known: from four
million rows, scored by the metric's own code. Then many test windows are drawn, and it is counted how
often the interval of each holds that difference. Windows are 1,000 independent rows, or 30 or 90 days of
50 rows that share a shock for each model (counted by day); *uneven* days have log-normal sizes, the
largest many times the smallest. One row in four belongs to a slice "rare" on which the challenger is
much worse; the slices are judged by `judged_slices`, as the gate does. *Skewed* has labels with
log-normal noise.

The second table is of what else has an interval: calibration error and slope of a model that is too sure
of itself, and the gap in the share decided for between two and four groups. Days share luck there, too.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from scipy import stats
from scipy.special import expit, logit

from evergreen.comparison import Interval
from evergreen.evidence import metrics
from evergreen.evidence.calibration import calibration
from evergreen.evidence.fairness import gaps
from evergreen.evidence.judged_rows import JudgedRows
from evergreen.evidence.paired import difference
from evergreen.evidence.slices import judged_slices
from evergreen.gate_spec import Gate
from tests.benchmarks.gate_clustered import SPREAD
from tests.benchmarks.trials import (
    BLUE,
    CLASSES,
    GREY,
    ORANGE,
    VERMILION,
    canvas,
    generator,
    in_processes,
    percent,
    portions,
    run,
    save,
    table,
    two_columns,
    verdict,
)

CLASSIFICATION: dict[str, object] = {
    "log_loss": "log_loss",
    "brier": "brier",
    "accuracy": "accuracy",
    "cost": {
        "type": "cost",
        "costs": [
            {"truth": "yes", "decided": "no", "cost": 5.0},
            {"truth": "no", "decided": "yes", "cost": 1.0},
        ],
    },
    "roc_auc": "roc_auc",
    "average_precision": "average_precision",
}
REGRESSION: dict[str, object] = {
    "squared_error": "squared_error",
    "squared_error, skewed": "squared_error",
    "absolute_error": "absolute_error",
    "quantile_loss": {"type": "quantile_loss", "quantile": 0.9},
    "poisson_loss": "poisson_loss",
}
METRICS = CLASSIFICATION | REGRESSION
ROWS_A_DAY = 50
WINDOWS = ("1,000 rows", "30 days", "90 days", "30 days, uneven")
LOW, HIGH = 0.935, 0.965
CONFIDENCE = 0.95
MOST_NAMED = 12
KNOWN_ROWS, KNOWN_PARTS = 500_000, 8
RARE = 0.25
PARTS = ("all", "common", "rare")
PREVALENCE, SIGNAL, SHARED, OWN, EXTRA, DAY = 0.3, 1.0, 0.5, 0.3, 0.2, 0.1
TRUE_SLOPE = 0.8
ALIKE = 0.05
RATES = {"gap, 2 groups": (0.5, 0.4), "gap, 4 groups": (0.5, 0.4, 0.45, 0.45)}
OTHERS = ("calibration error", "calibration slope", *RATES)


@dataclass(frozen=True, slots=True)
class Part:
    """Some trials of one cell."""

    metric: str
    window: str
    number: int
    trials: int


@dataclass(frozen=True, slots=True)
class Coverage:
    """How many intervals of a cell held the truth; `part` is a slice, or all rows."""

    metric: str
    window: str
    part: str
    held: int
    trials: int

    @property
    def share(self) -> float:
        """The share that held it."""
        return self.held / self.trials


def measure(trials: int) -> tuple[list[Coverage], list[Coverage]]:
    """Return the coverage of every difference, and of what else has an interval."""
    known = [(metric, days, part) for metric in METRICS for days in (False, True) for part in (0, 1)]
    halves = in_processes(truths, known)
    both = dict(
        zip([each[:2] for each in known[::2]], zip(halves[::2], halves[1::2], strict=True), strict=True)
    )
    truth = {key: np.mean(each, axis=0) for key, each in both.items()}
    cells = [(metric, window) for metric in METRICS for window in WINDOWS]
    parts = [
        Part(*cell, *portion)
        for cell in cells
        for portion in portions(resampled(trials) if cell[0] == "average_precision" else trials)
    ]
    counted = partial(count, truth)
    found = _summed(parts, in_processes(counted, parts))
    other = [
        Part(name, window, *portion)
        for name in OTHERS
        for window in WINDOWS[:3]
        for portion in portions(max(trials // 2, 1))
    ]
    return found, _summed(other, in_processes(count_other, other))


def resampled(trials: int) -> int:
    """Return how many trials of a metric that is resampled there is time for."""
    return max(2 * trials // 5, 1)


def _summed(parts: list[Part], counts: list[dict[str, int]]) -> list[Coverage]:
    held: dict[tuple[str, str, str], list[int]] = {}
    for part, found in zip(parts, counts, strict=True):
        for name, seen in found.items():
            cell = held.setdefault((part.metric, part.window, name), [0, 0])
            cell[0] += seen
            cell[1] += part.trials
    return [Coverage(*key, *cell) for key, cell in held.items()]


def drawn(
    metric: str, rng: np.random.Generator, clusters: np.ndarray, days: bool
) -> tuple[JudgedRows, list[np.ndarray], np.ndarray]:
    """Return rows, both models' predictions (the challenger's first), and which rows are rare."""
    n = len(clusters)
    rare = rng.random(n) < RARE
    noises = []
    for extra in (EXTRA, 0.0):
        noise = np.sqrt(OWN + extra * (1 + 2 * rare)) * rng.standard_normal(n)
        if days:
            noise += np.sqrt(DAY) * rng.standard_normal(int(clusters.max()) + 1)[clusters]
        noises.append(noise)
    if metric not in CLASSIFICATION:
        labels, models = _numbers(metric, rng, noises)
        return JudgedRows(labels, (), clusters, "day" if days else "row"), models, rare
    codes = (rng.random(n) < PREVALENCE).astype(np.int64)
    seen = SIGNAL * (2 * codes - 1) + np.sqrt(SHARED) * rng.standard_normal(n)
    slope = 2 * SIGNAL / (SHARED + OWN + DAY)
    models = [two_columns(expit(logit(PREVALENCE) + slope * (seen + noise))) for noise in noises]
    labels = np.asarray(CLASSES)[codes]
    return JudgedRows(labels, CLASSES, clusters, "day" if days else "row", codes=codes), models, rare


def _numbers(
    metric: str, rng: np.random.Generator, noises: list[np.ndarray]
) -> tuple[np.ndarray, list[np.ndarray]]:
    n = len(noises[0])
    mean = rng.standard_normal(n)
    if metric == "poisson_loss":
        labels = rng.poisson(np.exp(mean / 2)).astype(float)
        return labels, [np.exp(mean / 2 + noise / 4) for noise in noises]
    if metric == "squared_error, skewed":
        return mean + rng.lognormal(size=n) - np.exp(0.5), [mean + noise for noise in noises]
    above = stats.norm.ppf(0.9) if metric == "quantile_loss" else 0.0
    return mean + rng.standard_normal(n), [mean + above + noise for noise in noises]


def truths(known: tuple[str, bool, int]) -> np.ndarray:
    """Return the true differences of all rows and of both slices, from half of the known rows."""
    name, days, half = known
    metric = Gate.model_validate({"metric": METRICS[name]}).metric
    found = []
    for number in range(KNOWN_PARTS // 2):
        rng = generator("coverage", name, days, half, number)
        # Each row is a day of its own: what many days come to.
        rows, models, rare = drawn(name, rng, np.arange(KNOWN_ROWS), days)
        chosen = (np.ones(KNOWN_ROWS, dtype=bool), ~rare, rare)
        found.append(
            [
                metrics.value(metric, rows.only(each), models[0][each])
                - metrics.value(metric, rows.only(each), models[1][each])
                for each in chosen
            ]
        )
    return np.mean(found, axis=0)


def windows_clusters(window: str) -> tuple[np.ndarray, bool]:
    """Return the clusters of a window's rows, and whether they are days."""
    if window == WINDOWS[0]:
        return np.arange(1_000), False
    days = int(window.split()[0])
    sizes = np.full(days, ROWS_A_DAY)
    if window.endswith("uneven"):
        law = generator("coverage sizes").lognormal(np.log(ROWS_A_DAY) - SPREAD**2 / 2, SPREAD, days)
        sizes = np.maximum(law.round().astype(int), 1)
    return np.repeat(np.arange(days), sizes), True


def count(truth: dict[tuple[str, bool], np.ndarray], part: Part) -> dict[str, int]:
    """Return how many intervals held the truth: of all rows, and of each slice."""
    import pyarrow as pa

    clusters, days = windows_clusters(part.window)
    rng = generator("coverage", part)
    by = "day" if days else "row"
    rule = Gate.model_validate(
        {
            "metric": METRICS[part.metric],
            "cluster": by,
            "slices": ["kind"],
            "slice_rule": {"min_rows": 30},
        }
    )
    sliced = part.metric != "average_precision"
    held = dict.fromkeys(PARTS if sliced else PARTS[:1], 0)
    expected = dict(zip(PARTS, truth[part.metric, days], strict=True))
    for _ in range(part.trials):
        rows, models, rare = drawn(part.metric, rng, clusters, days)
        over = difference(
            rule.metric, rows, *models, confidence=CONFIDENCE, min_clusters=rule.min_clusters
        )
        held["all"] += _holds(over.interval, expected["all"])
        if sliced:
            kinds = pa.chunked_array([np.where(rare, "rare", "common")])
            for one in judged_slices(rule, rows, {"kind": kinds}, *models)[0]:
                if one.difference is not None:
                    held[one.value] += _holds(one.difference.interval, expected[one.value])
    return held


def _holds(interval: Interval | None, truth: float) -> bool:
    return interval is not None and interval.low <= truth <= interval.high


def count_other(part: Part) -> dict[str, int]:
    """Return how many intervals of calibration or fairness held the truth."""
    rng = generator("coverage", part)
    clusters, days = windows_clusters(part.window)
    by = "day" if days else "row"
    trial = _fairness_trial if part.metric in RATES else _calibration_trial
    once = trial(part.metric)
    return {"all": sum(once(rng, clusters, by) for _ in range(part.trials))}


Trial = Callable[[np.random.Generator, np.ndarray, str], bool]


def _calibration_trial(name: str) -> Trial:
    truth = TRUE_SLOPE if name == "calibration slope" else _true_error()

    def trial(rng: np.random.Generator, clusters: np.ndarray, by: str) -> bool:
        score = 1.5 * rng.standard_normal(len(clusters))
        codes = (_luck(rng, clusters, by) < expit(TRUE_SLOPE * score)).astype(np.int64)
        rows = JudgedRows(np.asarray(CLASSES)[codes], CLASSES, clusters, by, codes=codes)
        found = calibration(rows, two_columns(expit(score)), CONFIDENCE)
        assert found is not None
        return _holds(found.slope if name == "calibration slope" else found.error, truth)

    return trial


def _true_error() -> float:
    """Return the calibration error over 15 bins of equally many rows, from probabilities, not labels."""
    score = np.sort(1.5 * generator("calibration").standard_normal(15 * 200_000)).reshape(15, -1)
    return float(np.abs((expit(score) - expit(TRUE_SLOPE * score)).mean(axis=1)).mean())


def _fairness_trial(name: str) -> Trial:
    import pyarrow as pa

    rates = np.array(RATES[name])
    truth = float(rates.max() - rates.min())
    rule = Gate.model_validate(
        {
            "metric": "log_loss",
            "fairness": {"columns": ["group"], "metric": "demographic_parity", "bound": 0.1},
        }
    )

    def trial(rng: np.random.Generator, clusters: np.ndarray, by: str) -> bool:
        groups = rng.integers(0, len(rates), len(clusters))
        decided = (_luck(rng, clusters, by) < rates[groups]).astype(np.int64)
        codes = rng.integers(0, 2, len(clusters))
        rows = JudgedRows(np.asarray(CLASSES)[codes], CLASSES, clusters, by, codes=codes)
        column = pa.chunked_array([np.array(list("ABCD"))[groups]])
        (found,) = gaps(rule, rows, {"group": column}, two_columns(0.25 + 0.5 * decided), None)
        return _holds(found.gap, truth)

    return trial


def _luck(rng: np.random.Generator, clusters: np.ndarray, by: str) -> np.ndarray:
    """Return uniform draws, alike within a day (Gaussian copula)."""
    normal = rng.standard_normal(len(clusters))
    if by == "day":
        days = rng.standard_normal(int(clusters.max()) + 1)[clusters]
        normal = np.sqrt(1 - ALIKE) * normal + np.sqrt(ALIKE) * days
    return np.asarray(stats.norm.cdf(normal))


def markdown(figures: tuple[list[Coverage], list[Coverage]]) -> str:
    """Return the figures as Markdown."""
    found, other = figures
    outside = [one for one in found if not LOW <= one.share <= HIGH]
    named = "; ".join(
        f"{one.metric}, {one.window}, {one.part}: {percent(one.share)}"
        for one in sorted(outside, key=lambda one: -abs(one.share - CONFIDENCE))[:MOST_NAMED]
    )
    narrow = sum(one.share < LOW for one in found)
    most = max(one.trials for one in found)
    return "\n\n".join(
        [
            "Share of intervals that hold the truth: all rows / slice *common* / slice *rare*, in "
            f"percent ({most:,} windows a cell; {resampled(most):,} for average precision, whose slices "
            "are left out, as each of its intervals takes 1,000 resamples).",
            table(["metric", *WINDOWS], [[name, *_cells(name, found, WINDOWS)] for name in METRICS]),
            verdict(
                not outside,
                f"{percent(LOW)} to {percent(HIGH)} in all {len(found)} cells"
                + (
                    f"; outside are {len(outside)}, {narrow} of them below (intervals too narrow), the "
                    f"others above (wider than need be): {named}."
                    if outside
                    else "."
                ),
            ),
            table(
                ["other interval", *WINDOWS[:3]],
                [[name, *_cells(name, other, WINDOWS[:3])] for name in OTHERS],
            ),
        ]
    )


def _cells(metric: str, found: list[Coverage], windows: tuple[str, ...]) -> list[str]:
    return [
        " / ".join(
            f"{100 * one.share:.1f}" for one in found if (one.metric, one.window) == (metric, window)
        )
        for window in windows
    ]


def draw(figures: tuple[list[Coverage], list[Coverage]], path: Path) -> None:
    """Draw the coverage of every cell."""
    figure, axes = canvas(height=4.0)
    offsets = np.linspace(-0.3, 0.3, len(WINDOWS))
    looks = zip(PARTS, (BLUE, ORANGE, VERMILION), "o^v", strict=True)
    axes.axvspan(100 * LOW, 100 * HIGH, color="#eeeeee", zorder=0)
    axes.axvline(100 * CONFIDENCE, color=GREY, linestyle="--", linewidth=1)
    for part, colour, marker in looks:
        cells = [one for one in figures[0] if one.part == part]
        axes.scatter(
            [100 * one.share for one in cells],
            [list(METRICS).index(one.metric) + offsets[WINDOWS.index(one.window)] for one in cells],
            color=colour,
            marker=marker,
            s=22,
            label={"all": "all rows"}.get(part, f'slice "{part}"'),
        )
    axes.set_yticks(range(len(METRICS)), list(METRICS))
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    axes.set_xlabel(
        "intervals that hold the true difference, % (in each band, from above: "
        + "; ".join(WINDOWS)
        + ")",
        fontsize=8,
    )
    axes.set_title("Coverage of 95% intervals (grey: 93.5 to 96.5)", loc="left", pad=24)
    axes.legend(loc="lower left", bbox_to_anchor=(0, 0.99), ncols=3)
    save(figure, path)


if __name__ == "__main__":
    run(measure, markdown, draw, __doc__, 2_000)
