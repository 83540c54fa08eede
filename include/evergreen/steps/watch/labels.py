"""Joins labels to the rows that the champion answered, one day at a time.

All is read anew at every check, so a label that comes late is found by a later one, and one that was
corrected takes the place of the first. One day's rows are in memory at a time.

A key with one label in the source has it, however often it stands there with it. A key that stands
there with several has none: nobody can tell which is right. Labels of keys that nobody answered are
counted and left alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING

from evergreen.errors import DataUnusable, bounded
from evergreen.logged_rows import VERSION, prediction_columns
from evergreen.results import Release
from evergreen.watch_results import Check
from evergreen.window import Window
from evergreen.workspace import Workspace

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

MOST_DAYS = 120
"""How far back a check looks: older days are in no window that is judged."""


@dataclass(frozen=True, slots=True, eq=False)
class AnsweredDay:
    """What the champion answered on one UTC day, and what is known of the truth.

    Attributes:
        day: The day; the first may have begun before the release, the last may not be over.
        times: `(n_rows,)` datetime64[us].
        predictions: `(n_rows, n_classes)` in the order of the champion's classes, or `(n_rows,)`.
        labelled: `(n_rows,)`: whether the label is known.
        labels: `(n_labelled,)`: text for classification, float64 for regression.
        weights: `(n_rows,)` how much each row counts, NaN where only its label's row would say so;
            None where all count alike.
        unknown_keys: Labels whose key nobody answered.
        twice: Rows whose key has several labels; they count as unlabelled.
        unanswered: Logged rows without a finite prediction; they are in none of the arrays.
    """

    day: date
    times: np.ndarray
    predictions: np.ndarray
    labelled: np.ndarray
    labels: np.ndarray
    weights: np.ndarray | None
    unknown_keys: int
    twice: int
    unanswered: int


def answered_days(workspace: Workspace, check: Check, champion: Release) -> Iterator[AnsweredDay]:
    """Yield the days on which the champion answered, from its release up to the check's as-of.

    Rows before the release's as-of are left out: the champion learnt from them or was proven on them.
    Labels count up to the as-of less their delay.

    Raises:
        DataUnusable: the log or the source lacks a column, or holds labels that are none.
        ArtefactDamaged: a partition of the log cannot be read.
        SourceUnavailable: the log or the source did not answer.
    """
    labelled_until = check.model.spec.data.label.delay.before(check.as_of)
    for window in _day_windows(champion.as_of, check.as_of):
        logged = _logged(workspace, check, champion, window)
        if logged is None:
            continue
        labels = None
        if window.start < labelled_until:
            labels = _labels(workspace, check, Window(window.start, min(window.end, labelled_until)))
        day = _joined(check, champion, window, logged, labels)
        if day is not None:
            yield day


def _day_windows(start: datetime, end: datetime) -> Iterator[Window]:
    """Yield the UTC days between two instants, cut at both, at most the last `MOST_DAYS`."""
    end = end.astimezone(UTC)
    last = datetime.combine((end - timedelta(microseconds=1)).date(), time(), UTC)
    first = max(start.astimezone(UTC), last - timedelta(days=MOST_DAYS - 1))
    while first < end:
        following = datetime.combine(first.date() + timedelta(days=1), time(), UTC)
        yield Window(first, min(following, end))
        first = following


def _logged(workspace: Workspace, check: Check, champion: Release, window: Window) -> pa.Table | None:
    """Return the rows that anybody answered, or None where the champion answered none of them.

    Those of other versions tell which keys are known.
    """
    data = check.model.spec.data
    wanted = [data.key, data.time_column, VERSION, *prediction_columns(champion.candidate.classes)]
    source = workspace.logged_for(check.model, champion.candidate)
    rows = _table(source.read(window, wanted), wanted, optional=(VERSION,))
    if rows is None or not _ours(rows, champion).any():
        return None
    return rows


def _labels(workspace: Workspace, check: Check, window: Window) -> pa.Table | None:
    """Return key, label and weight of the source's rows, each distinct row once."""
    data = check.model.spec.data
    wanted = list(dict.fromkeys([data.key, data.label.column, *([data.weight] if data.weight else [])]))
    rows = _table(workspace.source_for(check.model).read(window), wanted)
    return None if rows is None else rows.group_by(wanted, use_threads=False).aggregate([])


def _table(
    batches: Iterable[pa.RecordBatch], wanted: Sequence[str], optional: Sequence[str] = ()
) -> pa.Table | None:
    """Return these columns of all batches, text plain; None where there is no row.

    Raises:
        DataUnusable: a column that is not there.
    """
    import pyarrow as pa

    parts = []
    for batch in batches:
        names = [name for name in wanted if name in batch.schema.names]
        lost = [name for name in wanted if name not in names and name not in optional]
        if lost:
            raise DataUnusable(
                "the rows lack columns that the watch needs",
                got=f"lost: {', '.join(lost)}",
                allowed=", ".join(batch.schema.names),
                fix="let the query or the log return them",
            )
        if len(batch):
            parts.append(pa.table({name: _plain(batch.column(name)) for name in names}))
    try:
        return pa.concat_tables(parts, promote_options="permissive") if parts else None
    except (pa.ArrowInvalid, pa.ArrowTypeError) as exc:
        raise DataUnusable(
            "a column changes its type within a day",
            got=bounded(str(exc), 300),
            fix="give it one type in the query or the log",
        ) from exc


