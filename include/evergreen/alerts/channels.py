"""Channels as text, as the outbox keeps them: one text for one channel, however its file was written."""

from __future__ import annotations

from functools import cache, lru_cache

from pydantic import TypeAdapter, ValidationError

from evergreen.alert_spec import Channel, EmailChannel, LogChannel, SlackChannel, WebhookChannel
from evergreen.canonical import canonical as canonical_form
from evergreen.canonical import digest_of
from evergreen.errors import BadConfiguration


def canonical(channel: Channel) -> str:
    """Return the channel's canonical JSON. What has its default is left out.

    >>> canonical(LogChannel(type="log", at_least="high"))
    '{"at_least":"high","type":"log"}'
    """
    said = channel.model_dump(mode="json", exclude_defaults=True)
    return canonical_form(said | {"type": channel.type}).decode()


@lru_cache(maxsize=1024)
def channel_of(text: str) -> Channel:
    """Return the channel that a text of `canonical` describes.

    Raises:
        BadConfiguration: it describes none, such as one of a newer Evergreen.
    """
    try:
        return _codec().validate_json(text)
    except ValidationError as exc:
        found = exc.errors(include_url=False)[0]
        place = ".".join(map(str, found["loc"]))
        raise BadConfiguration(
            "a kept message is for a channel that cannot be read",
            where=f"channel {place}" if place else "channel",
            got=found["type"],
            fix="was it written by a newer Evergreen? update this one",
        ) from None  # the cause quotes the text


def readable(text: str) -> Channel | None:
    """Return the channel of a kept text, or None where a newer Evergreen wrote what we cannot read."""
    try:
        return channel_of(text)
    except BadConfiguration:
        return None


def place(channel: Channel) -> str:
    """Return where messages end up: the same for two channels that differ only in what they take.

    >>> place(SlackChannel(type="slack", connection="slack_ml", channel="#ml"))
    'slack slack_ml #ml'
    """
    match channel:
        case SlackChannel():
            parts = [channel.connection, channel.channel or ""]
        case EmailChannel():
            parts = [channel.connection, *sorted({address.lower() for address in channel.to})]
        case WebhookChannel():
            parts = [channel.connection]
        case LogChannel():
            parts = []
    return " ".join([channel.type, *parts]).strip()


def receiver(channel: Channel) -> str:
    """Return a short name of a place, for keys.

    >>> receiver(LogChannel(type="log")) == receiver(LogChannel(type="log", at_least="high"))
    True
    """
    return digest_of(place(channel))[:12]


@cache
def _codec() -> TypeAdapter[Channel]:
    return TypeAdapter(Channel)
