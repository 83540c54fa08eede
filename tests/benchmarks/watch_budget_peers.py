"""What Evidently and NannyML say of rows that have the counts of the budget benchmark's streams."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tests.benchmarks.trials import generator
from tests.benchmarks.watch_counts import Column
from tests.benchmarks.watch_peers import DEFAULT_FOLDER, Peer, Question, ask, installed

__all__ = ["DEFAULT_FOLDER", "Judged", "installed", "peers_judge"]

NAMES: Mapping[Peer, str] = {"evidently": "Evidently", "nannyml": "NannyML"}
Counts = tuple[Sequence[Column], Sequence[np.ndarray], Sequence[np.ndarray]]


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """Of each peer, whether any column alarmed: `(streams, checks)`."""

    rhythm: str
    rows_a_day: int
    alarms: dict[str, np.ndarray]


def peers_judge(rhythm: str, rows_a_day: int, streams: Sequence[Counts], window: int) -> Judged:
    """Return what each peer says of each check of some streams, by its defaults."""
    alarms: dict[str, np.ndarray] = {}
    with tempfile.TemporaryDirectory() as folder:
        questions = [
            _question(Path(folder), place, counts, window, rows_a_day)
            for place, counts in enumerate(streams)
        ]
        for peer, name in NAMES.items():
            answers = ask(peer, questions, DEFAULT_FOLDER)
            alarms[name] = np.array([_any(answer) for answer in answers])
    return Judged(rhythm, rows_a_day, alarms)


def _any(answer: Mapping[str, Sequence[float]]) -> np.ndarray:
    return (np.array(list(answer.values())) > 1).any(axis=0)


def _question(folder: Path, place: int, counts: Counts, window: int, rows_a_day: int) -> Question:
    columns, before, after = counts
    rng = generator("watch_budget_peers", place)
    reference = {c.cells.column: rows_of(c, days, rng) for c, days in zip(columns, before, strict=True)}
    checks = len(after[0]) - window + 1
    seen = {}
    for column, days in zip(columns, after, strict=True):
        values = rows_of(column, days, rng)
        # A day's rows are seen by as many checks as the window has days.
        seen[column.cells.column] = np.concatenate(
            [values[check * rows_a_day : (check + window) * rows_a_day] for check in range(checks)]
        )
    paths = [str(folder / f"{name}_{place}.parquet") for name in ("reference", "windows")]
    for table, path in zip((reference, seen), paths, strict=True):
        pq.write_table(pa.table({name: pa.array(each) for name, each in table.items()}), path)
    return Question("drift", *paths, window * rows_a_day)


def rows_of(column: Column, days: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return rows with these counts by day, a day's in any order: `(rows,)`.

    Numbers are even within their bin, or at its middle where the column is discrete; those beyond the
    outermost bins lie just outside.
    """
    cells = column.cells
    places = np.concatenate([rng.permutation(np.repeat(np.arange(len(day)), day)) for day in days])
    if not cells.ordered:
        return np.asarray(cells.names[1:])[places]
    edges = np.asarray(cells.edges)
    step = (edges[-1] - edges[0]) / len(edges)
    ends = np.concatenate([[edges[0] - step, edges[0] - step], edges, [edges[-1] + step] * 2])
    low, high = ends[places], ends[places + 1]
    even = np.full(len(places), 0.5) if column.discrete else rng.random(len(places))
    return low + even * (high - low)
