"""Models of the flights benchmark: which months each learns from, and what it answers later."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from evergreen.loading import load_model
from evergreen.window import Window, Windows

ROOT = Path(__file__).parents[2]
MODEL = ROOT / "dags" / "models" / "flight_delay.yaml"
JUDGED = range(3, 13)


@dataclass(frozen=True, slots=True)
class Task:
    """One model to fit: which months it learns from, and where the rows are."""

    rows: Path
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Fit:
    """What a model answers in each later month, with its trivial answers."""

    classes: tuple[str, ...]
    baseline: tuple[float, ...]
    last_period: tuple[float, ...]
    answers: dict[int, np.ndarray]


def fit_span(task: Task) -> Fit:
    """Fit the model file's estimator on some months and predict every judged month after them."""
    from evergreen.training.fit import fit, predict
    from evergreen.training.frame import feature_frame

    spec = load_model(MODEL).spec
    span, following = (
        Window(month_start(task.first), month_start(task.last + 1)),
        month_window(task.last + 1),
    )
    train, test = (labelled_rows(task.rows, window) for window in (span, following))
    made = fit(spec, train, test, Windows(following.end, span, following))
    answers = {}
    for month in JUDGED:
        if month > task.last:
            rows = labelled_rows(task.rows, month_window(month))
            answers[month] = predict(made.model, feature_frame(rows, made.features), made.classes)
    return Fit(made.classes, made.baseline, made.last_period, answers)


def store(warehouse: Path, path: Path) -> Path:
    """Write the year as the model file's query gives it, in the order of departure."""
    import pandas as pd
    import pyarrow as pa
    import pyarrow.compute as pc
    from pyarrow import parquet

    model = load_model(MODEL)
    bounds = {
        "start": f"{month_start(1):%Y-%m-%d %H:%M:%S}",
        "end": f"{month_start(13):%Y-%m-%d %H:%M:%S}",
    }
    with closing(sqlite3.connect(warehouse)) as connection:
        frame = pd.read_sql_query(model.query, connection, params=bounds)
    rows = pa.Table.from_pandas(frame, preserve_index=False)
    column = model.spec.data.time_column
    times = pc.strptime(rows.column(column), format="%Y-%m-%d %H:%M:%S", unit="us")
    rows = rows.set_column(rows.column_names.index(column), column, pc.assume_timezone(times, "UTC"))
    parquet.write_table(rows.sort_by(column), path)
    return path


def labelled_rows(path: Path, window: Window):
    """Return the rows of a window whose label is known."""
    from pyarrow import parquet

    from evergreen.training.labels import in_window, labelled

    data = load_model(MODEL).spec.data
    return labelled(in_window(parquet.read_table(path), data.time_column, window), data.label.column)


def month_start(month: int) -> datetime:
    # Windows begin at 06:00 UTC, the middle of the night in New York, as the model's schedule has them.
    return datetime(2013 + (month - 1) // 12, (month - 1) % 12 + 1, 1, 6, tzinfo=UTC)


def month_window(month: int) -> Window:
    return Window(month_start(month), month_start(month + 1))
