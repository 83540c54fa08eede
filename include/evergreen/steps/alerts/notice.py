"""Write down what no other entry tells, and that somebody looks after an incident."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from evergreen.alerts.event import Acknowledgement, Notice
from evergreen.entry_keys import entry_key
from evergreen.outbox import Incident
from evergreen.ports import Lease, Ledger
from evergreen.results import to_json
from evergreen.steps.brief_lease import briefly


def notice(ledger: Ledger, model: str, key: str, one: Notice) -> None:
    """Write a notice down. The first of a key stands: a later one is left out, whatever it says.

    Args:
        ledger: The ledger.
        model: Whom it is about.
        key: Its idempotency key, such as `failed/RUN_KEY`.
        one: What to tell.

    Raises:
        LedgerUnavailable: the ledger's database did not answer.
        LedgerError: the key or the text cannot be kept.
    """
    _write(ledger, model, "event", entry_key("event", key), to_json(one))


def acknowledge(ledger: Ledger, incident: Incident, who: str, why: str) -> None:
    """Write down that somebody looks after an incident: nobody else is called. The first word stands.

    Raises:
        LedgerUnavailable: the ledger's database did not answer.
    """
    body = to_json(Acknowledgement(incident.key, incident.cause, who, why))
    _write(ledger, incident.model, "acknowledged", entry_key("acknowledged", incident.key), body)


def _write(ledger: Ledger, model: str, kind: str, key: str, body: Mapping[str, Any]) -> None:
    """Append an entry unless one of its key stands."""

    def write(lease: Lease) -> None:
        if ledger.find(key) is None:
            ledger.append(kind, key, body, lease)

    briefly(ledger, model, "alerts", write)
