"""The outbox in the ledger's database: `outbox.Outbox` over SQLite or PostgreSQL.

Claims are told by the database's clock and fenced by a token that grows with each: whoever was stopped
past its claim, and wakes after another took the message, records nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, Select, and_, exists, func, insert, or_, select, update

from evergreen.entry_keys import entry_key
from evergreen.failpoints import failpoint
from evergreen.ledger.append import append_to
from evergreen.ledger.chain import Head, instant_text
from evergreen.ledger.content import Content
from evergreen.ledger.engine import Database
from evergreen.ledger.outbox_rows import (
    incident_of,
    incident_row,
    message_of,
    message_row,
    place_of,
    told_body,
    told_of_model,
)
from evergreen.ledger.schema import incidents, messages
from evergreen.ledger.schema import outbox as cursor_table
from evergreen.outbox import (
    Allowance,
    Claim,
    Incident,
    Message,
    MessageState,
    Plan,
    Purpose,
    Receipt,
    Undelivered,
)
from evergreen.ports import Lease

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
        return self._database.retried(lambda: self._apply(plan))

    def due(self, now: datetime, limit: int) -> Sequence[Message]:
        """Return messages that wait, are due, and are claimed by nobody: see `outbox.Outbox`."""

        def look() -> list[Message]:
            with self._database.reading() as connection:
                waits = (_m.state == "waiting", _unclaimed(self._database.now(connection)))
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
        return self._database.retried(lambda: self._claim(key, seconds, allowance))

    def sent(self, claim: Claim, receipt: Receipt) -> bool:
        """Record that a message was sent; False where the claim was taken over meanwhile."""
        return self._database.retried(lambda: self._end(claim, "sent", thread=receipt.thread))

    def given_up(self, claim: Claim, why: str) -> bool:
        """Record that a message will not be sent."""
        return self._database.retried(lambda: self._end(claim, "given_up", why=why))

    def postponed(self, claim: Claim, until: datetime, why: str, *, whole_place: bool = False) -> bool:
        """Record a vain try: the message waits until an instant, as may all else for its receiver."""
        return self._database.retried(
            lambda: self._postpone(claim, instant_text(until), why, whole_place)
        )

    def dropped(self, key: str) -> None:
        """Record that a waiting message is not needed any more."""

        def drop() -> None:
            with self._database.writing() as (connection, _):
                unclaimed = _unclaimed(self._database.now(connection))
                connection.execute(
                    update(messages)
                    .where(_m.key == key, _m.state == "waiting", unclaimed)
                    .values(state="not_needed")
                )

        self._database.retried(drop)

    def gather(self, digest: Message, members: Sequence[str]) -> bool:
        """Put one message in the place of several that wait; False where one of them waits no more."""
        return self._database.retried(lambda: self._gather(digest, members))

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
        """Return the messages that wait or were given up, the oldest first, of one model or of all."""
        asked_for = select(messages).where(_m.state.in_(("waiting", "given_up")))
        if model is not None:
            asked_for = asked_for.where(_m.model == model)
        rows = self._rows(asked_for.order_by(_m.due_at, _m.seq, _m.key).limit(_MOST_LISTED))
        return [Undelivered(message_of(row), row.state, row.why) for row in rows]

    def _apply(self, plan: Plan) -> bool:
        with self._database.writing() as (connection, _):
            moved = connection.execute(
                update(cursor_table).where(cursor_table.c.seq == plan.since).values(seq=plan.until)
            )
            if moved.rowcount != 1:
                return False
            for one in plan.incidents:
                _put_incident(connection, one)
            for message in plan.messages:
                _put_message(connection, message)
            over = [one.key for one in plan.incidents if one.closed_at or one.acknowledged_at]
            unclaimed = _unclaimed(self._database.now(connection))
            for key in over:
                connection.execute(
                    update(messages)
                    .where(_m.incident == key, _m.purpose == "escalation", _m.state == "waiting")
                    .where(unclaimed)
                    .values(state="not_needed")
                )
            failpoint("outbox.before_applied")
        return True

    def _claim(self, key: str, seconds: float, allowance: Allowance | None) -> Claim | None:
        with self._database.writing() as (connection, _):
            now = self._database.now(connection)
            row = connection.execute(
                select(messages).where(_m.key == key, _m.state == "waiting", _unclaimed(now))
            ).one_or_none()
            if row is None or (allowance and _used(connection, row.place, allowance, now)):
                return None
            until = instant_text(datetime.fromisoformat(now) + timedelta(seconds=seconds))
            token = row.token + 1
            connection.execute(
                update(messages).where(_m.key == key).values(token=token, claimed_until=until)
            )
            return Claim(message_of(row), token)

    def _end(self, claim: Claim, state: MessageState, **learnt: str | None) -> bool:
        with self._database.writing() as (connection, head):
            row = connection.execute(select(messages).where(*_is(claim))).one_or_none()
            if row is None or row.state != "waiting":
                # A transaction whose commit was sent and never answered may have been committed.
                return row is not None and row.state == state
            now = self._database.now(connection)
            connection.execute(
                update(messages)
                .where(*_is(claim))
                .values(
                    state=state,
                    attempts=row.attempts + 1,
                    claimed_until=None,
                    sent_at=now if state == "sent" else None,
                    **learnt,
                )
            )
            _record(connection, head, claim, state, now, learnt)
            failpoint("outbox.before_recorded")
        failpoint("outbox.recorded")
        return True

    def _postpone(self, claim: Claim, until: str, why: str, whole_place: bool) -> bool:
        with self._database.writing() as (connection, _):
            now = self._database.now(connection)
            mine = (*_is(claim), _m.state == "waiting")
            tried = {
                "due_at": until,
                "attempts": claim.message.attempts + 1,
                "tried_since": func.coalesce(_m.tried_since, now),
                "why": why,
                "claimed_until": None,
            }
            if connection.execute(update(messages).where(*mine).values(tried)).rowcount != 1:
                return False
            if whole_place:
                connection.execute(
                    update(messages)
                    .where(_m.place == place_of(claim.message.channel), _m.state == "waiting")
                    .where(_m.due_at < until, _unclaimed(now))
                    .values(due_at=until)
                )
        return True

    def _gather(self, digest: Message, members: Sequence[str]) -> bool:
        with self._database.writing() as (connection, _):
            standing = select(_m.key).where(_m.key == digest.key)
            if connection.execute(standing).one_or_none() is not None:
                return True
            free = (_m.key.in_(members), _m.state == "waiting")
            unclaimed = _unclaimed(self._database.now(connection))
            found = connection.execute(select(_m.key).where(*free, unclaimed)).all()
            if len(found) != len(members):
                return False
            gathered = {"state": "in_digest", "digest": digest.key}
            connection.execute(update(messages).where(*free).values(gathered))
            connection.execute(insert(messages).values(message_row(digest)))
            failpoint("outbox.before_gathered")
        return True

    def _rows(self, asked_for: Select[Any]) -> Sequence[Row[Any]]:
        def read() -> Sequence[Row[Any]]:
            with self._database.reading() as connection:
                return connection.execute(asked_for).all()

        return self._database.retried(read)


def _record(
    connection: Connection,
    head: Head,
    claim: Claim,
    state: MessageState,
    now: str,
    learnt: Mapping[str, str | None],
) -> None:
    """Append what became of a message to the chain; its claim's token fences it, not a lease."""
    kind = "told" if state == "sent" else "not_told"
    message = claim.message
    writer = Lease(told_of_model(message), "outbox", claim.token, "alerts")
    body = told_body(message, attempts=message.attempts + 1, **learnt)
    append_to(connection, head, Content(kind, entry_key(kind, message.key), body, writer), now)


def _put_incident(connection: Connection, one: Incident) -> None:
    row = incident_row(one)
    if not connection.execute(update(incidents).where(incidents.c.key == one.key).values(row)).rowcount:
        connection.execute(insert(incidents).values(row))


def _put_message(connection: Connection, message: Message) -> None:
    standing = connection.execute(select(_m.key).where(_m.key == message.key)).one_or_none()
    if standing is None:
        connection.execute(insert(messages).values(message_row(message)))


def _used(connection: Connection, place: str, allowance: Allowance, now: str) -> bool:
    """Return whether a place was sent, or is being sent, as much as is allowed."""
    sent = and_(_m.state == "sent", _m.sent_at >= instant_text(allowance.since))
    under_way = and_(_m.state == "waiting", _m.claimed_until > now)
    count = select(func.count()).where(
        _m.place == place, _m.purpose.in_(tuple(allowance.purposes)), or_(sent, under_way)
    )
    return bool(connection.execute(count).scalar_one() >= allowance.most)


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


def _unclaimed(now: str) -> Any:
    return or_(_m.claimed_until.is_(None), _m.claimed_until <= now)


def _is(claim: Claim) -> tuple[Any, ...]:
    return _m.key == claim.message.key, _m.token == claim.token
