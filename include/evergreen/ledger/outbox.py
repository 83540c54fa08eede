"""The outbox in the ledger's database: `outbox.Outbox` over SQLite or PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import Connection, Row, Select, and_, exists, func, insert, or_, select, update

from evergreen.failpoints import failpoint
from evergreen.ledger import outbox_claims as claims
from evergreen.ledger.chain import Head, instant_text
from evergreen.ledger.engine import Database
from evergreen.ledger.outbox_rows import incident_of, incident_row, message_of, message_row, place_of
from evergreen.ledger.schema import incidents, messages
from evergreen.ledger.schema import outbox as cursor_table
from evergreen.outbox import (
    Allowance,
    Claim,
    Incident,
    Message,
    Plan,
    Purpose,
    Receipt,
    Undelivered,
)

_T = TypeVar("_T")

_BEGIN = ("opening", "escalation")
_GO_ON = ("update", "closing")
_MOST_LISTED = 1000

_m = messages.c


class SqlOutbox:
    """Incidents and messages beside a ledger. Threads may share it; `SqlLedger.outbox` gives it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def cursor(self) -> int:
        """Return the `seq` up to which the ledger was taken in."""
        return int(self._rows(select(cursor_table.c.seq))[0].seq)

    def open_incidents(self) -> Mapping[tuple[str, str], Incident]:
        """Return the open incidents by model and cause."""
        asked_for = select(incidents).where(incidents.c.closed_at.is_(None))
        found = map(incident_of, self._rows(asked_for.order_by(incidents.c.opened_at)))
        return {(one.model, one.cause): one for one in found}

    def incident(self, key: str) -> Incident | None:
        """Return an incident, open or closed."""
        rows = self._rows(select(incidents).where(incidents.c.key == key))
        return incident_of(rows[0]) if rows else None

    def apply(self, plan: Plan) -> bool:
        """Write a plan and move the cursor, if it still stands at `plan.since`; else do nothing."""
        return self._write(lambda connection, _, now: _apply(connection, plan, now))

    def due(self, now: datetime, limit: int) -> Sequence[Message]:
        """Return messages that wait, are due, and are claimed by nobody: see `outbox.Outbox`."""

        def look() -> list[Message]:
            with self._database.reading() as connection:
                waits = (_m.state == "waiting", claims.unclaimed(self._database.now(connection)))
                asked_for = (
                    select(messages)
                    .where(*waits, _m.due_at <= instant_text(now), ~_opening_waits())
                    .order_by(_m.attempts, _m.due_at, _m.seq, _m.key)
                    .limit(limit)
                )
                return [message_of(row) for row in connection.execute(asked_for)]

        return self._database.retried(look)

    def claim(self, key: str, seconds: float, allowance: Allowance | None = None) -> Claim | None:
        """Take a message for sending, or None: see `outbox.Outbox`."""
        return self._write(
            lambda connection, _, now: claims.claim(connection, key, seconds, allowance, now)
        )

    def sent(self, claim: Claim, receipt: Receipt) -> bool:
        """Record that a message was sent; False where the claim was taken over meanwhile."""
        return self._write(
            lambda connection, head, now: claims.end(
                connection, head, claim, "sent", now, thread=receipt.thread, why=receipt.note
            )
        )

    def given_up(self, claim: Claim, why: str) -> bool:
        """Record that a message will not be sent."""
        return self._write(
            lambda connection, head, now: claims.end(connection, head, claim, "given_up", now, why=why)
        )

    def again(self) -> int:
        """Let everything that was given up wait anew, and return how much that is."""
        return self._write(lambda connection, _, now: claims.again(connection, now))

    def postponed(self, claim: Claim, until: datetime, why: str, *, whole_place: bool = False) -> bool:
        """Record a vain try: the message waits until an instant, as may all else for its receiver."""
        text = instant_text(until)
        return self._write(
            lambda connection, _, now: claims.postpone(
                connection, claim, text, why, now, whole_place=whole_place
            )
        )

    def dropped(self, key: str) -> None:
        """Record that a waiting message is not needed any more."""
        self._write(lambda connection, _, now: _drop(connection, now, _m.key == key))

    def gather(self, digest: Message, members: Sequence[str]) -> bool:
        """Put one message in the place of several that wait: see `outbox.Outbox`."""
        return self._write(lambda connection, _head, _now: claims.gather(connection, digest, members))

    def heard(self, incident: str, channel: str) -> bool:
        """Return whether a channel was told of an incident, or was meant to be and could not be."""
        told = _beginnings(incident, channel).where(_m.state.in_(("sent", "given_up", "in_digest")))
        return bool(self._rows(told.limit(1)))

    def thread(self, incident: str, channel: str) -> str | None:
        """Return the thread of the incident's opening on a channel (or of the digest that told it)."""
        digest = messages.alias()
        asked_for = (
            _beginnings(incident, channel, func.coalesce(_m.thread, digest.c.thread).label("thread"))
            .outerjoin(digest, digest.c.key == _m.digest)
            .order_by(_m.sent_at, _m.due_at)
        )
        return next((row.thread for row in self._rows(asked_for) if row.thread is not None), None)

    def sent_since(self, channel: str, since: datetime, purposes: Collection[Purpose]) -> int:
        """Return how many messages of some purposes a channel was sent since an instant."""
        asked_for = select(func.count().label("count")).where(
            _m.place == place_of(channel),
            _m.purpose.in_(tuple(purposes)),
            _m.state == "sent",
            _m.sent_at >= instant_text(since),
        )
        return int(self._rows(asked_for)[0][0])

    def undelivered(self, model: str | None = None) -> Sequence[Undelivered]:
        """Return the messages that wait or were given up: see `outbox.Outbox`."""
        asked_for = select(messages).where(_m.state.in_(("waiting", "given_up")))
        if model is not None:
            asked_for = asked_for.where(_m.model == model)
        newest = (_m.state == "waiting").desc(), _m.due_at.desc(), _m.seq.desc(), _m.key.desc()
        rows = self._rows(asked_for.order_by(*newest).limit(_MOST_LISTED))
        oldest_first = sorted(rows, key=lambda row: (row.due_at, row.seq, row.key))
        return [Undelivered(message_of(row), row.state, row.why) for row in oldest_first]

    def _write(self, change: Callable[[Connection, Head, str], _T]) -> _T:
        def once() -> _T:
            with self._database.writing() as (connection, head):
                result = change(connection, head, self._database.now(connection))
                failpoint("outbox.before_commit")
            failpoint("outbox.after_commit")
            return result

        return self._database.retried(once)

    def _rows(self, asked_for: Select[Any]) -> Sequence[Row[Any]]:
        def read() -> Sequence[Row[Any]]:
            with self._database.reading() as connection:
                return connection.execute(asked_for).all()

        return self._database.retried(read)