def _plain(column: pa.Array) -> pa.Array:
    import pyarrow as pa

    return column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column


def _ours(rows: pa.Table, champion: Release) -> np.ndarray:
    """Return which rows the champion answered: those that name its version or none."""
    import numpy as np
    import pyarrow.compute as pc

    if VERSION not in rows.column_names:
        return np.ones(rows.num_rows, dtype=bool)
    same = pc.fill_null(pc.equal(rows.column(VERSION), champion.version.number), True)
    return np.asarray(same.to_numpy(), dtype=bool)


def _joined(
    check: Check, champion: Release, window: Window, logged: pa.Table, labels: pa.Table | None
) -> AnsweredDay | None:
    import numpy as np

    from evergreen.training.labels import labels_of

    data, rule = check.model.spec.data, check.model.spec.gate
    predictions = _predictions(logged, champion.candidate.classes)
    finite = np.isfinite(predictions).reshape(len(predictions), -1).all(axis=1)
    ours = _ours(logged, champion)
    kept = ours & finite
    if not kept.any():
        return None
    rows = logged.filter(kept)
    keys = rows.column(data.key)
    places, twice, unknown = np.full(len(keys), -1), 0, 0
    known = np.empty(0, dtype=float if rule.task == "regression" else str)
    weights = None if data.weight is None else np.full(len(keys), np.nan)
    if labels is not None:
        labels = labels.set_column(0, data.key, _as(labels.column(data.key), keys.type, data.key))
        truth, doubtful = _truth(labels, data.key, data.label.column)
        places = _places(keys, truth.column(data.key))
        known = labels_of(truth.take(places[places >= 0]), data.label.column, rule.task)
        twice = int((_places(keys, doubtful) >= 0).sum())
        unknown = int((_places(truth.column(data.key), logged.column(data.key)) < 0).sum())
        if data.weight is not None:
            weights = _weights(labels, keys, data.key, data.weight)
    return AnsweredDay(
        day=window.start.date(),
        times=rows.column(data.time_column).to_numpy().astype("datetime64[us]"),
        predictions=predictions[kept],
        labelled=places >= 0,
        labels=known,
        weights=weights,
        unknown_keys=unknown,
        twice=twice,
        unanswered=int((ours & ~finite).sum()),
    )


def _predictions(rows: pa.Table, classes: tuple[str, ...]) -> np.ndarray:
    """Return `(n_rows, n_classes)` or `(n_rows,)`; what is missing is NaN."""
    import numpy as np
    import pyarrow as pa

    columns = [rows.column(name).cast(pa.float64()).to_numpy() for name in prediction_columns(classes)]
    return np.column_stack(columns) if classes else np.asarray(columns[0])


def _truth(labels: pa.Table, key: str, label: str) -> tuple[pa.Table, pa.ChunkedArray]:
    """Return the keys with one label and that label, and the keys with several."""
    import pyarrow.compute as pc

    from evergreen.training.labels import labelled

    known = labelled(labels.filter(pc.is_valid(labels.column(key))), label)
    pairs = known.group_by([key, label], use_threads=False).aggregate([])
    counts = pairs.group_by(key, use_threads=False).aggregate([(label, "count")])
    doubtful = counts.filter(pc.greater(counts.column(f"{label}_count"), 1)).column(key)
    return pairs.filter(pc.invert(pc.is_in(pairs.column(key), doubtful.combine_chunks()))), doubtful


def _places(keys: pa.ChunkedArray, among: pa.ChunkedArray) -> np.ndarray:
    """Return where each key first stands among others, -1 where it does not; `(n_keys,)`."""
    import numpy as np
    import pyarrow.compute as pc

    found = pc.index_in(keys, value_set=among.combine_chunks(), skip_nulls=True)
    return np.asarray(pc.fill_null(found, -1).to_numpy(), dtype=np.int64)


def _weights(labels: pa.Table, keys: pa.ChunkedArray, key: str, weight: str) -> np.ndarray:
    """Return how much the rows count, NaN where that is missing, negative or not finite."""
    import numpy as np
    import pyarrow as pa

    known = labels.column(weight).cast(pa.float64(), safe=False).to_numpy()
    places = _places(keys, labels.column(key))
    weights = np.where(places >= 0, known[places], np.nan)
    return np.where(np.isfinite(weights) & (weights >= 0), weights, np.nan)


def _as(keys: pa.ChunkedArray, wanted: pa.DataType, name: str) -> pa.ChunkedArray:
    """Return the source's keys in the type that they are logged in."""
    import pyarrow as pa

    try:
        return keys.cast(wanted)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as exc:
        raise DataUnusable(
            "labels cannot be joined: the key is of another type than in the log of predictions",
            where=f"key {name!r}",
            got=str(keys.type),
            allowed=str(wanted),
            fix="convert it in the query",
        ) from exc
