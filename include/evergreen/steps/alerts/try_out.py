"""Send a test message to channels at once, past the outbox: what it meets is the caller's to show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from evergreen.alert_spec import Channel
from evergreen.alerts.channels import canonical, receiver
from evergreen.alerts.letter_words import test_event
from evergreen.messenger import Messenger
from evergreen.outbox import Letter, Message
from evergreen.redaction import redact


@dataclass(frozen=True, slots=True)
class Tried:
    """What a channel did with a test message; `problem` is None where it took it."""

    channel: Channel
    problem: str | None = None


def try_out(messenger: Messenger, model: str, channels: Sequence[Channel], now: datetime) -> list[Tried]:
    """Send a test message about a model to each channel, whatever events it names; nothing is kept."""
    return [_try(messenger, model, channel, now) for channel in channels]


def _try(messenger: Messenger, model: str, channel: Channel, now: datetime) -> Tried:
    event = test_event(model, now)
    key = f"{event.key}@{receiver(channel)}"
    message = Message(key, canonical(channel), "single", event, None, now)
    try:
        messenger.sink(channel.type).send(Letter(message, None, None, None))
    except Exception as exc:  # noqa: BLE001 - the next channel is tried, too
        return Tried(channel, redact(f"{type(exc).__name__}: {exc}"))
    return Tried(channel)
