"""The columns of a query, as PostgreSQL has them, and the types they have when they are pulled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import sqlalchemy as sa

from evergreen.column_types import TEXT
from evergreen.sql_session import POSTGRES_TYPES

REAL, DOUBLE, BPCHAR, WITHOUT_ZONE, NUMERIC = 700, 701, 1042, 1114, 1700
"""PostgreSQL's numbers of the types that need a thought."""


class NotPlain(Exception):
    """The database cannot count these rows just as they are counted when pulled: pull them."""


@dataclass(frozen=True, slots=True)
class Found:
    """A column of the rows, the type it has when it is pulled, and PostgreSQL's number of its own."""

    column: sa.ColumnElement[Any]
    type: pa.DataType
    oid: int | None = None


def columns_of(
    connection: sa.Connection, rows: sa.Subquery, names: Sequence[str], oids: Sequence[int | None]
) -> dict[str, Found]:
    """Return the columns of a query.

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
