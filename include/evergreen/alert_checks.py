"""What must hold of who is told what and who is asked: `alerts`, `stale_after`, `release.approval`.

Like `checks.py`, whose list these checks join, they look at the raw document, so that each speaks even
where another key is wrong. `CHANNEL_CHECKS` are those that hold of the fleet's own file, too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import islice, pairwise
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from evergreen.alert_spec import Channel, EventName
from evergreen.alerts.channels import place
from evergreen.alerts.incidents import lasted
from evergreen.document import Document, KeyPath
from evergreen.durations import Duration
from evergreen.errors import Problem

OPEN_NO_INCIDENT: frozenset[EventName] = frozenset(
    {
        "retrain_started",
        "kept",
        "inconclusive",
        "promoted",
        "rolled_back",
        "by_hand",
        "reconciled",
        "approval_answered",
        "approval_timed_out",
        "recovered",
    }
)
"""Events that stand alone or end an incident: none of them can go unacknowledged."""

SECRET_LIKE = re.compile(r"xox[a-z]-|whsec_|(?=[^_.-]*[0-9])[A-Za-z0-9]{32,}$")
_FROM = datetime(2023, 1, 1, tzinfo=UTC)
_YEARS = timedelta(days=2 * 365)
_MOST_RUNS = 1000


def connection_ids(document: Document, path: Path) -> Iterator[Problem]:  # noqa: ARG001
    """Yield a problem for each connection id that is an address or a secret, not the name of one."""
    for keys, entry in _entries(document):
        given = entry.get("connection")
        if not isinstance(given, str) or not ("://" in given or SECRET_LIKE.match(given)):
            continue
        what = "this is an address" if "://" in given else "this looks like a secret"
        kind = {"slack": "slackwebhook (or slack, for a bot token)", "webhook": "http", "email": "smtp"}
        made = kind.get(str(entry.get("type")), "its kind")
        yield document.problem(
            (*keys, "connection"),
            f"{what}, and whoever reads the file could write to the channel",
            fix=f"make an Airflow connection of type {made} of it, write its id here, and make a new "
            "secret where this one was shared",
        )


def channels_named_once(document: Document, path: Path) -> Iterator[Problem]:  # noqa: ARG001
    """Yield a problem for each channel that another one makes needless."""
    known: list[tuple[int, Channel]] = []
    for keys, channel in _channels(document):
        for position, other in known:
            both = [event for event in channel.events if event in other.events]
            alike = (channel.unacknowledged_for is None) == (other.unacknowledged_for is None)
            if both and alike and place(channel) == place(other):
                yield document.problem(
                    keys,
                    f"alerts[{position}] is the same place and takes {', '.join(both[:3])}"
                    f"{' and others' if len(both) > 3 else ''}, too; each is told there once",
                    fix="name it once, or give each its own events",
                )
                break
        known.append((int(keys[-1]), channel))


def channels_that_hear_something(document: Document, path: Path) -> Iterator[Problem]:  # noqa: ARG001
    """Yield a problem for each channel that nothing can reach."""
    for keys, channel in _channels(document):
        written_out = (*keys, "events") in document.values
        place_of = (*keys, "events") if written_out else keys
        if set(channel.events) == {"recovered"}:
            yield document.problem(
                place_of,
                "nothing is ever told here: an incident's end is told where its beginning was",
                fix="name the events whose end is of interest, such as failed, alarm or stale",
            )
        elif channel.unacknowledged_for is not None and OPEN_NO_INCIDENT.issuperset(channel.events):
            yield document.problem(
                (*keys, "unacknowledged_for"),
                "nothing is ever told here: none of these events opens an incident",
                got=", ".join(channel.events),
                fix="name events such as failed, alarm or stale, or leave unacknowledged_for out",
            )


def stale_after_a_retrain(document: Document, path: Path) -> Iterator[Problem]:  # noqa: ARG001
    """Yield a problem where each model would be stale before its next retrain is due."""
    keys = ("stale_after",)
    text, schedule = document.find(*keys, kind=str), document.find("schedule", kind=str)
    length = Duration.find(text)
    if length is None or length.count == 0:
        return
    longest = _longest_wait(schedule) if schedule else None
    try:
        too_short = longest is not None and length.after(_FROM) <= _FROM + longest
    except (ValueError, OverflowError):
        return
    if too_short and longest is not None:
        wait = lasted(longest)
        yield document.problem(
            keys,
            f"stale before its next retrain is due: the schedule leaves up to {wait} between two",
            got=str(length),
            fix="make it longer than that, with room for a retrain that fails once",
        )


def approval_of_what_matters(document: Document, path: Path) -> Iterator[Problem]:  # noqa: ARG001
    """Yield a problem for an approval that silence gives, or that is asked of somebody twice."""
    keys = ("release", "approval")
    silent = document.find(*keys, "on_timeout", kind=str) == "release"
    if silent and document.find("tier", kind=str) == "high":
        yield document.problem(
            (*keys, "on_timeout"),
            "at tier high, silence is no word of a person",
            got="release",
            allowed="keep",
            fix="leave it out, or lower the tier",
        )
    approvers: list[object] = document.find(*keys, "approvers", kind=list) or []
    for position, name in enumerate(approvers):
        if isinstance(name, str) and name in approvers[:position]:
            what, fix = "this user is named twice", "name each once"
            yield document.problem((*keys, "approvers", position), what, got=repr(name), fix=fix)


CHANNEL_CHECKS: tuple[Callable[[Document, Path], Iterator[Problem]], ...] = (
    connection_ids,
    channels_named_once,
    channels_that_hear_something,
)


def _entries(document: Document) -> Iterator[tuple[KeyPath, dict[str, object]]]:
    entries: list[object] = document.find("alerts", kind=list) or []
    for position, entry in enumerate(entries):
        keys: KeyPath = ("alerts", position)
        if isinstance(entry, dict) and not any(keys == one[:2] for one in document.refused):
            yield keys, entry


def _channels(document: Document) -> Iterator[tuple[KeyPath, Channel]]:
    for keys, entry in _entries(document):
        try:
            yield keys, _codec().validate_python(entry)
        except ValidationError:
            continue  # the spec says so


@cache
def _codec() -> TypeAdapter[Channel]:
    return TypeAdapter(Channel)


@cache
def _longest_wait(schedule: str) -> timedelta | None:
    """Return the longest time between two runs of a schedule, or None for what is no schedule."""
    from evergreen.cron import times

    try:
        due = list(islice(times(schedule, _FROM, _FROM + _YEARS), _MOST_RUNS))
    except (ValueError, KeyError, IndexError, AttributeError, TypeError):
        return None
    return max((after - before for before, after in pairwise(due)), default=None)
