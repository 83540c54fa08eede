"""Waits in the triggerer for an alarm of a model's watch."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from evergreen.errors import EvergreenError
from evergreen.monitor_spec import Level
from evergreen.redaction import redact
from evergreen.watch_results import Verdict

POLL_SECONDS = 60.0


class DriftTrigger(BaseTrigger):
    """Fires once the ledger holds an alarm with an as-of after `since`.

    Args:
        model: The model's name.
        since: ISO 8601, with a zone.
        levels: Which alarms count, by level; none: any.
        poll_seconds: How often the ledger is asked.
    """

    def __init__(
        self, model: str, since: str, levels: list[Level], poll_seconds: float = POLL_SECONDS
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.model = model
        self.since = since
        self.levels = levels
        self.poll_seconds = poll_seconds

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return what makes this trigger anew: JSON values only."""
        return (
            f"{type(self).__module__}.{type(self).__qualname__}",
            {
                "model": self.model,
                "since": self.since,
                "levels": self.levels,
                "poll_seconds": self.poll_seconds,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Ask the ledger until there is an alarm; a ledger that does not answer is asked again."""
        while True:
            try:
                found = await asyncio.to_thread(
                    first_alarm, self.model, datetime.fromisoformat(self.since), self.levels
                )
            except EvergreenError as exc:
                if not exc.retryable:
                    yield _event(error=redact(f"{type(exc).__name__}: {exc}"))
                    return
                self.log.warning("the ledger did not answer, asking again: %s", redact(str(exc)))
                found = None
            if found is not None:
                yield _event(alarm=told(found))
                return
            await asyncio.sleep(self.poll_seconds)


def first_alarm(model: str, since: datetime, levels: list[Level]) -> Verdict | None:
    """Return the earliest alarm after an instant, asked of this installation's ledger."""
    from evergreen.watch_questions import alarm_since
    from evergreen.wiring import open_ledger
    from evergreen_airflow.configuration import settings_from_airflow

    with open_ledger(settings_from_airflow()) as ledger:
        return alarm_since(ledger, model, since, levels)


def told(verdict: Verdict) -> dict[str, Any]:
    """Return what a DAG is told of an alarm: JSON values, bounded, without secrets."""
    return {
        "model_version": verdict.version,
        "as_of": verdict.as_of.isoformat(),
        "level": verdict.spoke,
        "columns": [f.subject for f in verdict.findings if f.answer == "alarm"][:20],
        "words": [redact(words)[:300] for words in verdict.words[:10]],
        "check": verdict.run_key,
    }


def _event(**payload: Any) -> TriggerEvent:
    return TriggerEvent(payload)  # type: ignore[no-untyped-call]
