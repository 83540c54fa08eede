"""`evergreen alerts` and `acknowledge`: what is open, what was not delivered, and who sees to it."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from rich import box
from rich.table import Table

from evergreen.alerts.channels import channel_of, place
from evergreen.cli.exit_codes import FINDINGS, OK
from evergreen.cli.output import say, say_json, say_table
from evergreen.cli.person import person, reason
from evergreen.cli.usage import UsageError
from evergreen.errors import BadConfiguration
from evergreen.names import did_you_mean
from evergreen.outbox import Incident, Undelivered
from evergreen.results import to_json
from evergreen.settings import Settings
from evergreen.steps.alerts.notice import acknowledge as written_down
from evergreen.text import plain
from evergreen.wiring import open_ledger

MOST_SHOWN = 100
LONGEST_WHO = 200
GIVEN_UP_SHOWN = timedelta(days=7)


def alerts(arguments: Namespace) -> int:
    """Print the open incidents and the undelivered messages; 1 where there are any."""
    with open_ledger(Settings.from_environment()) as ledger:
        incidents = [
            one for one in ledger.outbox.open_incidents().values() if arguments.name in (None, one.model)
        ]
        undelivered = [one for one in ledger.outbox.undelivered(arguments.name) if _is_news(one)]
    if arguments.json:
        say_json(
            {
                "incidents": [to_json(one) for one in incidents],
                "undelivered": [to_json(one) for one in undelivered],
            }
        )
    else:
        _show_incidents(incidents)
        _show_undelivered(undelivered)
    return FINDINGS if incidents or undelivered else OK


def acknowledge(arguments: Namespace) -> int:
    """Write down that somebody sees to an incident, so that nobody else is called.

    Raises:
        UsageError: no such incident is open.
    """
    who, why = plain(arguments.who or person(), LONGEST_WHO), reason(arguments.why)
    with open_ledger(Settings.from_environment()) as ledger:
        incident = _open(arguments.incident, list(ledger.outbox.open_incidents().values()))
        if incident.acknowledged_by is None:
            written_down(ledger, incident, who, why)
    if incident.acknowledged_by is not None:
        say(f"{incident.key}: acknowledged already, by {plain(incident.acknowledged_by)}")
    else:
        say(f"{incident.key}: acknowledged by {who}; nobody else is called about it")
    return OK


def _open(asked: str, incidents: Sequence[Incident]) -> Incident:
    """Return the incident of a key, or the one that is open of a model or of `MODEL/CAUSE`."""
    found = [one for one in incidents if one.key == asked] or [
        one for one in incidents if asked in (one.model, f"{one.model}/{one.cause}")
    ]
    if len(found) == 1:
        return found[0]
    keys = [one.key for one in found or incidents]
    shown = ", ".join(map(plain, keys[:10])) or "none"
    if found:
        raise UsageError(f"{asked!r} has {len(found)} open incidents; name one of: {shown}")
    hint = did_you_mean(asked, keys) or f"open: {shown}"
    raise UsageError(f"no incident {plain(asked)!r} is open; {hint}")


def _show_incidents(incidents: Sequence[Incident]) -> None:
    if not incidents:
        say("no incident is open")
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("open since (UTC)", "severity", "model", "cause"):
        table.add_column(heading)
    table.add_column("events", justify="right")
    for heading in ("acknowledged by", "what", "incident"):
        table.add_column(heading)
    for one in incidents[:MOST_SHOWN]:
        cells = (
            f"{one.opened_at:%Y-%m-%d %H:%M}",
            one.severity,
            one.model,
            one.cause,
            one.events,
            one.acknowledged_by or "nobody",
            one.headline,
            one.key,
        )
        table.add_row(*map(plain, cells))
    say_table(table)
    _say_more(len(incidents))


def _show_undelivered(undelivered: Sequence[Undelivered]) -> None:
    if not undelivered:
        say("every message was delivered")
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("message", "model", "to", "state", "next try (UTC)"):
        table.add_column(heading)
    table.add_column("tries", justify="right")
    table.add_column("why not")
    for one in undelivered[:MOST_SHOWN]:
        message = one.message
        waits = one.state == "waiting"
        cells = (
            message.event.name if not message.gathers else f"digest of {len(message.gathers) + 1}",
            message.event.model,
            _to(message.channel),
            "waits" if waits else "given up",
            f"{message.due_at:%Y-%m-%d %H:%M}" if waits else "-",
            message.attempts,
            one.why or "",
        )
        table.add_row(*map(plain, cells))
    say_table(table)
    _say_more(len(undelivered))


def _is_news(one: Undelivered) -> bool:
    """Return whether a message may still be waited for, or was given up not long ago."""
    return one.state == "waiting" or one.message.due_at > datetime.now(UTC) - GIVEN_UP_SHOWN


def _to(channel: str) -> str:
    try:
        return place(channel_of(channel))
    except BadConfiguration as exc:
        return str(exc)


def _say_more(count: int) -> None:
    if count > MOST_SHOWN:
        say(f"{MOST_SHOWN} of {count:,}; --json gives all")
