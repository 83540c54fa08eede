"""How often slices cry wolf, and what they see: `python -m tests.benchmarks.gate_slices`.

Two equally good models are judged on slices by log-loss with margin 0, where every slice that is called
harmed is a false alarm. With 95% confidence one test in twenty may raise any, however many slices there
are: the gate's p-values are Holm's. Beside it stand the two usual ways: an alarm where a slice scores
worse, and where a slice's own 95% interval lies wholly above 0. *Found* is how often the gate names the
one slice in which the challenger's logits are off by normal noise of standard deviation 1.5. All slices
together have 5,000 rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.special import expit, logit

from evergreen.comparison import Comparison, Evidence, Slice
from evergreen.evidence.paired import difference
from evergreen.evidence.slices import judged_slices
from evergreen.gate import compare
from evergreen.gate_spec import Gate
from tests.benchmarks.trials import (
    BLUE,
    GREY,
    ORANGE,
    VERMILION,
    World,
    binary,
    canvas,
    generator,
    in_processes,
    percent,
    portions,
    run,
    save,
    slack,
    table,
    two_columns,
    verdict,
)

SLICES = (2, 5, 10, 20)
WINDOWS = {"5,000 rows": "row", "30 days": "day"}
ROWS, DAYS = 5_000, 30
ALLOWED = 0.05
OFF = 1.5
HARMED = "slice 0"


@dataclass(frozen=True, slots=True)
class Part:
    """Some trials of one cell."""

    slices: int
    window: str
    number: int
    trials: int


@dataclass(frozen=True, slots=True)
class Alarms:
    """How often each rule raised an alarm, and how often the gate found the harmed slice."""

    slices: int
    window: str
    trials: int
    gate: float
    unadjusted: float
    point: float
    found: float


def measure(trials: int) -> list[Alarms]:
    """Return the alarms of every cell."""
    cells = [(slices, window) for window in WINDOWS for slices in SLICES]
    parts = [Part(*cell, *portion) for cell in cells for portion in portions(trials)]
    counts = dict.fromkeys(cells, np.zeros(4))
    for part, found in zip(parts, in_processes(count, parts), strict=True):
        cell = (part.slices, part.window)
        counts[cell] = counts[cell] + found
    return [Alarms(*cell, trials, *(counts[cell] / trials)) for cell in cells]


def count(part: Part) -> np.ndarray:
    """Return the alarms of the gate, of intervals, of the point rule, and the harmed slices found."""
    by = WINDOWS[part.window]
    rng = generator("slices", part)
    world = World(shared=0.5, own=0.4, day=0.1 if by == "day" else 0.0)
    clusters = np.arange(ROWS) * DAYS // ROWS if by == "day" else np.arange(ROWS)
    rule = Gate.model_validate(
        {"metric": "log_loss", "cluster": by, "slices": ["kind"], "slice_rule": {"min_rows": 30}}
    )
    found = np.zeros(4)
    for _ in range(part.trials):
        rows, challenger, champion = binary(rng, world, clusters, by)
        kinds = rng.integers(0, part.slices, ROWS)
        seen = _judged(rule, rows, kinds, challenger, champion)
        intervals = [one.difference.interval for one in seen if one.difference is not None]
        found[0] += any(one.verdict == "harmed" for one in seen)
        found[1] += any(each is not None and each.low > 0 for each in intervals)
        found[2] += any(each is not None and each.estimate > 0 for each in intervals)
        noise = OFF * rng.standard_normal(ROWS) * (kinds == 0)
        off = two_columns(expit(logit(challenger[:, 1]) + noise))
        again = _judged(rule, rows, kinds, off, champion)
        found[3] += any(one.verdict == "harmed" and one.value == HARMED for one in again)
    return found


def _judged(rule: Gate, rows, kinds: np.ndarray, challenger, champion) -> tuple[Slice, ...]:
    import pyarrow as pa

    names = np.array([f"slice {number}" for number in range(int(kinds.max()) + 1)])
    column = pa.chunked_array([names[kinds]])
    slices, _ = judged_slices(rule, rows, {"kind": column}, challenger, champion)
    over = difference(
        rule.metric,
        rows,
        challenger,
        champion,
        confidence=rule.confidence,
        min_clusters=rule.min_clusters,
    )
    answer: Comparison = compare(
        rule, "medium", Evidence(len(rows), 1, rows.clustered_by, over, slices=slices)
    )
    return answer.evidence.slices


def markdown(figures: list[Alarms]) -> str:
    """Return the figures as Markdown."""
    trials = figures[0].trials
    most = ALLOWED + slack(ALLOWED, trials)
    worst = max(figures, key=lambda one: one.gate)
    return "\n\n".join(
        [
            table(
                [
                    "slices",
                    "test window",
                    "false alarms: gate",
                    "a slice's own interval",
                    "a slice scores worse",
                    "found: gate",
                ],
                [
                    [
                        one.slices,
                        one.window,
                        percent(one.gate),
                        percent(one.unadjusted),
                        percent(one.point),
                        percent(one.found),
                    ]
                    for one in figures
                ],
            ),
            verdict(
                worst.gate <= most,
                f"at most {percent(most)} false alarms (5% and two standard errors of {trials:,} "
                f"trials); the most seen are {percent(worst.gate)} ({worst.slices} slices, "
                f"{worst.window}).",
            ),
        ]
    )


def draw(figures: list[Alarms], path: Path) -> None:
    """Draw false alarms against the number of slices."""
    figure, rows = canvas(height=3.2, ncols=2, sharey=True)
    for axes, window in zip(rows, WINDOWS, strict=True):
        cells = [one for one in figures if one.window == window]
        for name, colour, marker, words in (
            ("point", ORANGE, "s", "a slice scores worse"),
            ("unadjusted", VERMILION, "^", "a slice's own interval"),
            ("gate", BLUE, "o", "the gate"),
        ):
            axes.plot(
                [one.slices for one in cells],
                [100 * getattr(one, name) for one in cells],
                color=colour,
                marker=marker,
                label=words if axes is rows[0] else None,
            )
        axes.axhline(100 * ALLOWED, color=GREY, linestyle="--", linewidth=1)
        axes.set_title(window, fontsize=10)
        axes.set_xticks(SLICES)
        axes.set_xlabel("slices")
    rows[0].set_ylabel("tests with a false alarm, %")
    rows[0].set_ylim(0, 103)
    rows[1].plot([], [], color=GREY, linestyle="--", linewidth=1, label="allowed: 5%")
    figure.legend(loc="outside lower center", ncols=4)
    figure.suptitle("Equally good models: does any slice raise an alarm?", x=0.01, ha="left")
    save(figure, path)


if __name__ == "__main__":
    run(measure, markdown, draw, __doc__, 1_000)
