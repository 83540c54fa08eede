"""The ledger in a database: `ports.Ledger` over SQLite or PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from types import EllipsisType
from typing import Any

from sqlalchemy import Connection, Select, select

from evergreen.checkpoints import LEDGER
from evergreen.entry_keys import entry_key, run_key_of
from evergreen.errors import ChampionMoved, HandMoved, LeaseLost
from evergreen.failpoints import failpoint
from evergreen.ledger import chain
from evergreen.ledger import lease as leases
from evergreen.ledger.append import append_to
from evergreen.ledger.chain import Audit, Head, Row
from evergreen.ledger.content import Content
from evergreen.ledger.engine import Database
from evergreen.ledger.outbox import SqlOutbox
from evergreen.ledger.schema import entries as entries_table
from evergreen.ledger.schema import head as head_table
from evergreen.ports import Duty, Entry, Lease

_PAGE = 100

_columns = entries_table.c


class SqlLedger:
    """An open ledger. Threads may share it; another process opens its own."""

    def __init__(self, database: Database, lease_seconds: float) -> None:
        self._database = database
        self._lasts = timedelta(seconds=lease_seconds)

    @classmethod
    def open(cls, url: str, lease_seconds: float, wait_seconds: float) -> SqlLedger:
        """See `evergreen.ledger.open_ledger`."""
        database = Database(url, wait_seconds)
        try:
            database.retried(database.migrate)
        except BaseException:
            database.close()
            raise
        return cls(database, lease_seconds)

    @property
    def outbox(self) -> SqlOutbox:
        """The outbox that is kept beside this ledger."""
        return SqlOutbox(self._database)

    def append(
        self,
        kind: str,
        key: str,
        body: Mapping[str, Any],
        lease: Lease,
        *,
        expected_release: int | EllipsisType | None = ...,
        expected_hand: int | EllipsisType | None = ...,
    ) -> Entry:
        """Append an entry and return it, committed to disk (see `ports.Ledger`).

        An entry that already stands is returned whatever became of the lease: nothing is written.
        """
        content = Content(kind, key, body, lease)
        row = self._database.retried(lambda: self._append(content, expected_release, expected_hand))
        return chain.entry_of(row)

    def find(self, key: str) -> Entry | None:
        """Return the entry of an idempotency key, or None."""
        return self._first(select(entries_table).where(_columns.key == key))

    def entries(
        self,
        *,
        model: str | None = None,
        kind: str | None = None,
        before: datetime | None = None,
        after: int = 0,
    ) -> Iterator[Entry]:
        """Yield entries in order of `seq`: those before an instant, and with a `seq` above `after`.

        They are read page by page: memory is bounded and no transaction stays open in between, so
        entries appended while this runs are yielded too.
        """
        asked_for = _where(model, kind, before).order_by(_columns.seq).limit(_PAGE)
        while page := self._rows(asked_for.where(_columns.seq > after)):
            yield from map(chain.entry_of, page)
            after = page[-1].seq

    def last(self, model: str, kind: str, before: datetime | None = None) -> Entry | None:
        """Return the model's newest entry of a kind, or None."""
        return self._first(_where(model, kind, before).order_by(_columns.seq.desc()))

    def at(self, seq: int) -> Entry | None:
        """Return the entry of a `seq`, or None."""
        return self._first(select(entries_table).where(_columns.seq == seq))

    def newest(self) -> Entry | None:
        """Return the newest entry, or None where there is none."""
        return self._first(select(entries_table).order_by(_columns.seq.desc()))

    def rows(self) -> Iterator[Row]:
        """Yield every row as it is stored, at one moment, in order of `seq`, in bounded memory."""
        with self._database.snapshot() as connection:
            for row in connection.execute(select(entries_table).order_by(_columns.seq)):
                yield Row(*row)

    def adopt(self, key: str, body: Mapping[str, Any], after: Entry | None, epochs_above: int) -> Entry:
        """Append an `adopted` entry, and take every lease away (see `ports.Ledger`)."""
        content = Content("adopted", key, body, Lease(LEDGER, key, epochs_above, "hand"))
        row = self._database.retried(lambda: self._adopt(content, after))
        return chain.entry_of(row)

    def models(self) -> list[str]:
        """Return the models of which there are entries, sorted."""

        def read() -> list[str]:
            with self._database.reading() as connection:
                asked_for = select(_columns.model).distinct().order_by(_columns.model)
                return list(connection.execute(asked_for).scalars())

        return self._database.retried(read)

    def acquire(self, model: str, holder: str, duty: Duty = "retrain") -> Lease:
        """Take the model's lease for a duty, or take it over from an earlier try of the same holder."""

        def take() -> Lease:
            with self._database.writing() as (connection, _):
                now = self._database.now(connection)
                return leases.acquire(connection, model, holder, duty, now, self._lasts)

        return self._database.retried(take)

    def holder(self, model: str, duty: Duty = "retrain") -> str | None:
        """Return the run key of who holds the model's lease for a duty now, or None."""

        def look() -> str | None:
            with self._database.reading() as connection:
                return leases.holder(connection, model, duty, self._database.now(connection))

        return self._database.retried(look)

    def check(self, lease: Lease) -> None:
        """Refuse to go on where the lease was taken over or given back."""

        def look() -> None:
            with self._database.reading() as connection:
                leases.check(connection, lease)

        self._database.retried(look)

    def keep(self, lease: Lease) -> AbstractContextManager[None]:
        """Renew the lease in the background, three times per lease, while the context is open."""
        every_seconds = self._lasts.total_seconds() / leases.RENEWALS_PER_LEASE
        return leases.kept(lease, every_seconds, lambda: self._renew(lease))

    def free(self, lease: Lease) -> None:
        """Give the lease back. A lease already taken over is left alone."""

        def give_back() -> None:
            with self._database.writing() as (connection, _):
                leases.free(connection, lease, self._database.now(connection))

        self._database.retried(give_back)

    def verify(self) -> Audit:
        """Check the whole chain as it stands at one moment, in bounded memory (see `chain.audit`)."""
        with self._database.snapshot() as connection:
            found = connection.execute(select(head_table)).one_or_none()
            if found is None:
                return Audit(False, 0, chain.GENESIS, 1, "head differs: the row of the head is missing")
            rows = connection.execute(select(entries_table).order_by(_columns.seq))
            return chain.audit((Row(*row) for row in rows), Head(found.seq, found.hash))

    def close(self) -> None:
        """Close every connection."""
        self._database.close()

    def _append(
        self,
        content: Content,
        expected_release: int | EllipsisType | None,
        expected_hand: int | EllipsisType | None,
    ) -> Row:
        with self._database.writing() as (connection, head):
            stored = connection.execute(
                select(entries_table).where(_columns.key == content.key)
            ).one_or_none()
            if stored is not None:
                return content.agreeing(Row(*stored))
            leases.check(connection, content.lease)
            if expected_release is not ...:
                _check_release(connection, content, expected_release)
            if expected_hand is not ...:
                _check_hand(connection, content, expected_hand)
            row = append_to(connection, head, content, self._database.now(connection))
            failpoint("ledger.before_commit")
        failpoint("ledger.after_commit")
        return row

    def _adopt(self, content: Content, after: Entry | None) -> Row:
        with self._database.writing() as (connection, head):
            stored = connection.execute(
                select(entries_table).where(_columns.key == content.key)
            ).one_or_none()
            if stored is not None:
                return content.agreeing(Row(*stored))
            if head != (chain.EMPTY if after is None else Head(after.seq, after.hash)):
                raise LeaseLost(
                    "the ledger grew since this was decided",
                    where="ledger",
                    got=f"entry {head.seq}",
                    fix="nothing was changed; say again",
                )
            now = self._database.now(connection)
            row = append_to(connection, head, content, now)
            leases.void(connection, content.lease.epoch, now)
            failpoint("adopt.before_commit")
        return row

    def _renew(self, lease: Lease) -> bool:
        with self._database.writing() as (connection, _):
            return leases.renew(connection, lease, self._database.now(connection), self._lasts)

    def _rows(self, asked_for: Select[Any]) -> list[Row]:
        def read() -> list[Row]:
            with self._database.reading() as connection:
                return [Row(*row) for row in connection.execute(asked_for)]

        return self._database.retried(read)

    def _first(self, asked_for: Select[Any]) -> Entry | None:
        rows = self._rows(asked_for.limit(1))
        return chain.entry_of(rows[0]) if rows else None


