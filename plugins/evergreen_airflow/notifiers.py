"""Evergreen's messages for anyone's DAG: deduplicated, retried, threaded and digested as a model's own.

DAG("load_flights", on_failure_callback=EvergreenNotifier(
    headline="{{ dag.dag_id }} failed", event="failed", cause="load",
    channels=[{"type": "slack", "connection": "slack_ml"}]))
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseNotifier

from evergreen.alert_spec import EventName, Severity
from evergreen.canonical import digest_of
from evergreen.redaction import redact
from evergreen.text import plain

if TYPE_CHECKING:
    import jinja2
    from airflow.sdk import Context

log = logging.getLogger(__name__)

LONGEST_HEADLINE = 300
MOST_LINES = 12


class EvergreenNotifier(BaseNotifier):
    """Writes a notice into the ledger and tells it; whatever goes wrong then is a warning.

    A repeated call of the same task try tells nothing twice. Two notifiers that say something else, or
    say it to somebody else, are two.

    Args:
        headline: One sentence; a template.
        lines: The numbers and what follows; templates.
        channels: As in a model file's `alerts`; None: those of the fleet's file.
        event: What it is about; a channel hears of it where its `events` hold that name.
        severity: `low`, `medium` or `high`.
        cause: Opens or continues the incident of that name; None: the message stands alone.
        closes: Names of incidents that it ends. With `event="recovered"` it is told only where there is
            one to end; as anything else, at every call.
        about: Who it is about, in the place of a model's name; the DAG's id by default.

    Raises:
        ValueError: channels that are none, with what is allowed.
    """

    template_fields: Sequence[str] = ("headline", "lines")

    def __init__(
        self,
        *,
        headline: str,
        lines: Sequence[str] = (),
        channels: Sequence[Mapping[str, Any]] | None = None,
        event: EventName = "message",
        severity: Severity = "medium",
        cause: str | None = None,
        closes: Sequence[str] = (),
        about: str | None = None,
    ) -> None:
        super().__init__()
        self.headline = headline
        self.lines = list(lines)
        self.channels = None if channels is None else _canonical(channels)
        self.event = event
        self.severity = severity
        self.cause = cause
        self.closes = tuple(closes)
        self.about = about
        written = [about, headline, self.lines, self.channels, severity, self.closes]
        self._digest = digest_of(repr(written))[:12]

    def render_template_fields(
        self, context: Context, jinja_env: jinja2.Environment | None = None
    ) -> None:
        """Render; what does not is told as it was written, with the reason, rather than not at all."""
        written = self.headline, list(self.lines)
        try:
            super().render_template_fields(context, jinja_env)
        except Exception as exc:  # noqa: BLE001 - whatever a template of somebody's raises
            why = f"This message's template does not render: {type(exc).__name__}: {exc}"
            log.warning("%s", redact(why))
            self.headline, self.lines = written[0], [*written[1], redact(why)]

    def notify(self, context: Context) -> None:
        """Write the notice and tell it."""
        from evergreen.alerts.event import Notice
        from evergreen_airflow.people import note_and_tell

        about, key = self._identity(context)
        one = Notice(
            self.event,
            self.severity,
            plain(self.headline, LONGEST_HEADLINE),
            tuple(plain(line, LONGEST_HEADLINE) for line in self.lines[:MOST_LINES]),
            cause=self.cause,
            closes=self.closes,
            signature=plain(self.headline, LONGEST_HEADLINE),
            channels=self.channels,
        )
        note_and_tell(about, key, one)

    async def async_notify(self, context: Context) -> None:
        """Do the same from the triggerer, without holding up its loop."""
        await asyncio.to_thread(self.notify, context)

    def _identity(self, context: Mapping[str, Any]) -> tuple[str, str]:
        """Return whom the notice is about, and its key: one for each call of one try of one task."""
        dag_run, ti = context.get("dag_run"), context.get("ti")
        dag_id = getattr(dag_run, "dag_id", None) or getattr(context.get("dag"), "dag_id", "airflow")
        about = self.about or str(dag_id)
        parts = [dag_id, getattr(dag_run, "run_id", ""), getattr(ti, "task_id", "")]
        parts += [getattr(ti, "map_index", ""), getattr(ti, "try_number", ""), self.event, self.cause]
        return about, "notifier/" + "/".join(str(part) for part in [*parts, self._digest])


def _canonical(channels: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    from pydantic import TypeAdapter

    from evergreen.alert_spec import Channel
    from evergreen.alerts.channels import canonical

    adapter: TypeAdapter[list[Channel]] = TypeAdapter(list[Channel])
    return tuple(map(canonical, adapter.validate_python([dict(one) for one in channels])))
