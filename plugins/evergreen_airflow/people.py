"""Telling people from Airflow's processes: takes in what the ledger holds and delivers what is due.

Whatever goes wrong here is a warning: no task, callback or parse fails for want of a message, and what
was not told now is told by the next process that looks (`evergreen__fleet` at the latest).
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from evergreen.redaction import redact

if TYPE_CHECKING:
    from evergreen.alerts.event import Notice
    from evergreen.messenger import Messenger

log = logging.getLogger(__name__)

PATIENCE_SECONDS = 15.0
"""How long a task or callback may spend on delivering; a receiver that hangs is tried again later."""


def tell_people() -> None:
    """Tell what there is to tell."""
    with _warned("people were not told now; evergreen__fleet tries again"), messenger() as open_one:
        _tell(open_one)


def note_and_tell(model: str, key: str, one: Notice) -> None:
    """Write a notice down, once for a key, and tell what there is to tell.

    Args:
        model: Whom it is about: a model, or a DAG of somebody else's.
        key: Its idempotency key.
        one: What to tell.
    """
    from evergreen.steps.alerts.notice import notice

    with _warned(f"the notice {key} was not written down, or not told now"), messenger() as open_one:
        notice(open_one.ledger, model, key, one)
        _tell(open_one)


@contextmanager
def messenger() -> Iterator[Messenger]:
    """Open the ledger, the outbox and the channels with Airflow's settings and connections."""
    from evergreen.wiring import open_messenger
    from evergreen_airflow.configuration import settings_from_airflow
    from evergreen_airflow.connections import from_airflow

    with open_messenger(settings_from_airflow(), from_airflow) as opened:
        yield opened


def _tell(open_one: Messenger) -> None:
    from datetime import UTC, datetime

    from evergreen.steps.alerts import deliver, take_in

    take_in(open_one, datetime.now(UTC))
    deliver(open_one, datetime.now(UTC), PATIENCE_SECONDS)


@contextmanager
def _warned(what: str) -> Iterator[None]:
    try:
        yield
    except Exception as exc:  # noqa: BLE001 - a message is no reason to fail a pipeline
        log.warning("%s: %s: %s", what, type(exc).__name__, redact(str(exc)))
