"""How incidents and messages stand in their tables, and what the chain says of a message."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from evergreen.alerts.channels import channel_of, receiver
from evergreen.alerts.event import Event
from evergreen.ledger.chain import instant_text
from evergreen.outbox import Incident, Message
from evergreen.results import from_json, to_json

FLEET = "evergreen"
"""Stands for several models; no model may bear this name."""


def place_of(channel: str) -> str:
    """Return a short name of where a channel's messages end up: the same for the same receiver."""
    return receiver(channel_of(channel))


def incident_row(one: Incident) -> dict[str, Any]:
    """Return an incident as its row."""
    return {
        "key": one.key,
        "model": one.model,
        "cause": one.cause,
        "severity": one.severity,
        "headline": one.headline,
        "opened_at": instant_text(one.opened_at),
        "last_at": instant_text(one.last_at),
        "signature": one.signature,
        "events": one.events,
        "acknowledged_by": one.acknowledged_by,
        "acknowledged_at": _text(one.acknowledged_at),
        "closed_at": _text(one.closed_at),
        "told": json.dumps(one.told),
        "as_of": _text(one.as_of),
    }


def incident_of(row: Any) -> Incident:
    """Return the incident of a row."""
    return Incident(
        key=row.key,
        model=row.model,
        cause=row.cause,
        severity=row.severity,
        headline=row.headline,
        opened_at=datetime.fromisoformat(row.opened_at),
        last_at=datetime.fromisoformat(row.last_at),
        signature=row.signature,
        events=row.events,
        acknowledged_by=row.acknowledged_by,
        acknowledged_at=_instant(row.acknowledged_at),
        closed_at=_instant(row.closed_at),
        told=tuple(json.loads(row.told)),
        as_of=_instant(row.as_of),
    )


def message_row(message: Message) -> dict[str, Any]:
    """Return a new message as its row."""
    events = [to_json(event) for event in (message.event, *message.gathers)]
    return {
        "key": message.key,
        "place": place_of(message.channel),
        "channel": message.channel,
        "purpose": message.purpose,
        "model": told_of_model(message),
        "incident": message.incident,
        "seq": message.event.seq or 0,
        "events": json.dumps(events),
        "state": "waiting",
        "due_at": instant_text(message.due_at),
        "attempts": message.attempts,
        "token": 0,
    }


def message_of(row: Any) -> Message:
    """Return the message of a row."""
    first, *others = (from_json(Event, one) for one in json.loads(row.events))
    return Message(
        key=row.key,
        channel=row.channel,
        purpose=row.purpose,
        event=first,
        incident=row.incident,
        due_at=datetime.fromisoformat(row.due_at),
        gathers=tuple(others),
        attempts=row.attempts,
        tried_since=_instant(row.tried_since),
        begun=row.token > 0,
    )


def told_of_model(message: Message) -> str:
    """Return the model that a message is about, or what stands for several."""
    about = {event.model for event in (message.event, *message.gathers)}
    return about.pop() if len(about) == 1 else FLEET


def told_body(message: Message, attempts: int, learnt: Mapping[str, str | None]) -> dict[str, Any]:
    """Return what the chain says of a message that was told, or was not and will not be, and why."""
    channel = channel_of(message.channel)
    events = (message.event, *message.gathers)
    body: dict[str, Any] = {
        "message": message.key,
        "purpose": message.purpose,
        "channel": {"type": channel.type, "connection": getattr(channel, "connection", None)},
        "place": place_of(message.channel),
        "events": [event.key for event in events],
        "names": sorted({event.name for event in events}),
        "incident": message.incident,
        "attempts": attempts,
    }
    return body | dict(learnt)


def _text(instant: datetime | None) -> str | None:
    return None if instant is None else instant_text(instant)


def _instant(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
