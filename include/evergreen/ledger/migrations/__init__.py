"""The ledger's schema, version by version, and the one way to the newest.

`REVISIONS` names every revision this code knows, oldest first; a ledger at any other one was made by
a newer Evergreen and is left alone.
"""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Column, Connection, MetaData, Table, Text, inspect, select

from evergreen.errors import LedgerError

REVISIONS = ("0001", "0002", "0003")
VERSION_TABLE = "ledger_version"
"""Not Alembic's default, which other users of a shared database (MLflow, Airflow) also keep."""

_version = Table(VERSION_TABLE, MetaData(), Column("version_num", Text))


def is_current(connection: Connection) -> bool:
    """Return whether the ledger is at the newest revision this code knows.

    Raises:
        LedgerError: the ledger is at a revision that this code does not know.
    """
    if not inspect(connection).has_table(VERSION_TABLE):
        return False
    revision = connection.execute(select(_version.c.version_num)).scalar()
    if revision is not None and revision not in REVISIONS:
        raise LedgerError(
            "the ledger was made by a newer Evergreen",
            got=f"ledger revision {revision}",
            allowed=", ".join(REVISIONS),
            fix="upgrade airflow-provider-evergreen on this machine; the ledger was not changed",
        )
    return bool(revision == REVISIONS[-1])


def upgrade(connection: Connection) -> None:
    """Bring the ledger to the newest revision, within the connection's open transaction.

    The caller holds a lock that keeps other processes from doing the same.
    """
    # Most processes find the ledger current and never pay for this import.
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