def _apply(connection: Connection, plan: Plan, now: str) -> bool:
    moved = connection.execute(
        update(cursor_table).where(cursor_table.c.seq == plan.since).values(seq=plan.until)
    )
    if moved.rowcount != 1:
        return False
    for one in plan.incidents:
        _put_incident(connection, one)
    for message in plan.messages:
        _put_message(connection, message)
    for one in plan.incidents:
        if one.closed_at or one.acknowledged_at:
            _drop(connection, now, _m.incident == one.key, _m.purpose == "escalation")
    return True


def _drop(connection: Connection, now: str, *which: Any) -> None:
    """Let messages that wait, and that nobody is sending, be needed no more."""
    connection.execute(
        update(messages)
        .where(*which, _m.state == "waiting", claims.unclaimed(now))
        .values(state="not_needed")
    )


def _put_incident(connection: Connection, one: Incident) -> None:
    row = incident_row(one)
    if not connection.execute(update(incidents).where(incidents.c.key == one.key).values(row)).rowcount:
        connection.execute(insert(incidents).values(row))


def _put_message(connection: Connection, message: Message) -> None:
    standing = connection.execute(select(_m.key).where(_m.key == message.key)).one_or_none()
    if standing is None:
        connection.execute(insert(messages).values(message_row(message)))


def _beginnings(incident: str, channel: str, *columns: Any) -> Any:
    """Return the select of what told a channel of an incident first."""
    return (
        select(*(columns or (_m.key,)))
        .select_from(messages)
        .where(_m.incident == incident, _m.place == place_of(channel), _m.purpose.in_(_BEGIN))
    )


def _opening_waits() -> Any:
    """Return the condition that a message goes on with what the same channel was not yet told of."""
    first, digest = messages.alias(), messages.alias()
    gathered = exists(
        select(digest.c.key).where(digest.c.key == first.c.digest, digest.c.state == "waiting")
    )
    waits = or_(first.c.state == "waiting", and_(first.c.state == "in_digest", gathered))
    begun = select(first.c.key).where(
        first.c.incident == _m.incident, first.c.place == _m.place, first.c.purpose.in_(_BEGIN), waits
    )
    return and_(_m.purpose.in_(_GO_ON), exists(begun))
