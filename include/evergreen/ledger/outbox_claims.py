"""Claims: who may send a message, told by the database's clock and fenced by a token.

A token grows with every claim: whoever was stopped past its claim, and wakes after another took the
message, records nothing. Every function runs inside the ledger's one write transaction.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, bindparam, func, insert, or_, select, update

from evergreen.entry_keys import entry_key
from evergreen.ledger.append import append_to
from evergreen.ledger.chain import Head, instant_text
from evergreen.ledger.content import Content
from evergreen.ledger.outbox_rows import message_of, message_row, place_of, told_body, told_of_model
from evergreen.ledger.schema import entries, messages
from evergreen.outbox import Allowance, Claim, Message, MessageState
from evergreen.ports import Lease

_m = messages.c


def unclaimed(now: str) -> Any:
    """Return the condition that nobody is sending a message."""
    return or_(_m.claimed_until.is_(None), _m.claimed_until <= now)


def claim(
    connection: Connection, key: str, seconds: float, allowance: Allowance | None, now: str
) -> Claim | None:
    """Take a message that waits and that nobody has, unless its place was sent enough."""
    row = connection.execute(
        select(messages).where(_m.key == key, _m.state == "waiting", unclaimed(now))
    ).one_or_none()
    if row is None or (allowance and _used(connection, row.place, allowance, now)):
        return None
    until = instant_text(datetime.fromisoformat(now) + timedelta(seconds=seconds))
    token = row.token + 1
    connection.execute(update(messages).where(_m.key == key).values(token=token, claimed_until=until))
    return Claim(message_of(row), token)


def postpone(
    connection: Connection, claim: Claim, until: str, why: str, now: str, *, whole_place: bool
) -> bool:
    """Let a message wait after a vain try, and with it, where asked for, all for its place."""
    tried = {
        "due_at": until,
        "attempts": claim.message.attempts + 1,
        "tried_since": func.coalesce(_m.tried_since, now),
        "why": why,
        "claimed_until": None,
    }
    mine = update(messages).where(*_is(claim), _m.state == "waiting").values(tried)
    if connection.execute(mine).rowcount != 1:
        return False
    if whole_place:
        connection.execute(
            update(messages)
            .where(_m.place == place_of(claim.message.channel), _m.state == "waiting")
            .where(_m.due_at < until, unclaimed(now))
            .values(due_at=until)
        )
    return True


def end(
    connection: Connection,
    head: Head,
    claim: Claim,
    state: MessageState,
    now: str,
    *,
    thread: str | None = None,
    why: str | None = None,
) -> bool:
    """Record that a message was sent or given up, in its row and in the chain.

    `why` is why it was given up, or whom it did not reach though it was sent. Its claim's token fences
    the entry, not a lease.
    """
    row = connection.execute(select(messages).where(*_is(claim))).one_or_none()
    if row is None or row.state != "waiting":
        # A transaction whose commit was sent and never answered may have been committed.
        return row is not None and row.state == state
    ended = {
        "state": state,
        "attempts": row.attempts + 1,
        "claimed_until": None,
        "sent_at": now if state == "sent" else None,
        "thread": thread,
        "why": why,
    }
    connection.execute(update(messages).where(*_is(claim)).values(ended))
    message, kind = claim.message, "told" if state == "sent" else "not_told"
    learnt = {"why": why} if state != "sent" else {"thread": thread} | ({"note": why} if why else {})
    body = told_body(message, row.attempts + 1, learnt)
    writer = Lease(told_of_model(message), "outbox", claim.token, "alerts")
    append_to(
        connection, head, Content(kind, _free_key(connection, kind, message.key), body, writer), now
    )
    return True


def again(connection: Connection, now: str) -> int:
    """Let everything that was given up wait anew, and return how much that is."""
    anew = {"state": "waiting", "due_at": now, "attempts": 0, "tried_since": None, "why": None}
    waiting = connection.execute(update(messages).where(_m.state == "given_up").values(anew))
    return waiting.rowcount


def gather(connection: Connection, digest: Message, members: Sequence[str]) -> bool:
    """Put a digest in the place of messages that wait and that nobody began to send, or do nothing."""
    standing = select(_m.key).where(_m.key == digest.key)
    if connection.execute(standing).one_or_none() is not None:
        return True
    these = (_m.key.in_(members), _m.state == "waiting", _m.token == 0)
    if len(connection.execute(select(_m.key).where(*these)).all()) != len(members):
        return False
    connection.execute(update(messages).where(*these).values(state="in_digest", digest=digest.key))
    connection.execute(insert(messages).values(message_row(digest)))
    return True


def _free_key(connection: Connection, kind: str, key: str) -> str:
    """Return the key of the next entry of a kind about a message; it may be given up more than once."""
    keys = (entry_key(kind, key, number) for number in itertools.count(1))
    stands = select(entries.c.seq).where(entries.c.key == bindparam("key"))
    return next(one for one in keys if connection.execute(stands, {"key": one}).one_or_none() is None)


def _used(connection: Connection, place: str, allowance: Allowance, now: str) -> bool:
    """Return whether a place was sent, or is being sent, as much as is allowed."""
    of_it = _m.place == place, _m.purpose.in_(tuple(allowance.purposes))
    sent = (_m.state == "sent", _m.sent_at >= instant_text(allowance.since))
    under_way = (_m.state == "waiting", _m.sent_at.is_(None), _m.claimed_until > now)
    # Two counts, for an "or" would read all that the place was ever sent; the index holds `sent_at`.
    counts = (select(func.count()).where(*of_it, *which) for which in (sent, under_way))
    return sum(connection.execute(count).scalar_one() for count in counts) >= allowance.most


def _is(claim: Claim) -> tuple[Any, ...]:
    return _m.key == claim.message.key, _m.token == claim.token
