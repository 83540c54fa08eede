"""The first tables: entries, their head, and leases.

The triggers stop mistakes, and every user without the right to drop them. Whoever owns the database
can drop them; the hash chain shows what was changed afterwards.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_APPEND_ONLY = "the ledger is append-only: entries are never changed or deleted"
_HEAD_GROWS = "the head of the ledger only moves to the next entry"
_EPOCH_GROWS = "a lease is never deleted and its epoch never goes back"

_HEAD_BREAKS = "NEW.seq <> OLD.seq + 1 OR NEW.one <> OLD.one"
_EPOCH_BREAKS = "NEW.epoch < OLD.epoch OR NEW.model <> OLD.model"

# SQLite's INSERT OR REPLACE deletes rows without firing delete triggers, hence the insert trigger.
_SQLITE = (
    ("entries_keep", "BEFORE UPDATE ON entries", "1", _APPEND_ONLY),
    ("entries_stay", "BEFORE DELETE ON entries", "1", _APPEND_ONLY),
    (
        "entries_unreplaced",
        "BEFORE INSERT ON entries",
        "EXISTS (SELECT 1 FROM entries WHERE seq = NEW.seq OR key = NEW.key)",
        _APPEND_ONLY,
    ),
    ("head_grows", "BEFORE UPDATE ON head", _HEAD_BREAKS, _HEAD_GROWS),
    ("head_stays", "BEFORE DELETE ON head", "1", _HEAD_GROWS),
    ("leases_grow", "BEFORE UPDATE ON leases", _EPOCH_BREAKS, _EPOCH_GROWS),
    ("leases_stay", "BEFORE DELETE ON leases", "1", _EPOCH_GROWS),
)

_POSTGRES_FUNCTIONS = """
CREATE FUNCTION evergreen_refuse() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION '%', TG_ARGV[0] USING ERRCODE = 'restrict_violation'; END $$
"""
_POSTGRES = (
    ("entries_keep", "BEFORE UPDATE ON entries FOR EACH ROW", "true", _APPEND_ONLY),
    ("entries_stay", "BEFORE DELETE ON entries FOR EACH ROW", "true", _APPEND_ONLY),
    ("entries_whole", "BEFORE TRUNCATE ON entries FOR EACH STATEMENT", None, _APPEND_ONLY),
    ("head_grows", "BEFORE UPDATE ON head FOR EACH ROW", _HEAD_BREAKS, _HEAD_GROWS),
    ("head_stays", "BEFORE DELETE ON head FOR EACH ROW", "true", _HEAD_GROWS),
    ("head_whole", "BEFORE TRUNCATE ON head FOR EACH STATEMENT", None, _HEAD_GROWS),
    ("leases_grow", "BEFORE UPDATE ON leases FOR EACH ROW", _EPOCH_BREAKS, _EPOCH_GROWS),
    ("leases_stay", "BEFORE DELETE ON leases FOR EACH ROW", "true", _EPOCH_GROWS),
    ("leases_whole", "BEFORE TRUNCATE ON leases FOR EACH STATEMENT", None, _EPOCH_GROWS),
)


def upgrade() -> None:
    """Make the tables, the triggers and the empty head."""
    dialect = op.get_bind().dialect.name
    exact = sa.Text(collation="C") if dialect == "postgresql" else sa.Text()
    counter = sa.BigInteger() if dialect == "postgresql" else sa.Integer()
    op.create_table(
        "entries",
        sa.Column("seq", counter, primary_key=True, autoincrement=False),
        sa.Column("at", exact, nullable=False),
        sa.Column("model", exact, nullable=False),
        sa.Column("kind", exact, nullable=False),
        sa.Column("key", exact, nullable=False, unique=True),
        sa.Column("body", exact, nullable=False),
        sa.Column("previous_hash", exact, nullable=False),
        sa.Column("hash", exact, nullable=False),
    )
    op.create_index("entries_by_model", "entries", ["model", "kind", "seq"])
    head = op.create_table(
        "head",
        sa.Column("one", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("seq", counter, nullable=False),
        sa.Column("hash", exact, nullable=False),
    )
    op.create_table(
        "leases",
        sa.Column("model", exact, primary_key=True),
        sa.Column("holder", exact, nullable=True),
        sa.Column("epoch", counter, nullable=False),
        sa.Column("expires_at", exact, nullable=False),
    )
    op.bulk_insert(head, [{"one": 1, "seq": 0, "hash": "0" * 64}])
    if dialect == "postgresql":
        _guard_postgres()
    else:
        _guard_sqlite()


def _guard_sqlite() -> None:
    for name, event, breaks, why in _SQLITE:
        op.execute(
            f"CREATE TRIGGER {name} {event} WHEN {breaks} BEGIN SELECT RAISE(ABORT, '{why}'); END"
        )


def _guard_postgres() -> None:
    op.execute(_POSTGRES_FUNCTIONS)
    for name, event, breaks, why in _POSTGRES:
        when = f"WHEN ({breaks})" if breaks else ""
        op.execute(f"CREATE TRIGGER {name} {event} {when} EXECUTE FUNCTION evergreen_refuse('{why}')")
