"""The append-only memory: what was decided, on what evidence, in which order.

Importing this package loads no database library; `open_ledger` does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from evergreen.ledger.store import SqlLedger

KINDS = (
    "run_started",
    "snapshot",
    "validation",
    "trained",
    "candidate",
    "comparison",
    "refit",
    "version",
    "release_intended",
    "release",
    "release_withheld",
    "release_given_up",
    "step_failed",
    "run_finished",
    "scored",
    "check_started",
    "profiled",
    "observed",
    "verdict",
    "alarm_reported",
    "retrain_decided",
    "retrain_requested",
    "request_taken",
    "request_closed",
    "approval_asked",
    "approval_answered",
    "hand",
    "reconcile_intended",
    "reconciled",
    "event",
    "acknowledged",
    "told",
    "not_told",
    "adopted",
)
"""Every kind of entry, in the order in which a run writes them (`step_failed` at any time).

Those from `check_started` to `retrain_requested` are of a check of the watch; `request_taken` and
`request_closed` are of the retrain that serves a request; the approvals are of the retrain that waits.
`release_withheld` takes the place of a release that a person's deed forbids, and `hand` is such a deed
(pin, pause, rollback, …); `release_given_up` that of one whose version the registry lost.
`reconcile_intended` and `reconciled` are of a pass over all models: what it mended or told. Those
from `event` to `not_told` are of the messages to people. `adopted` is of no model: a person accepts the
ledger although a checkpoint contradicts it.
"""

WAIT_SECONDS = 10.0
"""How long a call waits for a lock or a connection before it raises `LedgerUnavailable`."""


def open_ledger(url: str, lease_seconds: float, *, wait_seconds: float = WAIT_SECONDS) -> SqlLedger:
    """Open the ledger at a SQLAlchemy URL, made or brought up to date where it is not yet.

    Safe when several processes open one ledger at once, and when one of them is killed doing so.

    Args:
        url: `sqlite:////path/ledger.db` or `postgresql://user:password@host/database`.
        lease_seconds: How long a lease lasts after it was taken or last renewed.
        wait_seconds: How long a call waits for a lock or a connection.

    Raises:
        BadConfiguration: the URL names no database that can hold a ledger, or its driver is missing.
        LedgerUnavailable: the database did not answer, or another process kept it locked.
        LedgerError: no permission, not a database, or a ledger of a newer Evergreen.
    """
    from evergreen.ledger.store import SqlLedger

    return SqlLedger.open(url, lease_seconds, wait_seconds)
