"""A letter as JSON for a program, after the Standard Webhooks specification."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from evergreen.alerts.letter_words import LONGEST_HEADLINE, MOST_TOLD, Words, header_key, one_line

if TYPE_CHECKING:
    from evergreen.alerts.event import Event
    from evergreen.outbox import Letter

SECRET_PREFIX = "whsec_"  # noqa: S105


def body_of(letter: Letter, words: Words) -> bytes:
    """Return the body: `type`, `timestamp` and `data`. A digest has what it gathers under `events`."""
    message, incident = letter.message, letter.incident
    event = message.event
    kind = "digest" if message.purpose == "digest" else event.name
    data: dict[str, object] = {
        "model": one_line(event.model),
        "severity": words.severity,
        "headline": words.title,
        "lead": words.lead,
        "lines": list(words.lines),
        "values": list(words.values),
        "incident": _said(incident.key if incident else message.incident),
        "purpose": message.purpose,
        "owner": _said(event.owner),
        "run": _said(event.run_key),
        "as_of": _time(event.as_of),
        "url": words.url,
        "command": words.commands[0][1] if words.commands else None,
    }
    if message.purpose == "digest":
        data |= {"model": None, "owner": None, "run": None, "as_of": None}
        events = (event, *message.gathers)
        data["events"] = [_told(one) for one in events[:MOST_TOLD]]
        data["events_in_all"] = len(events)
    body = {"type": f"evergreen.{kind}", "timestamp": _time(event.at), "data": data}
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


def headers_of(key: str, body: bytes, secret: str, now: datetime) -> dict[str, str]:
    """Return the headers by which a receiver knows sender, time and repetition.

    Raises:
        ValueError: the secret says `whsec_` and is no base64 after that.
    """
    identity, seconds = header_key(key), str(int(now.timestamp()))
    signed = f"{identity}.{seconds}.".encode() + body
    digest = hmac.digest(_key(secret), signed, hashlib.sha256)
    return {
        "content-type": "application/json",
        "webhook-id": identity,
        "webhook-timestamp": seconds,
        "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
    }


def _key(secret: str) -> bytes:
    if not secret.startswith(SECRET_PREFIX):
        return secret.encode()
    try:
        return base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    except binascii.Error:
        raise ValueError("the secret is no base64 after whsec_") from None  # the cause may quote it


def _told(event: Event) -> dict[str, object]:
    return {
        "type": f"evergreen.{event.name}",
        "timestamp": _time(event.at),
        "model": one_line(event.model),
        "severity": event.severity,
        "headline": one_line(event.headline, LONGEST_HEADLINE),
        "owner": _said(event.owner),
        "run": _said(event.run_key),
    }


def _said(text: str | None) -> str | None:
    return one_line(text) if text else None


def _time(at: datetime | None) -> str | None:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z") if at else None
