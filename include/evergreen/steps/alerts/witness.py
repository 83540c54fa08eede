"""Keeps a checkpoint of the ledger, and tells people: of the day's one in full, and of what is wrong.

The day's checkpoint goes to those channels of the fleet's file that ask for the event `checkpoint`: a
mail is a place, too, that the ledger's owner does not reach.
"""

from __future__ import annotations

import hashlib
import logging
from datetime import datetime

from evergreen.alert_spec import EventName
from evergreen.alerts.event import Notice
from evergreen.checkpoints import LEDGER
from evergreen.entry_keys import entry_key
from evergreen.messenger import Messenger
from evergreen.ports import Entry, Ledger
from evergreen.results import from_json
from evergreen.steps.alerts.notice import notice
from evergreen.steps.witness import Witnessed, present, witness
from evergreen.text import plain

log = logging.getLogger(__name__)

EVENT: EventName = "checkpoint"
CAUSE = "witness/"
"""How the causes begin of places that do not keep checkpoints of this ledger."""


def keep_and_tell(messenger: Messenger, now: datetime) -> Witnessed:
    """Keep a checkpoint in every place that has not one as new; return what became of that.

    What a place says against it is told once, and once more when it is over, or when the place is none
    any more; that a silent place now contradicts the ledger is news.

    Raises:
        LedgerUnavailable: the ledger's database did not answer.
    """
    ledger = messenger.ledger
    done = witness(ledger, messenger.checkpoints)
    if not done.behind:
        _tell_the_days(messenger, now)
    said = dict(done.problems)
    told = _told(ledger)
    for place in messenger.checkpoints:
        cause = _cause(place.uri)
        last, count = told.get(cause, (None, 0))
        signature = f"{cause}/against" if place.uri in done.against else cause
        news = _news(place.uri, cause, signature, said.get(place.uri), last)
        if news is not None:
            notice(ledger, LEDGER, f"{cause}/{count + 1}", news)
    _end_those_of_former_places(messenger, told)
    return done


def _end_those_of_former_places(messenger: Messenger, told: dict[str, tuple[Notice, int]]) -> None:
    causes = {_cause(place.uri) for place in messenger.checkpoints}
    for cause, (last, count) in told.items():
        if cause not in causes and last.name == "unwitnessed":
            over = (
                "A place that kept no checkpoint of the ledger is no place of its checkpoints any more."
            )
            news = Notice("recovered", "low", over, (last.headline,), closes=(cause,))
            notice(messenger.ledger, LEDGER, f"{cause}/{count + 1}", news)


def _tell_the_days(messenger: Messenger, now: datetime) -> None:
    """Write down the notice of the day's checkpoint, where a channel of the fleet wants it."""
    if not any(EVENT in channel.events for channel in messenger.fleet()):
        return
    key = f"checkpoint/{now:%Y-%m-%d}"
    checkpoint = present(messenger.ledger)
    if checkpoint is None or messenger.ledger.find(entry_key("event", key)) is not None:
        return
    one = Notice(
        EVENT,
        "low",
        f"Checkpoint of the ledger on {now:%Y-%m-%d}: {checkpoint.seq} entries.",
        (
            checkpoint.text(),
            "Keep this message. Saved in a file, the line above proves that these entries still stand.",
        ),
        command="evergreen audit --checkpoints FILE",
    )
    notice(messenger.ledger, LEDGER, key, one)


def _told(ledger: Ledger) -> dict[str, tuple[Notice, int]]:
    """Return, by cause, the last notice about a place and how many there were."""
    told: dict[str, tuple[Notice, int]] = {}
    for entry in ledger.entries(model=LEDGER, kind="event"):
        one, cause = _about_a_place(entry)
        if cause is not None:
            told[cause] = (one, told.get(cause, (one, 0))[1] + 1)
    return told


def _about_a_place(entry: Entry) -> tuple[Notice, str | None]:
    one = from_json(Notice, entry.body)
    causes = [one.cause] if one.cause else list(one.closes)
    return one, next((cause for cause in causes if cause.startswith(CAUSE)), None)


def _news(
    place: str, cause: str, signature: str, problem: str | None, last: Notice | None
) -> Notice | None:
    """Return what is to be told of a place that was not told last."""
    was_wrong = last is not None and last.name == "unwitnessed"
    if problem is None:
        over = f"Checkpoints of the ledger are kept at {plain(place, 200)} again."
        return Notice("recovered", "low", over, closes=(cause,)) if was_wrong else None
    if last is not None and was_wrong and signature in (last.signature, cause):
        return None
    log.error("no checkpoint was kept at %s: %s", place, problem)
    return Notice(
        "unwitnessed",
        "high",
        f"No checkpoint of the ledger is kept at {plain(place, 200)}.",
        (problem, "Until it is, what is cut off from the ledger's end would not show there."),
        cause=cause,
        signature=signature,
        command="evergreen audit",
    )


def _cause(place: str) -> str:
    return f"{CAUSE}{hashlib.sha256(place.encode()).hexdigest()[:12]}"
