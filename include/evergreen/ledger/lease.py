"""Leases: who may change a model, told by the database's clock and fenced by an epoch.

An expired lease still writes as long as nobody took it over: expiry only lets others in. Every
function runs inside the ledger's one write transaction, so none races another or an append.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Connection, func, insert, select, update

from evergreen.errors import LeaseHeld, LeaseLost, LedgerError
from evergreen.ledger.chain import instant_text
from evergreen.ledger.schema import leases
from evergreen.ports import Duty, Lease

log = logging.getLogger(__name__)

RENEWALS_PER_LEASE = 3
_VOIDED = "/voided"
"""The row that keeps up to which epoch all leases were taken away; no model's name holds a slash."""


def acquire(
    connection: Connection, model: str, holder: str, duty: Duty, now: str, lasts: timedelta
) -> Lease:
    """Take the model's lease for a duty where it is free, expired or the holder's own, with a new epoch.

    Raises:
        LeaseHeld: another holder's lease has not expired.
    """
    row = _row(model, duty)
    held = connection.execute(select(leases).where(leases.c.model == row)).one_or_none()
    expires_at = _later(now, lasts)
    if held is None:
        first = _lowest(connection) + 1
        connection.execute(
            insert(leases).values(model=row, holder=holder, epoch=first, expires_at=expires_at)
        )
        return Lease(model, holder, first, duty)
    if held.holder not in (None, holder) and held.expires_at > now:
        raise LeaseHeld(
            f"another run is at work on this model: {held.holder}",
            where=model,
            got=f"a lease that lasts until {held.expires_at}",
            fix="wait for it to end; where it was killed, start that same run again or wait until then, "
            "for nothing renews its lease",
        )
    epoch: int = held.epoch + 1
    connection.execute(
        update(leases)
        .where(leases.c.model == row)
        .values(holder=holder, epoch=epoch, expires_at=expires_at)
    )
    return Lease(model, holder, epoch, duty)


def holder(connection: Connection, model: str, duty: Duty, now: str) -> str | None:
    """Return who holds the model's lease for a duty and has not let it expire, or None."""
    held = connection.execute(
        select(leases).where(leases.c.model == _row(model, duty), leases.c.expires_at > now)
    ).one_or_none()
    found: str | None = None if held is None else held.holder
    return found


def check(connection: Connection, lease: Lease) -> None:
    """Refuse what a run whose lease was taken over or given back wants to write.

    Raises:
        LeaseLost: the lease is not the newest of its model.
    """
    row = _row(lease.model, lease.duty)
    held = connection.execute(select(leases).where(leases.c.model == row)).one_or_none()
    if held is not None and (held.holder, held.epoch) == (lease.holder, lease.epoch):
        return
    now_held = "nobody" if held is None or held.holder is None else held.holder
    raise LeaseLost(
        "this run's lease was given back or taken over, so it may write nothing more",
        where=lease.model,
        got=f"epoch {lease.epoch} of {lease.holder}",
        allowed=f"epoch {held.epoch if held else 0} of {now_held}",
        fix="nothing was changed; let the run that holds the lease go on, or start this one again",
    )


def renew(connection: Connection, lease: Lease, now: str, lasts: timedelta) -> bool:
    """Let the lease last `lasts` from now; return whether it was still the newest of its model."""
    renewed = connection.execute(update(leases).where(*_is(lease)).values(expires_at=_later(now, lasts)))
    return renewed.rowcount == 1


def free(connection: Connection, lease: Lease, now: str) -> None:
    """Give the lease back, where it is still the newest of its model; its epoch stays."""
    connection.execute(update(leases).where(*_is(lease)).values(holder=None, expires_at=now))


def void(connection: Connection, epochs_above: int, now: str) -> None:
    """Take every lease away, and let each epoch go on above a number.

    After a backup was restored its leases are older than what processes may still hold. A row that only
    keeps the number lets models without a lease begin there, too.
    """
    ours = leases.c.model == _VOIDED
    if connection.execute(select(leases.c.model).where(ours)).one_or_none() is None:
        connection.execute(insert(leases).values(model=_VOIDED, epoch=epochs_above, expires_at=now))
    connection.execute(update(leases).where(leases.c.epoch < epochs_above).values(epoch=epochs_above))
    connection.execute(update(leases).values(holder=None, expires_at=now))


def _lowest(connection: Connection) -> int:
    """Return the number above which epochs begin."""
    voided = select(func.coalesce(func.max(leases.c.epoch), 0)).where(leases.c.model == _VOIDED)
    return int(connection.execute(voided).scalar_one())


@contextmanager
def kept(lease: Lease, every_seconds: float, renew_once: Callable[[], bool]) -> Iterator[None]:
    """Call `renew_once` in a thread until the context is left or it says that the lease was lost.

    The thread outlives a database that does not answer for a while, and ends with the context.
    """
    left = threading.Event()

    def renew_until_left() -> None:
        while not left.wait(every_seconds):
            try:
                if not renew_once():
                    log.warning("lease of %s (epoch %d) was taken over", lease.model, lease.epoch)
                    return
            except LedgerError as error:
                log.warning("lease of %s was not renewed, trying again: %s", lease.model, error)

    thread = threading.Thread(target=renew_until_left, name=f"lease of {lease.model}", daemon=True)
    thread.start()
    try:
        yield
    finally:
        left.set()
        thread.join()


def _is(lease: Lease) -> tuple[ColumnElement[bool], ...]:
    return (
        leases.c.model == _row(lease.model, lease.duty),
        leases.c.holder == lease.holder,
        leases.c.epoch == lease.epoch,
    )


def _row(model: str, duty: Duty) -> str:
    """Return the key of a lease's row; no model's name holds a slash."""
    return model if duty == "retrain" else f"{model}/{duty}"


def _later(now: str, lasts: timedelta) -> str:
    return instant_text(datetime.fromisoformat(now) + lasts)
