"""The ledger's tables, as the newest migration leaves them.

Times are text in UTC to the microsecond (`2013-04-01T06:00:00.000000Z`), one form in every database:
they are hashed as they stand, sort as time, and are readable without Evergreen.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, MetaData, Table, Text, text

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
    Index("entries_by_kind", "kind", "seq"),
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

incidents = Table(
    "incidents",
    metadata,
    Column("key", Exact, primary_key=True),
    Column("model", Exact, nullable=False),
    Column("cause", Exact, nullable=False),
    Column("severity", Exact, nullable=False),
    Column("headline", Exact, nullable=False),
    Column("opened_at", Exact, nullable=False),
    Column("last_at", Exact, nullable=False),
    Column("signature", Exact, nullable=False),
    Column("events", Counter, nullable=False),
    Column("acknowledged_by", Exact, nullable=True),
    Column("acknowledged_at", Exact, nullable=True),
    Column("closed_at", Exact, nullable=True),
    Column("told", Exact, nullable=False),
    Column("as_of", Exact, nullable=True),
    Index(
        "incidents_open",
        "model",
        "cause",
        unique=True,
        sqlite_where=text("closed_at IS NULL"),
        postgresql_where=text("closed_at IS NULL"),
    ),
)
"""What people were told of that has an end; at most one is open of a model and cause."""

messages = Table(
    "messages",
    metadata,
    Column("key", Exact, primary_key=True),
    Column("place", Exact, nullable=False),
    Column("channel", Exact, nullable=False),
    Column("purpose", Exact, nullable=False),
    Column("model", Exact, nullable=False),
    Column("incident", Exact, nullable=True),
    Column("seq", Counter, nullable=False),
    Column("events", Exact, nullable=False),
    Column("state", Exact, nullable=False),
    Column("due_at", Exact, nullable=False),
    Column("attempts", Counter, nullable=False),
    Column("tried_since", Exact, nullable=True),
    Column("why", Exact, nullable=True),
    Column("token", Counter, nullable=False),
    Column("claimed_until", Exact, nullable=True),
    Column("sent_at", Exact, nullable=True),
    Column("thread", Exact, nullable=True),
    Column("digest", Exact, nullable=True),
    Index("messages_due", "state", "due_at"),
    Index("messages_by_place", "place", "sent_at"),
    Index("messages_by_incident", "incident", "place"),
)
"""What waits to be sent, and what became of it. `token` grows with every claim and fences."""

outbox = Table(
    "outbox",
    metadata,
    Column("one", Integer, primary_key=True, autoincrement=False),
    Column("seq", Counter, nullable=False),
)
"""One row: up to which entry the ledger was taken in."""
