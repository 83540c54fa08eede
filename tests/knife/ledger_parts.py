"""The operations of the ledger, as parts: each in a process that opens the ledger and closes it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from evergreen.alerts.event import Notice
from evergreen.ledger import open_ledger
from evergreen.ledger.store import SqlLedger
from evergreen.outbox import Receipt
from evergreen.steps.alerts import deliver as deliver_messages
from evergreen.steps.alerts import notice
from evergreen.steps.alerts import take_in as take_in_entries
from tests.integration.alerts_process import CLAIM_SECONDS, hurry, messenger_to
from tests.knife.place import LEASE_SECONDS, Place, telling_ledger

MODEL, HOLDER = "m", "m/run"
NOTICED_AT = datetime(2013, 4, 1, tzinfo=UTC)


def migrate(place: Place) -> None:
    """Make the ledger's tables where nothing was before."""
    open_ledger(place.ledger, LEASE_SECONDS).close()


def acquire(place: Place) -> None:
    with opened(place) as ledger:
        ledger.acquire(MODEL, HOLDER)


def append(place: Place) -> None:
    """Append a few entries, two of them by compare-and-set."""
    with opened(place) as ledger:
        lease = ledger.acquire(MODEL, HOLDER)
        for number in (1, 2):
            ledger.append("snapshot", f"snapshot/m/run/{number}", {"rows": number}, lease)
        body = {"version": 1}
        ledger.append("release_intended", "release_intended/m/run", body, lease, expected_release=None)
        ledger.append("release", "release/m/run", body, lease)


def renew(place: Place) -> None:
    """Renew a lease as `keep` does in its thread."""
    with opened(place) as ledger:
        lease = ledger.acquire(MODEL, HOLDER)
        assert ledger._renew(lease)


def free(place: Place) -> None:
    with opened(place) as ledger:
        ledger.free(ledger.acquire(MODEL, HOLDER))


def note(place: Place) -> None:
    """Write down what people are to be told: an opening and a single message."""
    with opened(place) as ledger:
        for number, cause in ((1, "retrain"), (2, None)):
            one = Notice("failed", "medium", f"Notice {number}.", cause=cause, signature=str(number))
            notice(ledger, MODEL, f"failed/m/{number}", one)


def take_in(place: Place) -> None:
    with opened(place) as ledger:
        take_in_entries(messenger_to(ledger, place.port), NOTICED_AT)


def deliver(place: Place) -> None:
    """Send what is due by HTTP until nothing waits, however long a claim of a killed process lasts."""
    hurry(stormy=False)
    with opened(place) as ledger:
        messenger = messenger_to(ledger, place.port)
        while waiting(ledger):
            deliver_messages(messenger, datetime.now(UTC))
            take_in_entries(messenger, NOTICED_AT)
            time.sleep(CLAIM_SECONDS / 8)


def note_more(place: Place) -> None:
    with opened(place) as ledger:
        notice(ledger, MODEL, "failed/m/3", Notice("failed", "medium", "Notice 3.", signature="3"))
        take_in_entries(messenger_to(ledger, place.port), NOTICED_AT)


def claim(place: Place) -> None:
    """Claim messages and put each off once; then those of one place are sent, the others given up."""
    with opened(place) as ledger:
        while keys := waiting(ledger):
            for key in keys:
                held = ledger.outbox.claim(key, CLAIM_SECONDS)
                if held is None:
                    time.sleep(CLAIM_SECONDS / 8)
                elif held.message.attempts == 0:
                    ledger.outbox.postponed(held, NOTICED_AT, "no answer")
                elif '"one"' in held.message.channel:
                    ledger.outbox.sent(held, Receipt())
                else:
                    ledger.outbox.given_up(held, "refused")


def again(place: Place) -> None:
    """Let what was given up wait anew."""
    with opened(place) as ledger:
        ledger.outbox.again()


def waiting(ledger: SqlLedger) -> list[str]:
    found = ledger.outbox.undelivered()
    return sorted(one.message.key for one in found if one.state == "waiting")


PARTS: dict[str, Callable[[Place], None]] = {
    part.__name__: part
    for part in (migrate, acquire, append, renew, free, note, take_in, deliver, note_more, claim, again)
}


@contextmanager
def opened(place: Place) -> Iterator[SqlLedger]:
    ledger = telling_ledger(place)
    try:
        yield ledger
    finally:
        ledger.close()
