"""How the chain grows: one link, within a write transaction that the caller has open."""

from __future__ import annotations

from dataclasses import asdict

from sqlalchemy import Connection, insert, select, update

from evergreen.errors import ChainBroken
from evergreen.ledger import chain
from evergreen.ledger.chain import Head, Row
from evergreen.ledger.content import Content
from evergreen.ledger.schema import entries
from evergreen.ledger.schema import head as head_table


def append_to(connection: Connection, head: Head, content: Content, now: str) -> Row:
    """Append a checked content after the head and move the head to it; nothing is committed.

    Raises:
        ChainBroken: the chain's end is not where the head says.
    """
    _check_head(connection, head)
    row = chain.link(
        head,
        at=now,
        model=content.lease.model,
        kind=content.kind,
        key=content.key,
        body=content.body,
    )
    connection.execute(insert(entries).values(asdict(row)))
    connection.execute(update(head_table).values(seq=row.seq, hash=row.hash))
    return row


def _check_head(connection: Connection, head: Head) -> None:
    """Refuse to build on a chain whose end is not where the head says."""
    newest = select(entries.c.seq, entries.c.hash).order_by(entries.c.seq.desc()).limit(1)
    found = connection.execute(newest).one_or_none()
    end = chain.EMPTY if found is None else Head(found.seq, found.hash)
    if end != head:
        raise ChainBroken(
            "the newest entry is not the one that the head names",
            where="ledger",
            got=f"entry {end.seq}",
            allowed=f"entry {head.seq}",
            fix="nothing was written; run `evergreen audit`, and restore the ledger from a backup",
        )
