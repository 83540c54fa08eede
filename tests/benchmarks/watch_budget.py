"""False alarms where nothing happens: `python -m tests.benchmarks.watch_budget`.

Every stream has 26 weeks of baseline and 90 daily checks of its last 7 days; nothing drifts. Three of
five columns are numbers (normal, log-normal, uniform, heavy-tailed, skewed, discrete, mostly zero), the
others categories (balanced, skewed, of 50 levels, with levels of 1 in 2,000). Days are alike ("i.i.d."),
or each column moves with the weekday and from day to day (AR(1), 0.6): by up to 0.1 or 0.3 of a standard
deviation. The owner allows 1 false alarm a quarter; only features can speak. An alarm that lasts is one.

Counts by day are drawn as what they are, multinomial, and go through Evergreen's own budget, chance and
distances. In each portion of 25 streams the whole way, from profiles to the verdict, must come to the
same thresholds and alarms, or the benchmark fails. The floor of effect (2% of rows) is off but in the
column that names it. Evidently's preset and NannyML, by their defaults, look at rows of the same counts,
of fewer streams; NannyML's chunks are as long as the window.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from evergreen.drift.budget import begins_per_check, parts
from evergreen.drift.chance import chance_of, nature, threshold
from evergreen.drift.distances import DISTANCES
from evergreen.drift.natural import pooled
from evergreen.drift.persistence import chance_per_check, correlation
from evergreen.monitor_spec import DistanceName, Distances
from evergreen.rates import Rate
from tests.benchmarks.trials import (
    BLUE,
    GREEN,
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
    verdict,
)
from tests.benchmarks.watch_budget_peers import DEFAULT_FOLDER, Judged, installed, peers_judge
from tests.benchmarks.watch_budget_whole import must_agree
from tests.benchmarks.watch_counts import Column, Rhythm, columns

ROWS_A_DAY = (30, 150, 1_000, 7_143)
COLUMNS = (20, 50)
RHYTHMS = {"i.i.d.": 0.0, "rhythm 0.1": 0.1, "rhythm 0.3": 0.3}
BASELINE, WINDOW, CHECKS = 182, 7, 90
CHECKS_A_YEAR = 365.25
QUARTER = CHECKS_A_YEAR / 4
ALLOWED = Rate(1, "quarter")
FLOOR = 0.02
PORTION = 25
PEER_STREAMS = {30: 6, 150: 6, 1_000: 2}
TOLERANCE, MOST = 0.25, 2.0


@dataclass(frozen=True, slots=True)
class Part:
    """Some streams of one cell."""

    columns: int
    rows_a_day: int
    rhythm: str
    number: int
    streams: int


@dataclass(frozen=True, slots=True)
class Stream:
    """A stream's columns, and their counts by day, `(days, k)`; none are missing."""

    columns: tuple[Column, ...]
    importance: tuple[float, ...]
    before: tuple[np.ndarray, ...]
    after: tuple[np.ndarray, ...]


@dataclass(frozen=True, slots=True)
class Rates:
    """False alarms a quarter, with their standard error, without and with the floor of effect."""

    columns: int
    rows_a_day: int
    rhythm: str
    streams: int
    alarms: float
    error: float
    with_floor: float


@dataclass(frozen=True, slots=True)
class Figures:
    """What was seen of Evergreen and, where they are installed, of its peers."""

    rates: list[Rates]
    peers: list[Judged]


def measure(streams: int) -> Figures:
    """Return the rates of every cell."""
    cells = [(count, rows, name) for name in RHYTHMS for count in COLUMNS for rows in ROWS_A_DAY]
    tasks = [Part(*cell, *portion) for cell in cells for portion in portions(streams, PORTION)]
    found = dict(zip(tasks, in_processes(begun, tasks), strict=True))
    rates = []
    for cell in cells:
        each = np.vstack([found[task] for task in tasks if task_cell(task) == cell]) * QUARTER / CHECKS
        mean, error = each.mean(axis=0), each.std(axis=0) / np.sqrt(len(each))
        rates.append(Rates(*cell, streams, float(mean[0]), float(error[0]), float(mean[1])))
    return Figures(rates, peers_figures() if installed(DEFAULT_FOLDER) else [])


