"""What a letter says, part by part and bounded, before any channel gives it its form."""

from __future__ import annotations

import hashlib
import re
import shlex
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import quote

from evergreen.alert_spec import SEVERITIES, EventName, Severity
from evergreen.alerts.event import Event
from evergreen.alerts.incidents import lasted
from evergreen.redaction import redact
from evergreen.text import plain

if TYPE_CHECKING:
    from collections.abc import Mapping

    from evergreen.outbox import Incident, Letter, Message

LONGEST_HEADLINE = 150
LONGEST_LINE = 500
LONGEST_COMMAND = 500
LONGEST_FACT = 300
LONGEST_KEY = 500
LONGEST_URL = 1000
MOST_LINES = 20
MOST_TOLD = 40
"""How many events of a digest are named; the rest are counted."""
_GOOD = frozenset({"recovered", "promoted", "approval_answered"})
_ROOM = 5000
"""Characters that the lines of a letter may have together, and its values again."""

NAMES: Mapping[EventName, str] = {
    "failed": "Failed",
    "data_rejected": "Data rejected",
    "alarm": "Alarm",
    "held": "Retrain held",
    "retrain_started": "Retrain started",
    "kept": "Champion kept",
    "inconclusive": "Inconclusive",
    "promoted": "Promoted",
    "rolled_back": "Rolled back",
    "by_hand": "Done by hand",
    "reconciled": "Put right",
    "stuck": "Stuck",
    "approval_needed": "Approval needed",
    "approval_answered": "Approval answered",
    "approval_timed_out": "Approval timed out",
    "stale": "Stale",
    "invalid_file": "Invalid model file",
    "not_told": "Message not delivered",
    "checkpoint": "Checkpoint",
    "unwitnessed": "Ledger unwitnessed",
    "recovered": "Recovered",
    "message": "Message",
}
"""What people read in the place of an event's name."""


@dataclass(frozen=True, slots=True)
class Words:
    """A letter in parts. All of it is printable, redacted and one line each; nothing is escaped yet.

    `subject` is the same for every letter of an incident. `lead` says what this letter is to it. `facts`
    are labels and values, `commands` say what each does. `url` is http or https.
    """

    kind: str
    severity: Severity
    title: str
    subject: str
    lead: str | None
    lines: tuple[str, ...]
    values: tuple[str, ...]
    facts: tuple[tuple[str, str], ...]
    commands: tuple[tuple[str, str], ...]
    url: str | None
    good: bool
    continues: bool


def words_of(letter: Letter, *, data_values: bool = False) -> Words:
    """Return what a letter says; `data_values` where its channel may quote the data."""
    message, incident = letter.message, letter.incident
    if message.purpose == "digest":
        return _digest(message)
    event = message.event
    headline = _about(event.model, event.headline)
    opened = _about(incident.model, incident.headline) if incident else headline
    recovered = event.name == "recovered"
    title = one_line(f"Recovered: {opened}", LONGEST_HEADLINE) if recovered else headline
    return Words(
        kind=NAMES[event.name],
        severity=event.severity,
        title=title,
        subject=opened,
        lead=_lead(letter),
        lines=_lines(event.lines),
        values=_lines(event.values) if data_values else (),
        facts=tuple(_facts(event, incident)),
        commands=tuple(_commands(letter)),
        url=_url(letter.run_url),
        good=event.name in _GOOD,
        continues=message.purpose in {"update", "closing"} or letter.thread is not None,
    )


def as_text(words: Words) -> str:
    """Return the words as plain text of several lines."""
    parts = [[words.title], [words.lead or ""], [*words.lines]]
    if words.values:
        parts.append(["Values found in the data:", *(f"  {value}" for value in words.values)])
    parts.append([f"{label}: {value}" for label, value in words.facts])
    if words.url:
        parts.append([f"Run: {words.url}"])
    parts.append([f"{what}:\n  {command}" for what, command in words.commands])
    shown = ["\n".join(filter(None, part)) for part in parts]
    return "\n\n".join(filter(None, shown)) + "\n"


def test_event(model: str, at: datetime) -> Event:
    """Return an event by which a person finds out whether a model's channels work."""
    return Event(
        key=f"test/{model}/{at.astimezone(UTC).isoformat()}",
        name="message",
        model=model,
        at=at,
        severity="low",
        headline="this is a test: messages about this model arrive here",
        lines=("Somebody asked Evergreen to try the channel. Nothing happened to the model.",),
    )


test_event.__test__ = False  # type: ignore[attr-defined]


