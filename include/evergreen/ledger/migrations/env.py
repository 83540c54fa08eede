"""Alembic runs this file; the connection comes from `migrations.upgrade`, with its transaction open."""

from __future__ import annotations

from alembic import context

from evergreen.ledger.migrations import VERSION_TABLE
from evergreen.ledger.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
)
context.run_migrations()