def task_cell(task: Part) -> tuple[int, int, str]:
    """Return the cell that some streams belong to."""
    return task.columns, task.rows_a_day, task.rhythm


def peers_figures() -> list[Judged]:
    """Return what peers say of some of the same streams of 20 columns."""
    tasks = [
        (rows, name, [stream(COLUMNS[0], rows, name, 0, each) for each in range(count)])
        for name in ("i.i.d.", "rhythm 0.1")
        for rows, count in PEER_STREAMS.items()
    ]
    return [
        peers_judge(name, rows, [(one.columns, one.before, one.after) for one in streams], WINDOW)
        for rows, name, streams in tasks
    ]


def stream(count: int, rows_a_day: int, rhythm: str, number: int, place: int) -> Stream:
    """Return a stream, always the same: number and place say which."""
    rng = generator("watch_budget", count, rows_a_day, rhythm, number, place)
    shapes = columns(count, rng)
    days = BASELINE + WINDOW - 1 + CHECKS
    counts = []
    for column in shapes:
        shifts = Rhythm(RHYTHMS[rhythm]).shifts(rng, days) if RHYTHMS[rhythm] else np.zeros(1)
        law = np.broadcast_to(column.law(shifts), (days, len(column.cells) - 1))
        counts.append(rng.multinomial(rows_a_day, law))
    return Stream(
        tuple(shapes),
        tuple(rng.dirichlet(np.full(count, 0.3))),
        tuple(each[:BASELINE] for each in counts),
        tuple(each[BASELINE:] for each in counts),
    )


def begun(part: Part) -> np.ndarray:
    """Return how many alarms began in each stream, `(streams, 2)`: without and with the floor."""
    found = []
    for place in range(part.streams):
        one = stream(part.columns, part.rows_a_day, part.rhythm, part.number, place)
        bars, beyond, moved = judged(one, part.rows_a_day)
        if place == 0:
            must_agree(one.columns, one.importance, one.before, one.after, bars, beyond, WINDOW)
        found.append([begins(beyond.any(axis=0)), begins((beyond & (moved >= FLOOR)).any(axis=0))])
    return np.array(found)


