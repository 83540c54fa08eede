"""The ledger's tables, as the newest migration leaves them.

Times are text in UTC to the microsecond (`2013-04-01T06:00:00.000000Z`), one form in every database:
they are hashed as they stand, sort as time, and are readable without Evergreen.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, MetaData, Table, Text

# Byte order, so that text sorts as time whatever the database's locale.
Exact = Text(collation="C").with_variant(Text(), "sqlite")
Counter = BigInteger().with_variant(Integer(), "sqlite")

metadata = MetaData()

entries = Table(
    "entries",
    metadata,
    Column("seq", Counter, primary_key=True, autoincrement=False),
    Column("at", Exact, nullable=False),
    Column("model", Exact, nullable=False),
    Column("kind", Exact, nullable=False),
    Column("key", Exact, nullable=False, unique=True),
    Column("body", Exact, nullable=False),
    Column("previous_hash", Exact, nullable=False),
    Column("hash", Exact, nullable=False),
    Index("entries_by_model", "model", "kind", "seq"),
)
"""The truth. Triggers refuse to change or delete a row."""

head = Table(
    "head",
    metadata,
    Column("one", Integer, primary_key=True, autoincrement=False),
    Column("seq", Counter, nullable=False),
    Column("hash", Exact, nullable=False),
)
"""One row: the newest entry. Locking it is the one write lock of the ledger."""

leases = Table(
    "leases",
    metadata,
    Column("model", Exact, primary_key=True),
    Column("holder", Exact, nullable=True),
    Column("epoch", Counter, nullable=False),
    Column("expires_at", Exact, nullable=False),
)
"""Who may change a model. A row is never deleted, so that its epoch never goes back."""
