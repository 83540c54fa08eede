"""What the models that served were worth: logged predictions beside the labels that came later."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from dateutil.relativedelta import relativedelta

from evergreen.logged_rows import prediction_columns
from evergreen.replay.results import Served
from evergreen.results import PinnedModel, Release, from_json
from evergreen.window import Window
from evergreen.workspace import Workspace

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa


@dataclass(frozen=True, slots=True, eq=False)
class Answered:
    """Labelled rows of a stretch with what the champions of their time answered."""

    window: Window
    scored: int
    labels: np.ndarray
    predictions: np.ndarray
    weights: np.ndarray | None


def served(
    workspace: Workspace, model: PinnedModel, start: datetime, end: datetime
) -> tuple[tuple[Served, ...], Served]:
    """Return what the champions were worth by calendar month, and in all.

    Raises:
        DataUnusable: the source lacks key or label, or labels of another type than the task's.
    """
    classes = _classes(workspace, model.spec.name)
    parts = [_answered(workspace, model, window, classes) for window in _months(start, end)]
    months = tuple(_worth(model, [part], part.window, classes) for part in parts)
    return months, _worth(model, parts, Window(start, end), classes)


def _months(start: datetime, end: datetime) -> Iterator[Window]:
    while start < end:
        first = start.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        until = min(first + relativedelta(months=1), end)
        yield Window(start, until)
        start = until


def _classes(workspace: Workspace, name: str) -> tuple[str, ...]:
    """Return every class that a champion knew."""
    releases = workspace.ledger.entries(model=name, kind="release")
    return tuple(sorted({c for one in releases for c in from_json(Release, one.body).candidate.classes}))


def _answered(
    workspace: Workspace, model: PinnedModel, window: Window, classes: tuple[str, ...]
) -> Answered:
    import numpy as np
    import pyarrow.compute as pc

    from evergreen.evidence.clusters import weights_of
    from evergreen.training.labels import labelled, labels_of

    data = model.spec.data
    columns = prediction_columns(classes)
    log = workspace.predictions.rows(model.spec.name, data.time_column)
    logged = _table(log.read(window, [data.key, *columns]))
    known = _table(workspace.source_for(model).read(window))
    if logged is None or known is None:
        nothing = np.empty((0, len(classes)) if classes else 0)
        scored = 0 if logged is None else logged.num_rows
        return Answered(window, scored, np.empty(0, dtype=object), nothing, None)
    known = labelled(known, data.label.column)
    keys = known.column(data.key)
    place = pc.index_in(logged.column(data.key).cast(keys.type), value_set=keys.combine_chunks())
    found = logged.filter(pc.is_valid(place))
    truth = known.take(pc.drop_null(place))
    values = [
        found.column(name).to_numpy() if name in found.column_names else np.zeros(found.num_rows)
        for name in columns
    ]
    predictions = np.nan_to_num(np.column_stack(values)) if classes else values[0]
    labels = labels_of(truth, data.label.column, model.spec.gate.task)
    weights = weights_of(data, truth) if truth.num_rows else None
    return Answered(window, logged.num_rows, labels, predictions, weights)


def _table(batches: Iterator[pa.RecordBatch]) -> pa.Table | None:
    import pyarrow as pa

    tables = [pa.Table.from_batches([batch]) for batch in batches]
    return pa.concat_tables(tables, promote_options="permissive") if tables else None


def _worth(
    model: PinnedModel, parts: Sequence[Answered], window: Window, classes: tuple[str, ...]
) -> Served:
    import numpy as np

    from evergreen.evidence.judged_rows import JudgedRows
    from evergreen.evidence.metrics import MetricUndefined, value

    parts = [part for part in parts if part.scored]
    some = [part for part in parts if len(part.labels)]
    scored = sum(part.scored for part in parts)
    if not some:
        return Served(window.start, window.end, scored, 0, None)
    weights = [part.weights for part in some if part.weights is not None]
    labels = np.concatenate([part.labels for part in some])
    rows = JudgedRows(
        labels,
        classes,
        np.arange(len(labels)),
        "row",
        np.concatenate(weights) if weights else None,
    )
    try:
        found = value(model.spec.gate.metric, rows, np.concatenate([p.predictions for p in some]))
    except MetricUndefined:
        return Served(window.start, window.end, scored, len(labels), None)
    return Served(window.start, window.end, scored, len(labels), found)
