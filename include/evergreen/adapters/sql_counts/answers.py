"""A query's columns as those of logged rows: the prediction's under Evergreen's names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import sqlalchemy as sa

from evergreen.adapters.sql_counts.cells import number_of
from evergreen.adapters.sql_counts.columns import DOUBLE, Found, NotPlain
from evergreen.column_types import FLOAT, INT, NULL
from evergreen.logged_rows import VALUE, VERSION, prediction_columns, probability
from evergreen.monitor_spec import LoggedPredictions


def logged_columns(
    found: Mapping[str, Found], logged: LoggedPredictions, classes: tuple[str, ...]
) -> dict[str, Found]:
    """Return the logged rows' columns by name.

    Raises:
        NotPlain: a column that the model file names is not there, or is of another type.
    """
    answers = dict(_answers(found, logged, classes))
    named = {logged.prediction, logged.version, *(logged.probabilities or {}).values()}
    columns = {name: column for name, column in found.items() if name not in named}
    if columns.keys() & answers.keys():
        raise NotPlain("the rows have columns of Evergreen's names")
    return columns | answers


def _answers(
    found: Mapping[str, Found], logged: LoggedPredictions, classes: tuple[str, ...]
) -> Iterator[tuple[str, Found]]:
    if logged.version is not None:
        version = _named(found, logged.version)
        if version.type not in (INT, NULL):
            raise NotPlain(f"column {logged.version!r} holds no whole numbers")
        yield VERSION, Found(version.column, INT, version.oid)
    named = logged.probabilities or {classes[-1] if classes else "": logged.prediction or ""}
    given = {name: _number(_named(found, column)) for name, column in named.items()}
    if not classes:
        yield from ((VALUE, number) for number in given.values())
        return
    if len(classes) == 2 and len(given) == 1:
        ((name, number),) = given.items()
        other = classes[0] if name == classes[1] else classes[1]
        given[other] = Found(1.0 - number.column, FLOAT, DOUBLE)
    if given.keys() != {*classes}:
        raise NotPlain("the predictions named are not those of the classes")
    yield from ((probability(name), number) for name, number in given.items())


def are_shares(columns: Mapping[str, Found], classes: Sequence[str]) -> sa.ColumnElement[bool]:
    """Return whether the probabilities of a row, where there are some, lie from 0 to 1."""
    given = [columns[name].column for name in prediction_columns(tuple(classes)) if name in columns]
    if not classes:
        return sa.true()
    return sa.and_(sa.true(), *(sa.or_(one.is_(None), one.between(0.0, 1.0)) for one in given))


def _named(found: Mapping[str, Found], name: str) -> Found:
    if name not in found:
        raise NotPlain(f"there is no column {name!r}")
    return found[name]


def _number(found: Found) -> Found:
    if found.type not in (FLOAT, INT, NULL):
        raise NotPlain("a prediction is no number")
    return Found(number_of(found), FLOAT, DOUBLE)
