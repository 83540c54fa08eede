"""Who is told: an event on every channel that asked for it, at the time that the channel allows."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from datetime import datetime

from evergreen.alert_spec import SEVERITIES, Channel, Severity
from evergreen.alerts.channels import canonical, place, readable, receiver
from evergreen.alerts.incidents import Telling, higher
from evergreen.alerts.quiet_hours import quiet_until
from evergreen.outbox import Incident, Message, Purpose

LONGEST_KEY = 400


def route(
    telling: Telling, channels: Sequence[Channel], now: datetime, without: Collection[str] = ()
) -> tuple[list[Message], Incident | None]:
    """Return the messages of a telling, and its incident with the channels that hear of it from now on.

    A channel hears of an event whose name it asked for, and of what becomes of an incident that it heard
    of, if it is severe enough. Two channels that end up in the same place hear of it once. A channel
    with `unacknowledged_for` hears of an incident that is open for so long, and then of its end.

    Args:
        telling: What is to be told.
        channels: Those of the model.
        now: When.
        without: Receivers (`alerts.channels.receiver`) that are left out.
    """
    incident = telling.incident
    severity = telling.event.severity
    if telling.purpose == "closing" and incident is not None:
        severity = higher(severity, incident.severity)
    messages: dict[str, Message] = {}
    told = list(incident.told) if incident else []
    for purpose, channel in _chosen(telling, channels, severity):
        if receiver(channel) in without:
            continue
        message = _message(telling, purpose, channel, severity, now)
        messages.setdefault(message.key, message)
        if purpose in ("opening", "escalation") and message.channel not in told:
            told.append(message.channel)
    return list(messages.values()), replace(incident, told=tuple(told)) if incident else None


def _chosen(
    telling: Telling, channels: Sequence[Channel], severity: Severity
) -> Iterator[tuple[Purpose, Channel]]:
    """Yield the channels that hear of it, and as what; of one place, the first counts."""
    told = telling.incident.told if telling.incident else ()
    heard = [one for one in map(readable, told) if one is not None]
    if telling.purpose == "closing":
        yield from (("closing", one) for one in heard if _severe(severity, one))
        return
    at_once = {place(one) for one in heard if one.unacknowledged_for is None}
    called = {place(one) for one in heard if one.unacknowledged_for is not None}
    for one in channels:
        if telling.event.name not in one.events or not _severe(severity, one):
            continue
        if one.unacknowledged_for is None:
            joins = telling.incident is not None and place(one) in at_once
            begins: Purpose = "opening" if telling.incident is not None else "single"
            yield ("update" if joins else begins), one
        elif telling.incident is not None and place(one) not in called:
            yield "escalation", one
    for one in heard:
        if one.unacknowledged_for is None and _severe(severity, one):
            yield "update", one


def _message(
    telling: Telling, purpose: Purpose, channel: Channel, severity: Severity, now: datetime
) -> Message:
    incident = telling.incident
    due_at = now
    head = telling.event.key
    if purpose == "escalation" and incident is not None and channel.unacknowledged_for is not None:
        due_at = max(now, channel.unacknowledged_for.after(incident.opened_at))
        head = f"escalation/{incident.key}"
    elif severity == SEVERITIES[0] and channel.quiet_hours is not None:
        due_at = quiet_until(channel.quiet_hours, now)
    return Message(
        key=_key(head, channel),
        channel=canonical(channel),
        purpose=purpose,
        event=telling.event,
        incident=incident.key if incident else None,
        due_at=due_at,
    )


def _key(head: str, channel: Channel) -> str:
    """Return the idempotency key of what one place is told."""
    if len(head) > LONGEST_KEY:
        head = f"{head[:LONGEST_KEY]}~{hashlib.sha256(head.encode()).hexdigest()[:16]}"
    return f"{head}@{receiver(channel)}"


def _severe(severity: Severity, channel: Channel) -> bool:
    return SEVERITIES.index(severity) >= SEVERITIES.index(channel.at_least)