def judged(one: Stream, rows_a_day: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return each column's threshold, at which checks it lies beyond, and how much of it moved."""
    rows = rows_a_day * WINDOW
    named = [distance_of(column) for column in one.columns]
    likely = pooled([nature(*each, WINDOW) for each in zip(named, one.before, strict=True)])
    budget = begins_per_check(ALLOWED, CHECKS_A_YEAR, ["features"])["features"]
    bars, beyond, moved = [], [], []
    for name, part, before, after, prior in zip(
        named, parts(one.importance), one.before, one.after, likely, strict=True
    ):
        chance = chance_of(name, before, rows, WINDOW, None, prior)
        alike = correlation(WINDOW, int(before.sum()), rows)
        bar = threshold(chance, chance_per_check(chance, name, budget * part, alike))
        bars.append(bar)
        shares = windows(after) / rows
        past = before.sum(axis=0) / before.sum()
        beyond.append(DISTANCES[name].measure(past, shares, None) > bar)
        moved.append(np.abs(shares - past).sum(axis=1) / 2)
    return np.array(bars), np.array(beyond), np.array(moved)


def distance_of(column: Column) -> DistanceName:
    """Return the distance that is asked of a column by default."""
    return Distances().numbers if column.cells.ordered else Distances().categories


def windows(days: np.ndarray) -> np.ndarray:
    """Return the counts of every window."""
    summed = np.concatenate([np.zeros((1, days.shape[1])), np.cumsum(days, axis=0)])
    return summed[WINDOW:] - summed[:-WINDOW]


def begins(alarmed: np.ndarray) -> int:
    """Return how many alarms begin: one that lasts over several checks is one."""
    return int(alarmed[0]) + int((alarmed[1:] & ~alarmed[:-1]).sum())


def markdown(figures: Figures) -> str:
    """Return the figures as Markdown."""
    streams = figures.rates[0].streams
    return "\n\n".join(
        [
            f"False alarms a quarter, {streams:,} streams a cell; 1 is allowed.",
            _ours(figures.rates),
            *_claims(figures.rates),
            *([_peers(figures.peers)] if figures.peers else ["The peers are not installed."]),
        ]
    )


def _ours(rates: Sequence[Rates]) -> str:
    head = ["days", "columns", "rows in a window", "Evergreen", "standard error", "with the floor"]
    return table(
        head,
        [
            [
                one.rhythm,
                one.columns,
                f"{one.rows_a_day * WINDOW:,}",
                f"{one.alarms:.2f}",
                f"{one.error:.2f}",
                f"{one.with_floor:.2f}",
            ]
            for one in rates
        ],
    )


def _claims(rates: Sequence[Rates]) -> list[str]:
    alike = [one for one in rates if not RHYTHMS[one.rhythm]]
    moving = [one for one in rates if RHYTHMS[one.rhythm]]
    off = max(alike, key=lambda one: abs(one.alarms - 1))
    worst = max(moving, key=lambda one: one.alarms)
    return [
        verdict(
            abs(off.alarms - 1) <= TOLERANCE,
            f"where days are alike, within 25% of the budget in every cell; the farthest is "
            f"{off.alarms:.2f} (± {2 * off.error:.2f}), {_place(off)}.",
        ),
        verdict(
            worst.alarms <= MOST,
            f"with rhythm, never more than twice the budget; the most is {worst.alarms:.2f} "
            f"(± {2 * worst.error:.2f}), {_place(worst)}.",
        ),
    ]


def _place(one: Rates) -> str:
    return f"{one.rhythm}, {one.columns} columns, windows of {one.rows_a_day * WINDOW:,} rows"


def _peers(peers: Sequence[Judged]) -> str:
    head = ["days", "rows in a window", "streams", "watch", "false alarms a quarter", "checks in alarm"]
    body = []
    for one in peers:
        body += [
            [
                one.rhythm,
                f"{one.rows_a_day * WINDOW:,}",
                len(alarms),
                name,
                f"{np.mean([begins(each) for each in alarms]) * QUARTER / CHECKS:.1f}",
                percent(float(np.mean(alarms))),
            ]
            for name, alarms in one.alarms.items()
        ]
    return "With 20 columns; a check is in alarm where any column is:\n\n" + table(head, body)


def draw(figures: Figures, path: Path) -> None:
    """Draw the rates by rows of a window."""
    figure, axes = canvas(height=3.4)
    colours = dict(zip(RHYTHMS, (BLUE, ORANGE, VERMILION), strict=True))
    for name in RHYTHMS:
        for count, style in zip(COLUMNS, ("-", "--"), strict=True):
            cells = [one for one in figures.rates if (one.rhythm, one.columns) == (name, count)]
            axes.errorbar(
                [one.rows_a_day * WINDOW for one in cells],
                [one.alarms for one in cells],
                [2 * one.error for one in cells],
                color=colours[name],
                linestyle=style,
                marker="o",
                markersize=3,
                label=f"{name}, {count} columns",
            )
    axes.axhspan(1 - TOLERANCE, 1 + TOLERANCE, color=GREEN, alpha=0.12, linewidth=0)
    axes.axhline(1, color=GREY, linestyle="--", linewidth=1)
    axes.set_xscale("log")
    axes.set_ylim(0, 2)
    axes.set_xlabel("rows in a window")
    axes.set_ylabel("false alarms a quarter")
    axes.set_title("Nothing drifts, and 1 false alarm a quarter is allowed", loc="left", pad=26)
    axes.legend(loc="lower left", bbox_to_anchor=(0, 0.98), ncols=3, fontsize=7)
    save(figure, path)


if __name__ == "__main__":
    run(measure, markdown, draw, __doc__, 1_000)