def header_key(key: str) -> str:
    """Return a message's key as a header may carry it: ASCII, bounded, another one for every key.

    >>> header_key("failed/flights/a b@1")
    'failed/flights/a%20b@1'
    """
    said = quote(key, safe="/:+@-_~", errors="backslashreplace")
    return said if len(said) <= LONGEST_KEY else hashlib.sha256(said.encode()).hexdigest()


def _lead(letter: Letter) -> str | None:
    message, incident = letter.message, letter.incident
    if incident is None:
        return None
    opened = incident.opened_at
    match message.purpose:
        case "update":
            span = lasted(message.event.at - opened)
            what = f"Event {incident.events} of an incident that has been open for {span}"
            return one_line(f"{what}: {incident.headline}")
        case "closing":
            events = _count(incident.events, "event")
            span = lasted((incident.closed_at or message.event.at) - opened)
            if message.event.name == "recovered":
                return f"It was open for {span}, with {events}."
            return one_line(f"This ends what was open for {span}: {incident.headline}")
        case "escalation":
            span = lasted(message.due_at - opened)
            return f"This has been open for {span} and nobody has acknowledged it."
    return None


def _facts(event: Event, incident: Incident | None) -> Iterable[tuple[str, str]]:
    yield "Model", one_line(event.model, LONGEST_FACT)
    yield "Owner", one_line(event.owner or "nobody is named", LONGEST_FACT)
    if event.name not in _GOOD:
        yield "Severity", event.severity
    yield "When", _time(event.at)
    if event.as_of is not None:
        yield "As of", _time(event.as_of)
    if event.triggered_by:
        yield "Started by", one_line(event.triggered_by, LONGEST_FACT)
    if incident is not None:
        yield "Incident", one_line(incident.key, LONGEST_FACT)
        if incident.acknowledged_by:
            yield "Acknowledged by", one_line(incident.acknowledged_by, LONGEST_FACT)


def _commands(letter: Letter) -> Iterable[tuple[str, str]]:
    message, incident = letter.message, letter.incident
    if message.purpose == "escalation" and incident is not None:
        key = shlex.quote(plain(incident.key))
        yield "To say that you see to it", _command(f'evergreen acknowledge {key} --why "…"')
    if message.event.command:
        yield "What you can do", _command(message.event.command)


def _digest(message: Message) -> Words:
    events = (message.event, *message.gathers)
    models = len({event.model for event in events})
    told = [_told(event) for event in events[:MOST_TOLD]]
    more = len(events) - len(told)
    if more:
        told.append(f"and {more:,} more")
    severity = max((event.severity for event in events), key=SEVERITIES.index)
    counted = Counter(NAMES[event.name].lower() for event in events)
    title = f"{_count(len(events), 'message')} about {_count(models, 'model')}"
    return Words(
        kind="Digest",
        severity=severity,
        title=title,
        subject=title,
        lead=", ".join(f"{count:,} {name}" for name, count in counted.most_common()),
        lines=tuple(told),
        values=(),
        facts=(("Highest severity", severity), ("When", _time(message.event.at))),
        commands=(("All that is open", "evergreen alerts"),),
        url=None,
        good=all(event.name in _GOOD for event in events),
        continues=False,
    )


def _told(event: Event) -> str:
    owner = f" · {one_line(event.owner, 60)}" if event.owner else ""
    return f"{_about(event.model, event.headline)}{owner}"


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _about(model: str, headline: str) -> str:
    """Return a headline that names its model, as most do by themselves."""
    named = re.match(rf"{re.escape(model)}(?!\w)", headline)
    return one_line(headline if named else f"{model}: {headline}", LONGEST_HEADLINE)


def _lines(lines: Iterable[str]) -> tuple[str, ...]:
    kept: list[str] = []
    every = [one for one in map(one_line, lines) if one]
    room = _ROOM
    for one in every[:MOST_LINES]:
        if len(one) > room:
            break
        room -= len(one)
        kept.append(one)
    left_out = len(every) - len(kept)
    if left_out:
        kept.append(f"and {_count(left_out, 'more line')}")
    return tuple(kept)


def one_line(text: str, longest: int = LONGEST_LINE) -> str:
    """Return one printable line without secrets; what joins only as it is made printable counts, too."""
    return plain(redact(plain(redact(text), 20_000)), longest)


def _command(text: str) -> str:
    shown = one_line(text, LONGEST_COMMAND + 1)
    return shown if 0 < len(shown) <= LONGEST_COMMAND else "evergreen alerts"


def _url(url: str | None) -> str | None:
    """Return the link where it is one to follow; half a link leads nowhere."""
    shown = one_line(url, LONGEST_URL + 1) if url else ""
    return shown if shown.startswith(("http://", "https://")) and len(shown) <= LONGEST_URL else None


def _time(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
