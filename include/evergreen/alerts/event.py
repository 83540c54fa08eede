"""One thing that happened and that somebody may want to hear of."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from evergreen.alert_spec import EventName, Severity


@dataclass(frozen=True, slots=True)
class Event:
    """What happened, the numbers, what Evergreen did, and the one command that undoes or continues it.

    `key` is its idempotency key: each channel hears of it once. `cause` names, within the model, the
    incident that it belongs to (None: it is told by itself), `closes` those that it ends. An event with
    the `signature` of what an open incident last told brings nothing new and is only counted. `values`
    are lines that quote the data, for channels whose owner allows that. `owner` answers for the model,
    `triggered_by` is the user who started the run, where somebody did.
    """

    key: str
    name: EventName
    model: str
    at: datetime
    severity: Severity
    headline: str
    lines: tuple[str, ...] = ()
    values: tuple[str, ...] = ()
    cause: str | None = None
    closes: tuple[str, ...] = ()
    signature: str = ""
    run_key: str | None = None
    as_of: datetime | None = None
    owner: str | None = None
    triggered_by: str | None = None
    command: str | None = None
    seq: int | None = None


@dataclass(frozen=True, slots=True)
class Notice:
    """The body of an entry `event`: something that no other entry tells.

    Written by the fleet's check (stale, invalid_file), by Airflow's callbacks (failed) and by the
    notifiers in other DAGs (message). Fields as in `Event`; the entry knows key, model and time.
    """

    name: EventName
    severity: Severity
    headline: str
    lines: tuple[str, ...] = ()
    values: tuple[str, ...] = ()
    cause: str | None = None
    closes: tuple[str, ...] = ()
    signature: str = ""
    run_key: str | None = None
    owner: str | None = None
    command: str | None = None
    place: str | None = None
    """The folder of the model file that it is about, where it is about one."""
    channels: tuple[str, ...] | None = None
    """Channels as canonical JSON of `alert_spec.Channel`, in the place of the model's; None: those."""


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """The body of an entry `acknowledged`: who looks after an incident (by its key), and why."""

    incident: str
    cause: str
    who: str
    why: str
