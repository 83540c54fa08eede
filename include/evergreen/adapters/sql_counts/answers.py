"""A query's columns as those of logged rows: the prediction's under Evergreen's names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from evergreen.adapters.sql_counts.columns import DOUBLE, Found, NotPlain
from evergreen.adapters.sql_counts.dialects import Dialect
from evergreen.column_types import BOOL, FLOAT, INT, NULL
from evergreen.logged_rows import VALUE, VERSION, probability
from evergreen.monitor_spec import LoggedPredictions


def logged_columns(
    found: Mapping[str, Found],
    logged: LoggedPredictions,
    classes: tuple[str, ...],
    dialect: Dialect,
) -> dict[str, Found]:
    """Return the logged rows' columns by name.

    Raises:
        NotPlain: a column that the model file names is not there, or is of another type.
    """
    answers = dict(_answers(found, logged, classes, dialect))
    named = {logged.prediction, logged.version, *(logged.probabilities or {}).values()}
    columns = {name: column for name, column in found.items() if name not in named}
    if columns.keys() & answers.keys():
        raise NotPlain("the rows have columns of Evergreen's names")
    return columns | answers


def _answers(
    found: Mapping[str, Found],
    logged: LoggedPredictions,
    classes: tuple[str, ...],
    dialect: Dialect,
) -> Iterator[tuple[str, Found]]:
    if logged.version is not None:
        version = _named(found, logged.version)
        if version.type not in (INT, NULL):
            raise NotPlain(f"column {logged.version!r} holds no whole numbers")
        yield VERSION, Found(version.column, INT, version.oid)
    if logged.probabilities is not None:
        for name, column in logged.probabilities.items():
            yield probability(name), _number(_named(found, column), dialect)
        return
    prediction = _number(_named(found, logged.prediction or ""), dialect)
    if not classes:
        yield VALUE, prediction
    elif len(classes) == 2:
        yield probability(classes[0]), Found(1.0 - prediction.column, FLOAT, DOUBLE)
        yield probability(classes[1]), prediction
    else:
        raise NotPlain("one column cannot hold the probabilities of more than two classes")


def _named(found: Mapping[str, Found], name: str) -> Found:
    if name not in found:
        raise NotPlain(f"there is no column {name!r}")
    return found[name]


def _number(found: Found, dialect: Dialect) -> Found:
    if found.type not in (BOOL, FLOAT, INT, NULL):
        raise NotPlain("a prediction is no number")
    return Found(dialect.number(found), FLOAT, DOUBLE)
