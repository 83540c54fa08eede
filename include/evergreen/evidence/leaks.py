"""Looks for features that know too much, and for train and test rows that are not apart.

A leak makes a model look better than it will be, in the gate's own figures too: no comparison can show
it. What is found here are suspicions with their numbers; the gate decides what they do.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from evergreen.column_kinds import kind_of
from evergreen.column_types import TIME
from evergreen.comparison import Finding
from evergreen.errors import DataUnusable
from evergreen.evidence.lone_features import SUSPICIOUS, lone_scores
from evergreen.gate_spec import LeakRule
from evergreen.metric_spec import Task
from evergreen.results import ColumnType
from evergreen.row_times import instants
from evergreen.spec import Data
from evergreen.text import plain
from evergreen.window import Windows

if TYPE_CHECKING:
    import pandas as pd

MOST_EXAMPLES = 3

_ALLOW = "name it in data.exclude or, once a person has looked at it, in gate.leaks.allow"


def findings(
    rule: LeakRule,
    data: Data,
    task: Task,
    windows: Windows,
    features: Sequence[ColumnType],
    train: pa.Table,
    test: pa.Table,
) -> tuple[Finding, ...]:
    """Return what is suspicious about the rows that a challenger was trained and judged on.

    - `windows_overlap`: the train window reaches into the test window, or a train row lies in it.
    - `shared_keys`: a test row has the key of a train row. Windows and snapshots see to it that neither
      of these two happens; they are looked at again here because everything else rests on them.
    - `after_label`: a time among the features, or one in `rule.computed_at`, lies after the time at
      which its row's label became known (the row's time and `data.label.delay`); dates count from their
      first moment. Also where a column of `rule.computed_at` cannot be checked.
    - `predicts_alone`: see `lone_features`.

    Args:
        rule: What is allowed, and which columns tell when features were computed.
        data: Names of columns, and the label's delay.
        task: What is predicted.
        windows: The run's.
        features: The features of the challenger.
        train: The rows it was trained on, with the columns of `data` and of `rule.computed_at`.
        test: The rows it is judged on.
    """
    looked_at = [feature for feature in features if feature.name not in rule.allow]
    return (
        *_windows_overlap(data, windows, train),
        *_shared_keys(data, train, test),
        *_after_label(rule, data, looked_at, (train, test)),
        *_predicts_alone(data, task, looked_at, train, test),
    )


def _windows_overlap(data: Data, windows: Windows, train: pa.Table) -> Iterator[Finding]:
    begins = windows.test.start
    if begins < windows.train.end:
        words = (
            f"The test window begins at {begins:%Y-%m-%dT%H:%MZ}, before the train window ends at "
            f"{windows.train.end:%Y-%m-%dT%H:%MZ}; no row may be in both."
        )
        yield Finding("windows_overlap", "windows", words)
    late = pc.sum(pc.greater_equal(_times(train, data.time_column, data.time_zone), begins)).as_py() or 0
    if late:
        words = (
            f"{late} of {len(train)} train rows lie at or after {begins:%Y-%m-%dT%H:%MZ}, where the "
            "test window begins; train on earlier rows only."
        )
        yield Finding("windows_overlap", data.time_column, words)


def _shared_keys(data: Data, train: pa.Table, test: pa.Table) -> Iterator[Finding]:
    known = pc.unique(train.column(data.key)).drop_null()
    keys = test.column(data.key).filter(pc.is_in(test.column(data.key), value_set=known))
    if not len(keys):
        return
    examples = ", ".join(plain(key, 60) for key in keys.slice(0, MOST_EXAMPLES).to_pylist())
    words = (
        f"{len(keys)} of {len(test)} test rows have the {data.key} of a train row ({examples}): a row "
        "belongs to one window only, so look for copied rows or a key that is none."
    )
    yield Finding("shared_keys", data.key, words)


def _after_label(
    rule: LeakRule, data: Data, features: Sequence[ColumnType], tables: tuple[pa.Table, pa.Table]
) -> Iterator[Finding]:
    computed_at = list(dict.fromkeys(rule.computed_at))
    told_by_features = [
        feature.name
        for feature in features
        if kind_of(feature.type) in {"instant", "date"} and feature.name not in computed_at
    ]
    if not computed_at and not told_by_features:
        return
    known = [_label_known(rows, data) for rows in tables]
    for name in computed_at:
        problem = _unusable(name, data, tables)
        if problem:
            words = f"Whether features were computed in time cannot be checked: {problem}."
            yield Finding("after_label", name, words)
            continue
        fix = "compute features from what was known by then"
        yield from _late(name, f"Column {name!r} of gate.leaks.computed_at", fix, data, tables, known)
    for name in told_by_features:
        yield from _late(name, f"Feature {name!r}", _ALLOW, data, tables, known)


def _unusable(name: str, data: Data, tables: tuple[pa.Table, pa.Table]) -> str | None:
    """Return why a column cannot be read as times, or None where it can."""
    if any(name not in rows.column_names for rows in tables):
        return f"the data has no column {name!r}, which gate.leaks.computed_at names"
    try:
        read = sum(len(_times(rows, name, data.time_zone).drop_null()) for rows in tables)
    except DataUnusable as exc:
        return f"column {name!r} of gate.leaks.computed_at holds no times ({plain(exc.got, 120)})"
    return None if read else f"column {name!r} of gate.leaks.computed_at is empty"


def _late(
    name: str,
    subject: str,
    fix: str,
    data: Data,
    tables: tuple[pa.Table, pa.Table],
    known: list[pd.DatetimeIndex],
) -> Iterator[Finding]:
    """Yield a finding where times of a column lie after the label was known."""
    import pandas as pd

    late = rows = 0
    example = ""
    for table, deadlines in zip(tables, known, strict=True):
        found = pd.DatetimeIndex(_times(table, name, data.time_zone).to_pandas())
        after = np.asarray(found > deadlines)  # a missing time is after nothing
        rows += int(np.count_nonzero(found.notna()))
        late += int(after.sum())
        if after.any() and not example:
            first = int(after.argmax())
            example = f"{_shown(found[first])} where it was known at {_shown(deadlines[first])}"
    if late:
        words = (
            f"{subject} lies after the time at which the row's label became known in {late} of {rows} "
            f"rows ({late / rows:.1%}), such as {example}; {fix}."
        )
        yield Finding("after_label", name, words)


def _label_known(rows: pa.Table, data: Data) -> pd.DatetimeIndex:
    import pandas as pd

    times = pd.DatetimeIndex(_times(rows, data.time_column, data.time_zone).to_pandas())
    delay: dict[str, Any] = {data.label.delay.unit: data.label.delay.count}
    return times + pd.DateOffset(**delay) if data.label.delay.count else times


def _times(rows: pa.Table, name: str, zone: str) -> pa.ChunkedArray:
    """Return a column as UTC microseconds, whatever times are written as; nulls stay.

    Raises:
        DataUnusable: a column that holds no times.
    """
    whole = pa.concat_arrays(rows.column(name).chunks) if rows.num_rows else pa.array([], TIME)
    given = whole.drop_null()
    read = instants(given, name, zone, "rows", 1)
    if len(given) == len(whole):
        return pa.chunked_array([read])
    position = pc.subtract(pc.cumulative_sum(whole.is_valid().cast(pa.int64())), 1)
    position = pc.if_else(whole.is_valid(), position, pa.scalar(None, pa.int64()))
    return pa.chunked_array([read.take(position)])


def _shown(instant: pd.Timestamp) -> str:
    return f"{instant:%Y-%m-%dT%H:%M:%SZ}"


def _predicts_alone(
    data: Data, task: Task, features: Sequence[ColumnType], train: pa.Table, test: pa.Table
) -> Iterator[Finding]:
    measure = "ROC AUC" if task == "classification" else "R²"
    for name, score in lone_scores(train, test, features, data.label.column, task):
        if score >= SUSPICIOUS[task]:
            words = (
                f"Feature {name!r} alone predicts the labels of the test window almost perfectly "
                f"({measure} {score:.4f}, and {SUSPICIOUS[task]:g} is taken for a leak); see "
                f"whether it is known when the model is asked, then {_ALLOW}."
            )
            yield Finding("predicts_alone", name, words)
