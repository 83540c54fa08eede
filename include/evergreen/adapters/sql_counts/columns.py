"""The columns of a query, as the database has them, or that rows must be pulled to know them.

PostgreSQL says the type of each column. SQLite keeps any value in any column, so it is asked which
types there are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import sqlalchemy as sa

from evergreen.column_types import FLOAT, INT, NULL, TEXT
from evergreen.sql_session import POSTGRES_TYPES

REAL, DOUBLE, BPCHAR, WITHOUT_ZONE, NUMERIC = 700, 701, 1042, 1114, 1700
"""PostgreSQL's numbers of the types that need a thought."""

_EXACT = 2**53
_SQLITE_TYPES = {
    (None, None): NULL,
    ("integer", "integer"): INT,
    ("integer", "real"): FLOAT,
    ("real", "real"): FLOAT,
    ("text", "text"): TEXT,
}


class NotPlain(Exception):
    """The database cannot count these rows just as they are counted when pulled: pull them."""


@dataclass(frozen=True, slots=True)
class Found:
    """A column of the rows, the type it has when it is pulled, and PostgreSQL's number of its own."""

    column: sa.ColumnElement[Any]
    type: pa.DataType
    oid: int | None = None


def postgres_columns(
    connection: sa.Connection, rows: sa.Subquery, names: Sequence[str], oids: Sequence[int | None]
) -> dict[str, Found]:
    """Return the columns of a query on PostgreSQL.

    Raises:
        NotPlain: one of a type that is read in some other way, or not at all.
    """
    kinds: dict[int | None, pa.DataType] = dict(POSTGRES_TYPES.items())
    strange = sorted({oid for oid in oids if oid is not None} - POSTGRES_TYPES.keys())
    if strange:
        catalogue = sa.table("pg_type", sa.column("oid"), sa.column("typtype"), schema="pg_catalog")
        enumerations = sa.select(catalogue.c.oid).where(
            catalogue.c.oid.in_(strange), catalogue.c.typtype == "e"
        )
        kinds |= dict.fromkeys(connection.execute(enumerations).scalars(), TEXT)
    unknown = [name for name, oid in zip(names, oids, strict=True) if oid not in kinds]
    if unknown:
        raise NotPlain(f"column {unknown[0]!r} has a type of its own")
    return {name: Found(rows.c[name], kinds[oid], oid) for name, oid in zip(names, oids, strict=True)}


def sqlite_columns(
    connection: sa.Connection, rows: sa.Subquery, binds: Mapping[str, Any], measured: Sequence[str]
) -> dict[str, Found]:
    """Return the columns of a query on SQLite; `measured` are those whose text's length is counted.

    Raises:
        NotPlain: a column of mixed types, or text whose length SQLite would not tell.
    """
    asked: list[sa.ColumnElement[Any]] = []
    for column in rows.c:
        kind = sa.func.nullif(sa.func.typeof(column), "null")
        asked += [sa.func.min(kind), sa.func.max(kind)]
    said = tuple(connection.execute(sa.select(*asked), binds).one())
    found = {}
    for position, column in enumerate(rows.c):
        kinds = said[2 * position : 2 * position + 2]
        if kinds not in _SQLITE_TYPES:
            raise NotPlain(f"column {column.name!r} holds {kinds[0]} and {kinds[1]}")
        found[column.name] = Found(column, _SQLITE_TYPES[kinds])
    doubts = [
        *(
            sa.and_(sa.func.typeof(column) == "integer", sa.not_(column.between(-_EXACT, _EXACT)))
            for column, kinds in zip(rows.c, zip(said[::2], said[1::2], strict=True), strict=True)
            if kinds == ("integer", "real")
        ),
        *(
            sa.func.instr(sa.cast(rows.c[name], sa.LargeBinary), b"\0") > 0
            for name in measured
            if name in found and found[name].type == TEXT
        ),
    ]
    if doubts:
        doubtful = sa.select(sa.func.count()).select_from(rows).where(sa.or_(*doubts))
        if connection.execute(doubtful, binds).scalar_one():
            raise NotPlain("a column holds integers beyond 2**53 among fractions, or text with a NUL")
    return found
