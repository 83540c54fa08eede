"""Which events belong together: at most one open incident of a model and cause."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

from evergreen.alert_spec import SEVERITIES, Severity
from evergreen.alerts.event import Acknowledgement, Event
from evergreen.outbox import Incident

CLOSED_BY_ITSELF = frozenset({"approval_answered", "approval_timed_out"})
"""Events that are the end of an incident themselves: no `recovered` is told beside them."""
CHANNEL = "channel/"
"""How the causes begin of messages that a channel did not take."""


@dataclass(frozen=True, slots=True)
class Telling:
    """An event that is to be told, and what it is to its incident (None: it stands alone)."""

    purpose: Literal["opening", "update", "closing", "single"]
    event: Event
    incident: Incident | None = None


@dataclass(frozen=True, slots=True)
class Followed:
    """What follows from an event: incidents that are new or changed, and what is to be told."""

    incidents: tuple[Incident, ...] = ()
    tellings: tuple[Telling, ...] = ()


def follow(event: Event, open_incidents: Mapping[tuple[str, str], Incident]) -> Followed:
    """Return what follows from an event where these incidents, by model and cause, are open.

    It ends the open incidents that it closes, each with a word of its own. With a cause, it then opens
    an incident or joins the open one; there it is told unless it brings nothing new. Without one it is
    told by itself; but `recovered` is only ever told as the end of an incident. What is found out about
    data of before the incident's (a backfill) neither ends it nor is news of it. A channel is not one
    model's: what it takes of any ends what could not be delivered there of all.
    """
    ended = [
        one
        for one in open_incidents.values()
        if one.cause in event.closes
        and (one.model == event.model or one.cause.startswith(CHANNEL))
        and not _of_earlier(event, one)
    ]
    closed = tuple(replace(one, closed_at=event.at, last_at=event.at) for one in ended)
    endings = tuple(Telling("closing", _end(one, event), one) for one in closed)
    if event.cause is None:
        alone = () if event.name == "recovered" else (Telling("single", event),)
        return Followed(closed, (*endings, *alone))
    standing = None
    if (event.model, event.cause) not in {(one.model, one.cause) for one in ended}:
        standing = open_incidents.get((event.model, event.cause))
    if standing is None:
        opened = _opened(event, event.cause)
        return Followed((*closed, opened), (*endings, Telling("opening", event, opened)))
    joined = replace(
        standing,
        events=standing.events + 1,
        last_at=event.at,
        severity=higher(standing.severity, event.severity),
        as_of=max(filter(None, (event.as_of, standing.as_of)), default=None),
    )
    news: tuple[Telling, ...] = ()
    if event.signature != standing.signature and not _of_earlier(event, standing):
        joined = replace(joined, signature=event.signature)
        news = (Telling("update", event, joined),)
    return Followed((*closed, joined), (*endings, *news))


def acknowledged(
    word: Acknowledgement,
    model: str,
    at: datetime,
    open_incidents: Mapping[tuple[str, str], Incident],
) -> Followed:
    """Return the open incident with who looks after it; nothing where it is closed or known."""
    one = open_incidents.get((model, word.cause))
    if one is None or one.key != word.incident or one.acknowledged_at is not None:
        return Followed()
    return Followed((replace(one, acknowledged_by=word.who, acknowledged_at=at),))


def higher(one: Severity, other: Severity) -> Severity:
    """Return the higher of two severities."""
    return max(one, other, key=SEVERITIES.index)


def lasted(span: timedelta) -> str:
    """Return a span as a person says it.

    >>> lasted(timedelta(hours=26))
    '1 day 2 hours'
    """
    minutes = max(round(span.total_seconds() / 60), 0)
    days, hours = divmod(minutes // 60, 24)
    parts = [(days, "day"), (hours, "hour"), (minutes % 60, "minute")]
    shown = [f"{count} {unit}{'' if count == 1 else 's'}" for count, unit in parts if count][:2]
    return " ".join(shown) or "less than a minute"


def _opened(event: Event, cause: str) -> Incident:
    return Incident(
        key=event.key,
        model=event.model,
        cause=cause,
        severity=event.severity,
        headline=event.headline,
        opened_at=event.at,
        last_at=event.at,
        signature=event.signature,
        as_of=event.as_of,
    )


def _of_earlier(event: Event, incident: Incident) -> bool:
    """Return whether an event is about data of before an incident's."""
    return event.as_of is not None and incident.as_of is not None and event.as_of < incident.as_of


def _end(closed: Incident, event: Event) -> Event:
    if event.name in CLOSED_BY_ITSELF:
        return event
    span = lasted(event.at - closed.opened_at)
    times = "1 event" if closed.events == 1 else f"{closed.events} events"
    return Event(
        key=f"recovered/{closed.key}",
        name="recovered",
        model=closed.model,
        at=event.at,
        severity=closed.severity,
        headline=f"Over after {span} and {times}: {closed.headline}",
        lines=(
            f"It began at {closed.opened_at:%Y-%m-%d %H:%M} UTC.",
            f"What ended it: {event.headline}",
        ),
        run_key=event.run_key,
        as_of=event.as_of,
        owner=event.owner,
        triggered_by=event.triggered_by,
        seq=event.seq,
    )
