"""How often two equally good models end in a promotion: `python -m tests.benchmarks.gate_null`.

Both models see the same labels through noise of the same law, so that neither is better: every promotion
is a mistake. The gate asks for superiority at 95% confidence with margin 0, which allows one mistake in
40 tests (2.5%: half of the two-sided 5%). The usual rule promotes whatever scored better.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import stats

from evergreen.gate_spec import Gate
from tests.benchmarks.trials import (
    BLUE,
    GREY,
    ORANGE,
    World,
    better,
    binary,
    canvas,
    compared,
    generator,
    in_processes,
    percent,
    portions,
    run,
    save,
    slack,
    table,
    verdict,
)

METRICS = ("log_loss", "accuracy", "roc_auc")
ROWS = (500, 2_000, 20_000)
ALLOWED = 0.025
DAYS = 30


@dataclass(frozen=True, slots=True)
class Part:
    """Some trials of one cell."""

    metric: str
    rows: int
    number: int
    trials: int


@dataclass(frozen=True, slots=True)
class Rates:
    """How often each rule promoted."""

    metric: str
    rows: int
    trials: int
    by_row: float
    by_day: float
    point: float


def measure(trials: int) -> list[Rates]:
    """Return the rates of every cell."""
    cells = [(metric, rows) for rows in ROWS for metric in METRICS]
    parts = [Part(*cell, *portion) for cell in cells for portion in portions(trials)]
    counts = dict.fromkeys(cells, np.zeros(3))
    for part, found in zip(parts, in_processes(count, parts), strict=True):
        counts[part.metric, part.rows] = counts[part.metric, part.rows] + found
    return [Rates(*cell, trials, *(counts[cell] / trials)) for cell in sorted(cells)]


def count(part: Part) -> np.ndarray:
    """Return the promotions of the gate by row, of the gate by day, and of the point rule."""
    rng, world = generator("null", part), World()
    found = np.zeros(3)
    rules = [
        Gate.model_validate({"metric": part.metric, "policy": "superiority", "cluster": by})
        for by in ("row", "day")
    ]
    for _ in range(part.trials):
        rows, challenger, champion = binary(rng, world, np.arange(part.rows), "row")
        seen = compared(rules[0], rows, challenger, champion, world.prevalence)
        by_day = type(rows)(
            rows.labels, rows.classes, np.arange(part.rows) % DAYS, "day", codes=rows.codes
        )
        again = compared(rules[1], by_day, challenger, champion, world.prevalence)
        found += [seen.promote, again.promote, better(seen)]
    return found


def markdown(figures: list[Rates]) -> str:
    """Return the figures as Markdown."""
    trials = figures[0].trials
    cells = 2 * len(figures)
    most = ALLOWED + errors_of_many(cells) * slack(ALLOWED, trials) / 2
    worst = max(max(one.by_row, one.by_day) for one in figures)
    alone = ALLOWED + slack(ALLOWED, trials)
    beyond = sum(rate > alone for one in figures for rate in (one.by_row, one.by_day))
    mean = float(np.mean([(one.by_row, one.by_day) for one in figures]))
    return "\n\n".join(
        [
            table(
                [
                    "metric",
                    "test rows",
                    "gate, `cluster: row`",
                    f"gate, {DAYS} days",
                    "promote if better",
                ],
                [
                    [
                        one.metric,
                        f"{one.rows:,}",
                        percent(one.by_row),
                        percent(one.by_day),
                        percent(one.point),
                    ]
                    for one in figures
                ],
            ),
            verdict(
                worst <= most,
                f"2.5% wrong promotions, as far as {trials:,} trials a cell can tell: at "
                f"most {percent(most)} in any of {cells} cells (chance alone takes one of so many "
                f"beyond that in 1 of 40 runs). The most seen are {percent(worst)}, the mean is "
                f"{100 * mean:.2f}%. "
                f"Beyond two standard errors of a cell by itself, {percent(alone)}, lie {beyond}.",
            ),
        ]
    )


def errors_of_many(cells: int) -> float:
    """Return how many standard errors all cells together stay within in 39 of 40 runs (Bonferroni)."""
    return float(stats.norm.isf(0.025 / cells))


def draw(figures: list[Rates], path: Path) -> None:
    """Draw the rates of both rules."""
    figure, axes = canvas(height=3.2)
    places = np.arange(len(figures))
    axes.bar(
        places - 0.2, [100 * one.point for one in figures], 0.38, color=ORANGE, label="promote if better"
    )
    bars = axes.bar(
        places + 0.2, [100 * one.by_row for one in figures], 0.38, color=BLUE, label="the gate"
    )
    axes.bar_label(bars, fmt="%.1f", fontsize=8)
    axes.axhline(100 * ALLOWED, color=GREY, linestyle="--", linewidth=1, label="allowed: 2.5%")
    axes.set_xticks(places, [f"{one.metric}\n{one.rows:,} rows" for one in figures], fontsize=8)
    axes.set_ylabel("wrong promotions, %")
    axes.set_ylim(0, 60)
    axes.grid(visible=False, axis="x")
    axes.set_title("Two equally good models: how often is the new one promoted?", loc="left", pad=26)
    axes.legend(loc="lower left", bbox_to_anchor=(0, 0.98), ncols=3)
    save(figure, path)


if __name__ == "__main__":
    run(measure, markdown, draw, __doc__, 5_000)
