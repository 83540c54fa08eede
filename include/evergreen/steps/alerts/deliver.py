"""Send what is due, each message by whoever claims it first, and record what became of it.

Sending is at least once: whoever is killed between sending and recording leaves a message that is sent
again, with the same key, by which the receiver can tell. A channel that is down delays its own messages
only, and whatever a sink raises goes no further. What is for a channel that cannot be read here waits
for a process that can.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta

from evergreen.alerts.channels import channel_of, place, readable
from evergreen.alerts.storms import allowance, sort_out
from evergreen.errors import BadConfiguration, bounded
from evergreen.failpoints import failpoint
from evergreen.messenger import Messenger
from evergreen.outbox import (
    Allowance,
    Claim,
    Incident,
    Letter,
    Message,
    SinkRefused,
    SinkUnavailable,
)
from evergreen.redaction import redact

log = logging.getLogger(__name__)

BUDGET_SECONDS = 30.0
CLAIM_SECONDS = 60.0
"""Longer than a sink may take (`outbox.AlertSink`)."""
FIRST_WAIT = timedelta(seconds=30)
LONGEST_WAIT = timedelta(hours=1)
GIVEN_UP_AFTER = timedelta(hours=24)
AT_ONCE = 2000
LONGEST_WHY = 500


@dataclass(frozen=True, slots=True)
class Delivered:
    """How many messages were sent, wait for another try after a vain one, or were given up."""

    sent: int = 0
    postponed: int = 0
    given_up: int = 0


def deliver(messenger: Messenger, now: datetime, budget_seconds: float = BUDGET_SECONDS) -> Delivered:
    """Send what is due, and return how that went.

    Several processes may do so at once. No message is begun after `budget_seconds`; the last one begun
    ends within the bounds of its sink.

    Raises:
        LedgerUnavailable: the ledger's database did not answer.
    """
    return _Round(messenger, now, budget_seconds).run()


class _Round:
    """One call of `deliver`: its clock, what it tried, and which places did not answer."""

    def __init__(self, messenger: Messenger, now: datetime, budget_seconds: float) -> None:
        self._messenger = messenger
        self._now = now
        self._began = time.monotonic()
        self._budget_seconds = budget_seconds
        self._tried: set[str] = set()
        self._down: set[str] = set()
        self._count: Counter[str] = Counter()

    def run(self) -> Delivered:
        while not self._over and self._go_through():
            pass
        return Delivered(**self._count)

    @property
    def _over(self) -> bool:
        return time.monotonic() - self._began >= self._budget_seconds

    def _instant(self) -> datetime:
        return self._now + timedelta(seconds=time.monotonic() - self._began)

    def _go_through(self) -> bool:
        """Send what is due now; return whether that may have made room for more."""
        outbox = self._messenger.outbox
        due = [one for one in outbox.due(self._instant(), AT_ONCE) if self._can_be_sent(one)]
        found = sort_out(due, self._sent_since, self._instant())
        gathered = [outbox.gather(digest, members) for digest, members in found.digests]
        for message in (*found.send, *found.late):
            if self._over:
                return False
            if self._is_open(message):
                self._tried.add(message.key)
                bound = allowance(message, self._instant()) if message in found.send else None
                self._try(message, bound)
        return bool(found.send or found.late or any(gathered))

    def _can_be_sent(self, message: Message) -> bool:
        if readable(message.channel) is not None:
            return self._is_open(message)
        if message.key not in self._tried:
            self._tried.add(message.key)
            log.warning("waits=%s: its channel cannot be read; was it a newer Evergreen's?", message.key)
        return False

    def _is_open(self, message: Message) -> bool:
        return message.key not in self._tried and _place(message) not in self._down

    def _sent_since(self, channel: str, allowed: Allowance) -> int:
        return self._messenger.outbox.sent_since(channel, allowed.since, allowed.purposes)

    def _try(self, message: Message, bound: Allowance | None) -> None:
        outbox = self._messenger.outbox
        incident = outbox.incident(message.incident) if message.incident else None
        if not _needed(self._messenger, message, incident):
            outbox.dropped(message.key)
            return
        claim = outbox.claim(message.key, CLAIM_SECONDS, bound)
        if claim is None:
            return
        failpoint("deliver.claimed")
        try:
            receipt = self._messenger.sink(channel_of(message.channel).type).send(
                _letter(self._messenger, claim.message, incident)
            )
        except Exception as exc:  # noqa: BLE001 - a channel that is down stops no pipeline
            self._failed(claim, exc)
            return
        failpoint("deliver.sent")
        if outbox.sent(claim, receipt):
            self._count["sent"] += 1
            log.info("sent=%s to=%s", message.key, _place(message))
            if receipt.note:
                log.warning("sent=%s, but not to all: %s", message.key, receipt.note)
        else:
            log.warning("sent=%s, but another process had taken it over by then", message.key)

    def _failed(self, claim: Claim, exc: Exception) -> None:
        message, now = claim.message, self._instant()
        why = bounded(redact(f"{type(exc).__name__}: {exc}"), LONGEST_WHY)
        tried_since = message.tried_since or now
        if isinstance(exc, SinkRefused | BadConfiguration) or now - tried_since >= GIVEN_UP_AFTER:
            if self._messenger.outbox.given_up(claim, why):
                self._count["given_up"] += 1
                log.error("given up=%s to=%s why=%s", message.key, _place(message), why)
            return
        is_down = isinstance(exc, SinkUnavailable)
        if is_down:
            self._down.add(_place(message))
        until = now + _wait(message.attempts, getattr(exc, "retry_after_seconds", None))
        if self._messenger.outbox.postponed(claim, until, why, whole_place=is_down):
            self._count["postponed"] += 1
            log.warning("postponed=%s to=%s until=%s why=%s", message.key, _place(message), until, why)


def _needed(messenger: Messenger, message: Message, incident: Incident | None) -> bool:
    """Return whether a message still says something to whom it is for."""
    if incident is None:
        return True
    if message.purpose == "escalation":
        return incident.closed_at is None and incident.acknowledged_at is None
    if message.purpose in ("update", "closing"):
        return messenger.outbox.heard(incident.key, message.channel)
    return True


def _letter(messenger: Messenger, message: Message, incident: Incident | None) -> Letter:
    goes_on = incident is not None and message.purpose in ("update", "closing", "digest")
    thread = messenger.outbox.thread(incident.key, message.channel) if incident and goes_on else None
    run_key = message.event.run_key
    return Letter(message, incident, thread, messenger.run_url(run_key) if run_key else None)


def _wait(attempts: int, wished_seconds: float | None) -> timedelta:
    """Return how long to wait after a vain try: twice as long each time, or as the receiver wishes."""
    wait: timedelta = min(FIRST_WAIT * 2 ** min(attempts, 30), LONGEST_WAIT)
    if wished_seconds is None or not 0 <= wished_seconds < GIVEN_UP_AFTER.total_seconds():
        return wait
    return max(wait, timedelta(seconds=wished_seconds))


def _place(message: Message) -> str:
    return place(channel_of(message.channel))