def _check_hand(connection: Connection, content: Content, expected: int | None) -> None:
    newest = _newest(connection, content.lease.model, "hand")
    found = None if newest is None else newest.seq
    if found != expected:
        raise HandMoved(
            "a person decided something about this model since this was decided",
            where=content.key,
            got="no deed" if found is None else f"entry {found}",
            allowed="no deed" if expected is None else f"entry {expected}",
            fix="look at what stands now, then decide again",
        )


def _newest(connection: Connection, model: str, kind: str) -> Any:
    newest = _where(model, kind, None).order_by(_columns.seq.desc()).limit(1)
    return connection.execute(newest).one_or_none()


def _check_release(connection: Connection, content: Content, expected: int | None) -> None:
    newest = _newest(connection, content.lease.model, "release")
    found = None if newest is None else newest.seq
    if found != expected:
        raise ChampionMoved(
            "the champion is not the one this was decided on",
            where=content.key,
            got="no release" if found is None else f"release entry {found}",
            allowed="no release" if expected is None else f"release entry {expected}",
            fix="compare again with today's champion",
        )
    pending = _newest(connection, content.lease.model, "release_intended")
    if pending is None or pending.key == content.key:
        return
    ends = [entry_key(kind, run_key_of(pending.key)) for kind in ("release", "release_given_up")]
    if connection.execute(select(_columns.seq).where(_columns.key.in_(ends))).first() is None:
        raise ChampionMoved(
            "another run's release is intended and not done",
            where=content.key,
            got=f"entry {pending.seq}, {pending.key}",
            fix="finish that release first, then compare again",
        )


def _where(model: str | None, kind: str | None, before: datetime | None) -> Select[Any]:
    asked_for = select(entries_table)
    if model is not None:
        asked_for = asked_for.where(_columns.model == model)
    if kind is not None:
        asked_for = asked_for.where(_columns.kind == kind)
    if before is not None:
        asked_for = asked_for.where(_columns["at"] < chain.instant_text(before))
    return asked_for
