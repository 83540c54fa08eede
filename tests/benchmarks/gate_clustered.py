"""Wrong promotions where the rows of a day are alike: `python -m tests.benchmarks.gate_clustered`.

Each model has good and bad days of its own (a shock that all of its scores of a day share), and in the
long run neither is better. A t-test of rows takes a hundred rows of a lucky day for a hundred proofs.
The gate's default counts days. Days hold 100 rows each, or very different numbers of rows: drawn once
from a log-normal law with mean 100, so that some days weigh ten times as much as others.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from evergreen.gate_spec import Gate
from tests.benchmarks.trials import (
    BLUE,
    GREY,
    ORANGE,
    VERMILION,
    World,
    better,
    binary,
    canvas,
    clustered_by,
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

METRICS = ("log_loss", "accuracy", "roc_auc")
DAYS = (30, 60, 90)
ROWS_A_DAY = 100
SIZES = ("equal", "unequal")
ALLOWED = 0.04
SPREAD = 0.8
WORLD = World(shared=0.5, own=0.3, day=0.2)


@dataclass(frozen=True, slots=True)
class Part:
    """Some trials of one cell."""

    metric: str
    days: int
    sizes: str
    number: int
    trials: int


@dataclass(frozen=True, slots=True)
class Rates:
    """How often each rule promoted."""

    metric: str
    days: int
    sizes: str
    trials: int
    by_day: float
    by_row: float
    point: float


def measure(trials: int) -> list[Rates]:
    """Return the rates of every cell."""
    cells = [(metric, days, sizes) for sizes in SIZES for metric in METRICS for days in DAYS]
    parts = [Part(*cell, *portion) for cell in cells for portion in portions(trials)]
    counts = dict.fromkeys(cells, np.zeros(3))
    for part, found in zip(parts, in_processes(count, parts), strict=True):
        cell = (part.metric, part.days, part.sizes)
        counts[cell] = counts[cell] + found
    return [Rates(*cell, trials, *(counts[cell] / trials)) for cell in cells]


def day_sizes(days: int, sizes: str) -> np.ndarray:
    """Return how many rows each day has: always the same, in every trial."""
    if sizes == "equal":
        return np.full(days, ROWS_A_DAY)
    drawn = generator("sizes", days).lognormal(np.log(ROWS_A_DAY) - SPREAD**2 / 2, SPREAD, days)
    return np.maximum(drawn.round().astype(int), 1)


def count(part: Part) -> np.ndarray:
    """Return the promotions of the gate by day, of the gate by row, and of the point rule."""
    rng = generator("clustered", part)
    clusters = np.repeat(np.arange(part.days), day_sizes(part.days, part.sizes))
    by_day, by_row = (
        Gate.model_validate({"metric": part.metric, "policy": "superiority", "cluster": by})
        for by in ("day", "row")
    )
    found = np.zeros(3)
    for _ in range(part.trials):
        rows, challenger, champion = binary(rng, WORLD, clusters, "day")
        seen = compared(by_day, rows, challenger, champion, WORLD.prevalence)
        naive = compared(by_row, clustered_by(rows, "row"), challenger, champion, WORLD.prevalence)
        found += [seen.promote, naive.promote, better(seen)]
    return found


def markdown(figures: list[Rates]) -> str:
    """Return the figures as Markdown."""
    worst = max(figures, key=lambda one: one.by_day)
    naive = min(figures, key=lambda one: one.by_row)
    return "\n\n".join(
        [
            table(
                [
                    "metric",
                    "days",
                    "rows a day",
                    "gate, `cluster: day`",
                    "t-test of rows (`cluster: row`)",
                    "promote if better",
                ],
                [
                    [
                        one.metric,
                        one.days,
                        _rows_a_day(one),
                        percent(one.by_day),
                        percent(one.by_row),
                        percent(one.point),
                    ]
                    for one in figures
                ],
            ),
            verdict(
                worst.by_day <= ALLOWED,
                f"at most {percent(ALLOWED)} wrong promotions where days are counted "
                f"({figures[0].trials:,} trials a cell); the most seen are {percent(worst.by_day)} "
                f"({worst.metric}, {worst.days} days, {worst.sizes}). The t-test of rows promotes "
                f"wrongly in {percent(naive.by_row)} at best.",
            ),
        ]
    )


def _rows_a_day(one: Rates) -> str:
    sizes = day_sizes(one.days, one.sizes)
    return str(sizes[0]) if one.sizes == "equal" else f"{sizes.min()} to {sizes.max()}"


def draw(figures: list[Rates], path: Path) -> None:
    """Draw the rates of the three rules against the number of days."""
    figure, rows = canvas(height=3.4, ncols=3, sharey=True)
    for axes, metric in zip(rows, METRICS, strict=True):
        for sizes, style in (("equal", "-"), ("unequal", ":")):
            cells = [one for one in figures if (one.metric, one.sizes) == (metric, sizes)]
            for name, colour, marker, words in (
                ("point", ORANGE, "s", "promote if better"),
                ("by_row", VERMILION, "^", "t-test of rows"),
                ("by_day", BLUE, "o", "the gate, by day"),
            ):
                axes.plot(
                    [one.days for one in cells],
                    [100 * getattr(one, name) for one in cells],
                    color=colour,
                    marker=marker,
                    linestyle=style,
                    label=words if sizes == "equal" and metric == METRICS[0] else None,
                )
        axes.axhline(2.5, color=GREY, linestyle="--", linewidth=1)
        axes.set_title(metric, fontsize=10)
        axes.set_xticks(DAYS)
        axes.set_xlabel("days")
    rows[0].set_ylabel("wrong promotions, %")
    rows[0].set_ylim(0, 60)
    rows[2].plot([], [], color="black", linestyle=":", label="unequal days")
    rows[2].plot([], [], color=GREY, linestyle="--", linewidth=1, label="2.5%")
    figure.legend(loc="outside lower center", ncols=5)
    figure.suptitle("Equally good models with good and bad days of their own", x=0.01, ha="left")
    save(figure, path)


if __name__ == "__main__":
    run(measure, markdown, draw, __doc__, 2_000)
