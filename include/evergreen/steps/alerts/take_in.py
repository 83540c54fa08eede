"""Take in what the ledger holds since the cursor: entries become events, incidents and messages.

One batch is one plan, written with the cursor in one transaction. Whoever loses the race for a batch
looks again; no entry is taken in twice, and none is passed over.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from itertools import islice

from evergreen.alert_spec import Channel
from evergreen.alerts.channels import channel_of
from evergreen.alerts.context import Context
from evergreen.alerts.event import Acknowledgement, Event
from evergreen.alerts.events import TELLING, event_of, unreadable
from evergreen.alerts.incidents import Followed, acknowledged, follow
from evergreen.alerts.routing import route
from evergreen.entry_keys import entry_key
from evergreen.errors import LedgerError, bounded
from evergreen.messenger import Messenger
from evergreen.outbox import Incident, Message, Plan
from evergreen.ports import Entry, Ledger
from evergreen.redaction import redact
from evergreen.results import from_json
from evergreen.steps.alerts.known import Known

log = logging.getLogger(__name__)

BATCH = 200
_FAILS_THE_RUN = frozenset({"failed", "rejected"})


def take_in(messenger: Messenger, now: datetime) -> int:
    """Take in everything that the ledger holds, and return how many events it told.

    Several processes may do so at once.

    Raises:
        LedgerUnavailable: the ledger's database did not answer.
    """
    events = 0
    while True:
        batch = _Batch(messenger, now)
        if not batch.read():
            return events
        if messenger.outbox.apply(batch.plan):
            events += batch.events


class _Batch:
    """The next entries, and the plan that follows from them."""

    def __init__(self, messenger: Messenger, now: datetime) -> None:
        self._ledger = messenger.ledger
        self._fleet = messenger.fleet
        self._known = Known(messenger.ledger)
        self._now = now
        self._since = messenger.outbox.cursor()
        self._open = dict(messenger.outbox.open_incidents())
        self._changed: dict[str, Incident] = {}
        self._messages: list[Message] = []
        self._until = self._since
        self.events = 0

    def read(self) -> bool:
        """Read the next entries; return whether there were any."""
        for entry in islice(self._ledger.entries(after=self._since), BATCH):
            self._until = entry.seq
            if entry.kind == "acknowledged":
                self._note(_acknowledged(entry, self._open))
            elif entry.kind in TELLING:
                event = self._event(entry)
                if event is not None and not _told_before(self._ledger, entry, event):
                    self._tell(entry, event)
        return self._until > self._since

    @property
    def plan(self) -> Plan:
        """What is to be written."""
        return Plan(self._since, self._until, tuple(self._changed.values()), tuple(self._messages))

    def _event(self, entry: Entry) -> Event | None:
        try:
            context = Context() if entry.kind == "told" else self._known.context(entry)
            return event_of(entry, context)
        except LedgerError:
            raise
        except Exception as exc:
            log.exception("entry %d cannot be put into words", entry.seq)
            return unreadable(entry, bounded(redact(f"{type(exc).__name__}: {exc}")))

    def _tell(self, entry: Entry, event: Event) -> None:
        followed = follow(event, self._open)
        self._note(followed)
        if not followed.tellings:
            return
        self.events += 1
        channels, without = self._channels(entry), _unreached(entry)
        for telling in followed.tellings:
            messages, incident = route(telling, channels, self._now, without)
            self._messages += messages
            if incident is not None:
                self._note(Followed((incident,)))

    def _note(self, followed: Followed) -> None:
        for one in followed.incidents:
            self._changed[one.key] = one
            if one.closed_at is None:
                self._open[one.model, one.cause] = one
            elif self._open.get((one.model, one.cause), one).key == one.key:
                self._open.pop((one.model, one.cause), None)

    def _channels(self, entry: Entry) -> Sequence[Channel]:
        try:
            if entry.kind == "event" and entry.body.get("channels") is not None:
                return [channel_of(text) for text in entry.body["channels"]]
            named = self._known.channels(entry)
        except LedgerError:
            raise
        except Exception:
            log.exception("the channels of entry %d cannot be read; the fleet's are used", entry.seq)
            named = None
        return self._fleet() if named is None else named


def _acknowledged(entry: Entry, open_incidents: Mapping[tuple[str, str], Incident]) -> Followed:
    try:
        word = from_json(Acknowledgement, entry.body)
    except ValueError:
        log.exception("entry %d acknowledges nothing that can be read", entry.seq)
        return Followed()
    return acknowledged(word, entry.model, entry.at, open_incidents)


def _told_before(ledger: Ledger, entry: Entry, event: Event) -> bool:
    """Return whether an earlier entry told the same happening: a run's failure is told by two.

    Rejected data fails the run in Airflow, too, whose callback then writes a notice of its own.
    """
    if event.name != "failed" or event.run_key is None or event.key != f"failed/{event.run_key}":
        return False
    notice = ledger.find(entry_key("event", event.key))
    report = ledger.find(entry_key("run_finished", event.run_key))
    failed = report if report is not None and report.body["outcome"] in _FAILS_THE_RUN else None
    return any(one is not None and one.seq < entry.seq for one in (notice, failed))


def _unreached(entry: Entry) -> Collection[str]:
    """Return the receiver that an entry says was not reached: it is not told of that."""
    return (entry.body["place"],) if entry.kind == "not_told" else ()
