"""What waits to be told: incidents, messages, and the ports that keep and send them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
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
    counts those that belong to it, told or not. `told` are the channels that it was or will be told on,
    as `Message.channel` has them: they hear of its updates and of its end. `as_of` is the latest of its
    events, where they have one: what is found out later about earlier data changes nothing.
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
    told: tuple[str, ...] = ()
    as_of: datetime | None = None


@dataclass(frozen=True, slots=True)
class Message:
    """One event for one channel. `key` is the idempotency key that the receiver sees, too.

    `channel` is the canonical JSON of an `alert_spec.Channel`: connection ids, never a secret.
    `incident` is None for a message that stands alone. `due_at` is when it may be sent at the earliest.
    `gathers` are the events of a digest beside `event`, which is its first. `tried_since` is when it was
    first tried in vain. `begun`: somebody began to send it, so it may have arrived whatever is recorded.
    """

    key: str
    channel: str
    purpose: Purpose
    event: Event
    incident: str | None
    due_at: datetime
    gathers: tuple[Event, ...] = ()
    attempts: int = 0
    tried_since: datetime | None = None
    begun: bool = False


@dataclass(frozen=True, slots=True)
class Allowance:
    """How many messages of some purposes one place may be sent since an instant, those under way too."""

    most: int
    since: datetime
    purposes: frozenset[Purpose]


@dataclass(frozen=True, slots=True)
class Undelivered:
    """A message that was not delivered: it waits, or was given up. `why` is what the last try met."""

    message: Message
    state: MessageState
    why: str | None


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a receiver answered: where later messages of the same incident go (`thread`), if it told.

    `note` says what it took only in part, such as the addresses of a mail that it refused.
    """

    thread: str | None = None
    note: str | None = None


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

    def incident(self, key: str) -> Incident | None:
        """Return an incident, open or closed."""
        ...

    def apply(self, plan: Plan) -> bool:
        """Write a plan and move the cursor, if it still stands at `plan.since`; else do nothing."""
        ...

    def due(self, now: datetime, limit: int) -> Sequence[Message]:
        """Return messages that wait, are due, and are claimed by nobody, the least tried first.

        Those that continue an incident whose opening on the same channel still waits are left out.
        """
        ...

    def claim(self, key: str, seconds: float, allowance: Allowance | None = None) -> Claim | None:
        """Take a message for sending, or None.

        None says that another process has it, that it waits no more, or that its channel was sent as
        many as the allowance permits.
        """
        ...

    def sent(self, claim: Claim, receipt: Receipt) -> bool:
        """Record that a message was sent; False where the claim was taken over meanwhile."""
        ...

    def postponed(self, claim: Claim, until: datetime, why: str, *, whole_place: bool = False) -> bool:
        """Record a vain try: the message waits until an instant.

        With `whole_place`, so does all else that waits for the same receiver.
        """
        ...

    def given_up(self, claim: Claim, why: str) -> bool:
        """Record that a message will not be sent."""
        ...

    def again(self) -> int:
        """Let everything that was given up wait anew, and return how much that is."""
        ...

    def dropped(self, key: str) -> None:
        """Record that a waiting message is not needed any more."""
        ...

    def gather(self, digest: Message, members: Sequence[str]) -> bool:
        """Put one message in the place of several; False where one of them waits no more or is begun."""
        ...

    def heard(self, incident: str, channel: str) -> bool:
        """Return whether a channel was told of an incident, or was meant to be and could not be."""
        ...

    def thread(self, incident: str, channel: str) -> str | None:
        """Return the thread of the incident's opening on a channel (or of the digest that told it)."""
        ...

    def sent_since(self, channel: str, since: datetime, purposes: Collection[Purpose]) -> int:
        """Return how many messages of some purposes a channel was sent since an instant."""
        ...

    def undelivered(self, model: str | None = None) -> Sequence[Undelivered]:
        """Return the messages that wait or were given up, the oldest first, of one model or of all.

        Of more than a thousand, those that wait come before those given up, and newer ones first.
        """
        ...
