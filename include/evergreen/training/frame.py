"""From Arrow rows to the frame a model sees: one function, for training and scoring alike.

A feature is a column of the snapshot. Numbers and booleans become one float64 column (missing and
infinite values are NaN), text stays one column of strings (missing is NaN), and times become calendar
numbers: `TIME__month`, `TIME__day`, `TIME__weekday` (Monday is 0), `TIME__hour`, `TIME__minute`, all
in UTC. A model therefore holds no code of ours and can be stored without pickle.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from evergreen.column_kinds import Kind, kind_of, readable_as
from evergreen.errors import DataUnusable
from evergreen.results import ColumnType
from evergreen.spec import Data

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import pyarrow as pa

log = logging.getLogger(__name__)

_CALENDAR: Mapping[str, tuple[str, ...]] = {
    "instant": ("month", "day", "weekday", "hour", "minute"),
    "date": ("month", "day", "weekday"),
    "time": ("hour", "minute"),
}


def usable_features(train: pa.Table, data: Data) -> tuple[tuple[ColumnType, ...], tuple[str, ...]]:
    """Return the features that the training rows give, and a warning for each one left out.

    Every column is a feature but the key, the time column, the label, the weight and `data.exclude`.
    Left out are columns without a value and columns with the same value in every row.

    Raises:
        DataUnusable: a column of a type no model can use, or no feature left.
    """
    import pyarrow.compute as pc

    no_features = {data.key, data.time_column, data.label.column, data.weight, *data.exclude}
    columns = [f for f in train.schema if f.name not in no_features]
    unusable = [f for f in columns if kind_of(str(f.type)) is None]
    if unusable:
        raise DataUnusable(
            "columns of a type that no model can use",
            where="train window",
            got=", ".join(f"{f.name}: {f.type}" for f in unusable),
            allowed="numbers, booleans, text, dates and times",
            fix="convert them in the query, or name them under data.exclude",
        )
    features, warnings = [], []
    for field in columns:
        column = train.column(field.name)
        if column.null_count == len(column):
            warnings.append(f"feature {field.name!r} left out: it has no value in any training row")
        elif pc.count_distinct(column, mode="all").as_py() == 1:
            warnings.append(f"feature {field.name!r} left out: it is the same in every training row")
        else:
            features.append(ColumnType(field.name, str(field.type)))
            warnings.extend(_infinities(field.name, column))
    if not features:
        raise DataUnusable(
            "no usable feature is left",
            where="train window",
            got="; ".join(warnings) or "no column besides key, time and label",
            fix="let the query return columns that tell rows apart",
        )
    return tuple(features), tuple(warnings)


def feature_frame(rows: pa.Table, features: Sequence[ColumnType]) -> pd.DataFrame:
    """Return the rows as models see them, one or more columns per feature, in the order of `features`.

    Columns that are no features are ignored.

    Raises:
        DataUnusable: a feature that the rows lack or hold in another type, or two columns of a name.
    """
    import pandas as pd

    lost = [f.name for f in features if f.name not in rows.column_names]
    if lost:
        raise DataUnusable(
            "the rows lack columns that the model was trained on",
            got=f"lost: {', '.join(lost)}",
            allowed=", ".join(f.name for f in features),
            fix="let the query return them again, if need be as NULL: a challenger leaves out a column "
            "that has no value",
        )
    columns: dict[str, np.ndarray] = {}
    for feature in features:
        for name, values in _values_of(feature, rows.column(feature.name)).items():
            if name in columns or (name != feature.name and name in rows.column_names):
                raise DataUnusable(
                    f"the calendar column {name!r} of a time collides with a column of that name",
                    where=f"column {feature.name!r}",
                    fix="rename the column in the query, or name one of the two under data.exclude",
                )
            columns[name] = values
    return pd.DataFrame(columns, copy=False)


def columns_of(feature: ColumnType) -> tuple[str, ...]:
    """Return the names of the frame's columns that a feature becomes.

    >>> columns_of(ColumnType("landed", "time64[us]")), columns_of(ColumnType("miles", "double"))
    (('landed__hour', 'landed__minute'), ('miles',))
    """
    parts = _CALENDAR.get(kind_of(feature.type) or "null")
    return tuple(f"{feature.name}__{part}" for part in parts) if parts else (feature.name,)


def _values_of(feature: ColumnType, column: pa.ChunkedArray) -> dict[str, np.ndarray]:
    import pyarrow as pa

    wanted = kind_of(feature.type)
    if wanted is None or not readable_as(feature.type, str(column.type)):
        raise DataUnusable(
            "the column changed its type since the model was trained",
            where=f"column {feature.name!r}",
            got=str(column.type),
            allowed=feature.type,
            fix="convert it back in the query, or return it under a new name and NULL under this one",
        )
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if wanted in _CALENDAR:
        return _calendar(feature, column, wanted)
    if wanted == "text":
        return {feature.name: _strings(column)}
    if wanted == "span":
        column = column.cast(pa.duration("us")).cast(pa.int64())
    return {feature.name: _numbers(column, feature.name)}


def _numbers(column: pa.ChunkedArray, name: str) -> np.ndarray:
    import numpy as np
    import pyarrow as pa

    values: np.ndarray = np.array(column.cast(pa.float64(), safe=False).to_numpy())
    infinite = np.isinf(values)
    if infinite.any():
        log.info("%d infinite values of column %s are taken as missing", infinite.sum(), name)
        values[infinite] = np.nan
    return values


def _strings(column: pa.ChunkedArray) -> np.ndarray:
    import numpy as np
    import pyarrow as pa

    values: np.ndarray = column.cast(pa.large_string()).to_pandas().to_numpy(dtype=object, copy=True)
    values[~column.is_valid().to_numpy().astype(bool)] = np.nan
    return values


def _calendar(feature: ColumnType, column: pa.ChunkedArray, kind: Kind) -> dict[str, np.ndarray]:
    import pyarrow as pa
    import pyarrow.compute as pc

    if kind in ("instant", "date"):
        zone = getattr(column.type, "tz", None)
        column = column.cast(pa.timestamp("us", "UTC" if zone else None), safe=False)
    else:
        column = column.cast(pa.time64("us"), safe=False)
    parts = {
        "month": pc.month,
        "day": pc.day,
        "weekday": pc.day_of_week,
        "hour": pc.hour,
        "minute": pc.minute,
    }
    return {
        f"{feature.name}__{part}": _numbers(parts[part](column), feature.name)
        for part in _CALENDAR[kind]
    }


def _infinities(name: str, column: pa.ChunkedArray) -> list[str]:
    import pyarrow as pa
    import pyarrow.compute as pc

    if not pa.types.is_floating(column.type):
        return []
    count = pc.sum(pc.is_inf(column)).as_py() or 0
    return [f"{count} infinite values of feature {name!r} are taken as missing"] if count else []
