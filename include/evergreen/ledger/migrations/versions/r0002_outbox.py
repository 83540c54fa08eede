"""The outbox: incidents, messages, and up to which entry the ledger was taken in.

A ledger that people were not told of until now begins at its end: nobody is told of what is past.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_OPEN = sa.text("closed_at IS NULL")


def upgrade() -> None:
    """Make the three tables, and set the cursor to the ledger's head."""
    dialect = op.get_bind().dialect.name
    exact = sa.Text(collation="C") if dialect == "postgresql" else sa.Text()
    counter = sa.BigInteger() if dialect == "postgresql" else sa.Integer()
    _make_incidents(exact, counter)
    _make_messages(exact, counter)
    op.create_table(
        "outbox",
        sa.Column("one", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("seq", counter, nullable=False),
    )
    op.execute("INSERT INTO outbox (one, seq) SELECT 1, seq FROM head")


def _make_incidents(exact: sa.Text, counter: sa.Integer) -> None:
    op.create_table(
        "incidents",
        sa.Column("key", exact, primary_key=True),
        sa.Column("model", exact, nullable=False),
        sa.Column("cause", exact, nullable=False),
        sa.Column("severity", exact, nullable=False),
        sa.Column("headline", exact, nullable=False),
        sa.Column("opened_at", exact, nullable=False),
        sa.Column("last_at", exact, nullable=False),
        sa.Column("signature", exact, nullable=False),
        sa.Column("events", counter, nullable=False),
        sa.Column("acknowledged_by", exact, nullable=True),
        sa.Column("acknowledged_at", exact, nullable=True),
        sa.Column("closed_at", exact, nullable=True),
        sa.Column("told", exact, nullable=False),
        sa.Column("as_of", exact, nullable=True),
    )
    op.create_index(
        "incidents_open",
        "incidents",
        ["model", "cause"],
        unique=True,
        sqlite_where=_OPEN,
        postgresql_where=_OPEN,
    )


def _make_messages(exact: sa.Text, counter: sa.Integer) -> None:
    op.create_table(
        "messages",
        sa.Column("key", exact, primary_key=True),
        sa.Column("place", exact, nullable=False),
        sa.Column("channel", exact, nullable=False),
        sa.Column("purpose", exact, nullable=False),
        sa.Column("model", exact, nullable=False),
        sa.Column("incident", exact, nullable=True),
        sa.Column("seq", counter, nullable=False),
        sa.Column("events", exact, nullable=False),
        sa.Column("state", exact, nullable=False),
        sa.Column("due_at", exact, nullable=False),
        sa.Column("attempts", counter, nullable=False),
        sa.Column("tried_since", exact, nullable=True),
        sa.Column("why", exact, nullable=True),
        sa.Column("token", counter, nullable=False),
        sa.Column("claimed_until", exact, nullable=True),
        sa.Column("sent_at", exact, nullable=True),
        sa.Column("thread", exact, nullable=True),
        sa.Column("digest", exact, nullable=True),
    )
    op.create_index("messages_due", "messages", ["state", "due_at"])
    op.create_index("messages_by_place", "messages", ["place", "sent_at"])
    op.create_index("messages_by_incident", "messages", ["incident", "place"])
