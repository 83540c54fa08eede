"""A ledger in memory that keeps every promise of the port, for tests of what uses one."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from types import EllipsisType
from typing import Any

from evergreen.checkpoints import LEDGER
from evergreen.entry_keys import entry_key, run_key_of
from evergreen.errors import ChampionMoved, HandMoved, LeaseHeld, LeaseLost
from evergreen.ledger.chain import (
    EMPTY,
    Audit,
    Head,
    Row,
    audit,
    entry_of,
    instant_text,
    link,
)
from evergreen.ledger.content import Content
from evergreen.ports import Duty, Entry, Lease


@dataclass(frozen=True, slots=True)
class HeldLease:
    holder: str | None
    epoch: int
    expires_at: datetime


class FakeLedger:
    """`now` is the database's clock: pass a function to move time."""

    def __init__(
        self,
        lease_seconds: float = 600.0,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.now = now
        self.rows: list[Row] = []
        self._by_key: dict[str, Entry] = {}
        self._by_kind: dict[tuple[str, str], list[Entry]] = {}
        """Indexes over `rows`, as a database has them."""
        self.leases: dict[tuple[str, Duty], HeldLease] = {}
        self.kept: list[Lease] = []
        """Leases whose `keep` context is open."""
        self._epochs_above = 0
        self._lasts = timedelta(seconds=lease_seconds)
        self._lock = threading.RLock()

    @classmethod
    def of(cls, rows: Iterable[Row]) -> FakeLedger:
        """Return a ledger that holds these rows as they are, and no lease."""
        ledger = cls()
        for row in rows:
            ledger._keep(row)
        return ledger

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
        content = Content(kind, key, body, lease)
        with self._lock:
            stored = self._by_key.get(key)
            if stored:
                return entry_of(content.agreeing(self.rows[stored.seq - 1]))
            self.check(lease)
            newest = self.last(lease.model, "release")
            if expected_release is not ... and (newest and newest.seq) != expected_release:
                raise ChampionMoved(
                    "the champion changed", got=newest and newest.seq, allowed=str(expected_release)
                )
            deed = self.last(lease.model, "hand")
            if expected_hand is not ... and (deed and deed.seq) != expected_hand:
                raise HandMoved("a person decided since", got=deed and deed.seq)
            at = instant_text(self.now())
            pending = self.last(lease.model, "release_intended")
            if (
                expected_release is not ...
                and pending is not None
                and pending.key != key
                and not any(
                    self.find(entry_key(kind, run_key_of(pending.key)))
                    for kind in ("release", "release_given_up")
                )
            ):
                raise ChampionMoved("another run's release is intended and not done", got=pending.key)
            row = link(self.head, at=at, model=lease.model, kind=kind, key=key, body=content.body)
            return self._keep(row)

    def _keep(self, row: Row) -> Entry:
        entry = entry_of(row)
        self.rows.append(row)
        self._by_key[row.key] = entry
        self._by_kind.setdefault((row.model, row.kind), []).append(entry)
        return entry

    def find(self, key: str) -> Entry | None:
        return self._by_key.get(key)

    def entries(
        self,
        *,
        model: str | None = None,
        kind: str | None = None,
        before: datetime | None = None,
        after: int = 0,
    ) -> Iterator[Entry]:
        if before is not None:
            instant_text(before)  # refuses one without a time zone
        for entry in self._filed(model, kind):
            if entry.seq > after and (before is None or entry.at < before):
                yield entry

    def _filed(self, model: str | None, kind: str | None) -> Iterator[Entry]:
        """Yield the entries of a model and kind, those appended meanwhile, too."""
        if model is not None and kind is not None:
            yield from self._by_kind.get((model, kind), ())
            return
        for entry in self._by_key.values():
            if model in (None, entry.model) and kind in (None, entry.kind):
                yield entry

    def last(self, model: str, kind: str, before: datetime | None = None) -> Entry | None:
        for entry in reversed(self._by_kind.get((model, kind), ())):
            if before is None or entry.at < before:
                return entry
        return None

    def at(self, seq: int) -> Entry | None:
        return entry_of(self.rows[seq - 1]) if 1 <= seq <= len(self.rows) else None

    def newest(self) -> Entry | None:
        return self.at(len(self.rows))

    def adopt(self, key: str, body: Mapping[str, Any], after: Entry | None, epochs_above: int) -> Entry:
        with self._lock:
            stored = self.find(key)
            if stored is None and self.newest() != after:
                raise LeaseLost("the ledger grew since this was decided")
            self._epochs_above = epochs_above
            self.leases = {
                of: HeldLease(None, max(held.epoch, epochs_above), self.now())
                for of, held in self.leases.items()
            }
            lease = self.acquire(LEDGER, key, "hand")
            entry = self.append("adopted", key, body, lease)
            self.free(lease)
            return entry

    def models(self) -> list[str]:
        return sorted({row.model for row in self.rows})

    def acquire(self, model: str, holder: str, duty: Duty = "retrain") -> Lease:
        with self._lock:
            held = self.leases.get((model, duty))
            if held and held.holder not in (None, holder) and held.expires_at > self.now():
                raise LeaseHeld(f"the model's lease is held by {held.holder}", where=model)
            epoch = (held.epoch if held else self._epochs_above) + 1
            self.leases[model, duty] = HeldLease(holder, epoch, self.now() + self._lasts)
            return Lease(model, holder, epoch, duty)

    def holder(self, model: str, duty: Duty = "retrain") -> str | None:
        held = self.leases.get((model, duty))
        return held.holder if held and held.expires_at > self.now() else None

    @contextmanager
    def keep(self, lease: Lease) -> Iterator[None]:
        """Renew at once and note the lease in `kept` while the context is open."""
        with self._lock:
            held = self.leases[lease.model, lease.duty]
            if held.epoch == lease.epoch:
                renewed = replace(held, expires_at=self.now() + self._lasts)
                self.leases[lease.model, lease.duty] = renewed
        self.kept.append(lease)
        try:
            yield
        finally:
            self.kept.remove(lease)

    def free(self, lease: Lease) -> None:
        with self._lock:
            held = self.leases.get((lease.model, lease.duty))
            if held and (held.holder, held.epoch) == (lease.holder, lease.epoch):
                freed = HeldLease(None, held.epoch, self.now())
                self.leases[lease.model, lease.duty] = freed

    def verify(self) -> Audit:
        return audit(self.rows, self.head)

    def close(self) -> None:
        """Nothing to close."""

    @property
    def head(self) -> Head:
        return Head(self.rows[-1].seq, self.rows[-1].hash) if self.rows else EMPTY

    def bodies(self, kind: str) -> list[Any]:
        """The bodies of a kind, in order: what a test most often asks."""
        return [json.loads(row.body) for row in self.rows if row.kind == kind]

    def check(self, lease: Lease) -> None:
        held = self.leases.get((lease.model, lease.duty))
        if held is None or (held.holder, held.epoch) != (lease.holder, lease.epoch):
            raise LeaseLost("the lease was taken over or given back", where=lease.model, got=lease.epoch)
