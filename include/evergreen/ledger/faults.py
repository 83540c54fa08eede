"""What the databases' errors mean: which of ours each of theirs is, and which may pass."""

from __future__ import annotations

import os
from pathlib import Path

from sqlalchemy import exc
from sqlalchemy.engine import make_url

from evergreen.errors import LedgerError, LedgerUnavailable, bounded
from evergreen.redaction import redact

_NO_PERMISSION = {"42501"}
_MAY_PASS_IN_SQLITE = ("locked", "busy", "unable to open", "disk i/o error", "disk is full")


def translation(error: Exception, where: str) -> LedgerError:
    """Return our error for one of the database's."""
    said = bounded(redact(str(getattr(error, "orig", None) or error)))
    state = getattr(getattr(error, "orig", None), "sqlstate", None)
    if isinstance(error, exc.TimeoutError):
        return LedgerUnavailable("no connection to the ledger became free", where=where, got=said)
    sqlite = where.startswith("sqlite")
    passing = sqlite and opened_for_reading_only(said) and may_write(where)
    if not passing and (opened_for_reading_only(said) or state in _NO_PERMISSION):
        return LedgerError(
            "the ledger cannot be written",
            where=where,
            got=said,
            fix="give this user the right to write the ledger (on SQLite also its folder)",
        )
    if "not a database" in said or "malformed" in said:
        return LedgerError(
            "the ledger's file is damaged or is no ledger",
            where=where,
            got=said,
            fix="restore it from a backup, or let EVERGREEN_LEDGER name another file",
        )
    if passing or _may_pass(error, said, sqlite=sqlite):
        return LedgerUnavailable(
            "the ledger's database did not answer in time",
            where=where,
            got=said,
            fix="nothing was lost: try again once it answers",
        )
    return LedgerError("the ledger's database refused", where=where, got=said)


def connection_was_lost(error: BaseException) -> bool:
    """Return whether an error of ours says that the connection broke, so that a new one may serve."""
    cause = error.__cause__
    if not isinstance(error, LedgerUnavailable) or not isinstance(cause, exc.DBAPIError):
        return False
    # A server that is starting or stopping refuses connections without an SQL state.
    return cause.connection_invalidated or getattr(cause.orig, "sqlstate", "none") is None


def opened_for_reading_only(said: str) -> bool:
    """Return whether an error says that nothing can be written here."""
    return "readonly" in said or "read-only" in said


def may_write(url: str) -> bool:
    """Return whether the file of a SQLite URL may be written.

    SQLite opens a file for reading where opening it for writing failed, for whatever reason: a disk
    that was full or broken for a moment looks like a right that is missing.
    """
    path = Path(str(make_url(url).database))
    return os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)


def _may_pass(error: Exception, said: str, *, sqlite: bool) -> bool:
    if sqlite:
        return any(word in said.lower() for word in _MAY_PASS_IN_SQLITE)
    lost = isinstance(error, exc.DBAPIError) and error.connection_invalidated
    return lost or isinstance(error, exc.OperationalError | exc.InterfaceError)
