"""What the gate's benchmarks share: models of known truth, many trials in two processes, and plots."""

from __future__ import annotations

import argparse
import os
import sys
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import expit, logit

from evergreen.comparison import Comparison, Evidence
from evergreen.evidence.judged_rows import JudgedRows
from evergreen.evidence.paired import difference
from evergreen.gate import compare
from evergreen.gate_spec import Gate

SEED = 20130101
PROCESSES = 2
PORTION = 250
# Okabe and Ito's palette, which colour-blind people can tell apart.
BLUE, ORANGE, GREEN, VERMILION, PURPLE, GREY = (
    "#0072B2",
    "#E69F00",
    "#009E73",
    "#D55E00",
    "#CC79A7",
    "#767676",
)
CLASSES = ("no", "yes")


@dataclass(frozen=True, slots=True)
class World:
    """How two models see the label of a row: each through noise, some of it the other's, too.

    A model's score is `signal` for a "yes" and -`signal` for a "no", plus normal noise of four
    variances: what both share, what is the model's own, and what all rows of a day share, for each model
    separately. Probabilities are calibrated for the noise of the model. Two models of the same noise
    are exchangeable: whatever the metric, they are equally good. `worse` adds to the second's own noise.
    """

    prevalence: float = 0.3
    signal: float = 1.0
    shared: float = 0.5
    own: float = 0.5
    day: float = 0.0
    worse: float = 0.0


def binary(
    rng: np.random.Generator, world: World, clusters: np.ndarray, by: str
) -> tuple[JudgedRows, np.ndarray, np.ndarray]:
    """Return rows, one for each code of `clusters`, and the probabilities `(n, 2)` of both models."""
    n = len(clusters)
    codes = (rng.random(n) < world.prevalence).astype(np.int64)
    seen = world.signal * (2 * codes - 1) + np.sqrt(world.shared) * rng.standard_normal(n)
    models = []
    for own in (world.own, world.own + world.worse):
        score = seen + np.sqrt(own) * rng.standard_normal(n)
        if world.day:
            score += np.sqrt(world.day) * rng.standard_normal(int(clusters.max()) + 1)[clusters]
        slope = 2 * world.signal / (world.shared + own + world.day)
        models.append(two_columns(expit(logit(world.prevalence) + slope * score)))
    rows = JudgedRows(np.asarray(CLASSES)[codes], CLASSES, clusters, by, codes=codes)
    return rows, models[0], models[1]


def two_columns(positive: np.ndarray) -> np.ndarray:
    """Return the probabilities of "no" and "yes"."""
    return np.column_stack([1 - positive, positive])


def compared(
    rule: Gate, rows: JudgedRows, challenger: np.ndarray, champion: np.ndarray, prevalence: float
) -> Comparison:
    """Ask the gate, on what `evidence.gather` would measure of these models but for calibration."""
    baseline = np.broadcast_to([1 - prevalence, prevalence], challenger.shape)
    over = partial(
        difference,
        rule.metric,
        rows,
        challenger,
        confidence=rule.confidence,
        min_clusters=rule.min_clusters,
    )
    evidence = Evidence(
        rows=len(rows),
        clusters=int(rows.clusters.max()) + 1,
        clustered_by=rows.clustered_by,
        over_baseline=over(baseline),
        over_champion=over(champion),
    )
    return compare(rule, "medium", evidence)


def clustered_by(rows: JudgedRows, by: str) -> JudgedRows:
    """Return the same rows, taken for alike by day or for independent."""
    clusters = np.arange(len(rows)) if by == "row" else rows.clusters
    return replace(rows, clusters=clusters, clustered_by=by)


def better(comparison: Comparison) -> bool:
    """Return what the rule "promote if the metric is better" says, with no look at chance."""
    over = comparison.against
    assert over.value is not None
    assert over.other is not None
    gain = over.value - over.other
    return gain > 0 if comparison.higher_is_better else gain < 0


def generator(*words: object) -> np.random.Generator:
    """Return a generator of its own for what the words name, always the same."""
    return np.random.default_rng([SEED, zlib.crc32(repr(words).encode())])


def portions(trials: int, size: int = PORTION) -> Iterator[tuple[int, int]]:
    """Yield number and trials of each portion of work."""
    for number, begun in enumerate(range(0, trials, size)):
        yield number, min(size, trials - begun)


def in_processes(work: Callable[[Any], Any], tasks: Sequence[Any]) -> list[Any]:
    """Return what `work` makes of each task, in order; single-threaded processes share them."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    if len(tasks) == 1:
        return [work(tasks[0])]
    with ProcessPoolExecutor(PROCESSES, get_context("spawn")) as pool:
        return list(pool.map(work, tasks))


def slack(rate: float, trials: int) -> float:
    """Return two standard errors of a share that is seen in so many trials."""
    return float(2 * np.sqrt(rate * (1 - rate) / trials))


def percent(share: float) -> str:
    """Return a share as a person reads it."""
    return f"{100 * share:.1f}%"


def table(head: Sequence[str], body: Sequence[Sequence[object]]) -> str:
    """Return a Markdown table; all columns but the first are aligned to the right."""
    lines = ["| " + " | ".join(head) + " |", "|---|" + "--:|" * (len(head) - 1)]
    lines += ["| " + " | ".join(map(str, row)) + " |" for row in body]
    return "\n".join(lines)


def verdict(holds: bool, words: str) -> str:
    """Return a claim with what became of it, as a line of its own."""
    return f"**{'Holds' if holds else 'Does not hold'}:** {words}"


_LOOK = {
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e6e6e6",
    "legend.frameon": False,
}


def canvas(width: float = 8.0, height: float = 3.6, **options: Any) -> tuple[Any, Any]:
    """Return a figure and its axes, plain and readable in a page."""
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with mpl.rc_context(_LOOK):
        figure = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasAgg(figure)
        return figure, figure.subplots(**options)


def save(figure: Any, path: Path) -> None:
    """Write a PNG, the same bytes for the same picture."""
    import matplotlib as mpl

    with mpl.rc_context(_LOOK):
        figure.savefig(path, dpi=130, metadata={"Software": None})


def run(
    measure: Callable[[int], Any],
    markdown: Callable[[Any], str],
    draw: Callable[[Any, Path], None],
    docstring: str | None,
    trials: int,
) -> None:
    """Measure, print Markdown, and draw the picture where one is asked for."""
    parser = argparse.ArgumentParser(description=(docstring or "").partition("\n")[0])
    parser.add_argument("--trials", type=int, default=trials, help="simulated tests per cell")
    parser.add_argument("--picture", type=Path, help="write the plot as PNG to this file")
    arguments = parser.parse_args()
    figures = measure(arguments.trials)
    sys.stdout.write(markdown(figures) + "\n")
    if arguments.picture:
        draw(figures, arguments.picture)
