"""How long a connection to a database may be silent before it counts as gone."""

from __future__ import annotations

LIBPQ_DRIVERS = frozenset({"psycopg", "psycopg2", "psycopg2cffi"})
"""Those of SQLAlchemy's drivers for PostgreSQL that take these arguments."""


def postgres_limits(wait_seconds: float) -> dict[str, int]:
    """Return connection arguments (libpq's names) that end a wait for a peer that is not there.

    A peer that is there and takes its time is another matter: that is the task's timeout.

    Args:
        wait_seconds: For making a connection; three times that for bytes to be acknowledged.
    """
    return {
        "connect_timeout": max(round(wait_seconds), 2),
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "tcp_user_timeout": 3 * max(round(wait_seconds * 1000), 1),
    }
