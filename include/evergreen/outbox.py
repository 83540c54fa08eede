"""What waits to be told: incidents, messages, and the ports that keep and send them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, Protocol

from evergreen.alert_spec import Severity
from evergreen.alerts.event import Event
from evergreen.errors import EvergreenError

Purpose = Literal["opening", "update", "closing", "single", "escalation", "digest"]
"""Why a message is sent: it opens, continues or closes an incident, stands alone, or gathers others."""
MessageState = Literal["waiting", "sent", "given_up", "in_digest", "not_needed"]


@dataclass(frozen=True, slots=True)
class Incident:
    """One model and cause, from the event that opened it to the one that closes it.

    `key` is the key of the opening event; at most one incident of a model and cause is open. `events`
    counts those that belong to it, told or not.
    """

    key: str
    model: str
    cause: str
    severity: Severity
    headline: str
    opened_at: datetime
    last_at: datetime
    signature: str
    events: int = 1
    acknowledged_by: str | None = None
    acknowledged_at: datetime | None = None
    closed_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Message:
    """One event for one channel. `key` is the idempotency key that the receiver sees, too.

    `channel` is the canonical JSON of an `alert_spec.Channel`: connection ids, never a secret.
    `incident` is None for a message that stands alone. `due_at` is when it may be sent at the earliest.
    `gathers` are the events of a digest beside `event`, which is its first.
    """

    key: str
    channel: str
    purpose: Purpose
    event: Event
    incident: str | None
    due_at: datetime
    gathers: tuple[Event, ...] = ()
    attempts: int = 0


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a receiver answered: where later messages of the same incident go (`thread`), if it told."""

    thread: str | None = None


@dataclass(frozen=True, slots=True)
class Letter:
    """A message as a sink gets it: with all that it needs to render it.

    `thread` is that of the receipt of the incident's opening on this channel; `run_url` links to the run
    in Airflow, where that is known.
    """

    message: Message
    incident: Incident | None
    thread: str | None
    run_url: str | None


class SinkUnavailable(EvergreenError):
    """A channel did not take a message now; it may later. `retry_after_seconds`: its own wish."""

    retryable = True

    def __init__(self, what: str, *, retry_after_seconds: float | None = None, **parts: Any) -> None:
        self.retry_after_seconds = retry_after_seconds
        super().__init__(what, **parts)


class SinkRefused(EvergreenError):
    """A channel will never take this message as it is: no such channel, revoked, bad address."""


class AlertSink(Protocol):
    """Sends to one kind of channel. Bounded in time: ten seconds to connect, twenty in all."""

    def send(self, letter: Letter) -> Receipt:
        """Render and send one letter, with its message's key as the idempotency key.

        Raises:
            SinkUnavailable: no answer, or one that says later.
            SinkRefused: an answer that says never.
            BadConfiguration: the connection is missing or of another kind.
        """
        ...


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to send a message for a while; the token fences off who had it before."""

    message: Message
    token: int


@dataclass(frozen=True, slots=True)
class Plan:
    """What follows from the entries of the ledger after `since` up to `until`, by their `seq`.

    `incidents` are new or changed; `messages` are new.
    """

    since: int
    until: int
    incidents: tuple[Incident, ...] = ()
    messages: tuple[Message, ...] = ()


class Outbox(Protocol):
    """Keeps incidents and messages beside the ledger, in its database.

    What is told and what is given up becomes an entry of the ledger in the same transaction.
    """

    def cursor(self) -> int:
        """Return the `seq` up to which the ledger was taken in; the first use begins at its end then."""
        ...

    def open_incidents(self) -> Mapping[tuple[str, str], Incident]:
        """Return the open incidents by model and cause."""
        ...

    def apply(self, plan: Plan) -> bool:
        """Write a plan and move the cursor, if it still stands at `plan.since`; else do nothing."""
        ...

    def due(self, now: datetime, limit: int) -> Sequence[Message]:
        """Return messages that wait, are due, and are claimed by nobody, the oldest first.

        Those that continue an incident whose opening on the same channel still waits are left out.
        """
        ...

    def claim(self, key: str, seconds: float) -> Claim | None:
        """Take a message for sending, or None: another process has it, or it waits no more."""
        ...

    def sent(self, claim: Claim, receipt: Receipt) -> bool:
        """Record that a message was sent; False where the claim was taken over meanwhile."""
        ...

    def postponed(self, claim: Claim, until: datetime, why: str) -> bool:
        """Record a vain try: the message waits until an instant."""
        ...

    def given_up(self, claim: Claim, why: str) -> bool:
        """Record that a message will not be sent."""
        ...

    def dropped(self, key: str) -> None:
        """Record that a waiting message is not needed any more."""
        ...

    def gather(self, digest: Message, members: Sequence[str]) -> bool:
        """Put one message in the place of several that wait; False where one of them waits no more."""
        ...

    def thread(self, incident: str, channel: str) -> str | None:
        """Return the thread of the incident's opening on a channel (or of the digest that told it)."""
        ...

    def sent_since(self, channel: str, since: datetime) -> int:
        """Return how many openings and single messages a channel was sent since an instant."""
        ...
