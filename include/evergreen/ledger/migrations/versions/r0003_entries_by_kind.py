"""An index by kind: what is asked of all models reads the entries of that kind, not all there are."""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Make the index."""
    op.create_index("entries_by_kind", "entries", ["kind", "seq"])
