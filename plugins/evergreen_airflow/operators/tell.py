"""The one task of `evergreen__fleet`: looks over the fleet and tells people what waits to be told."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from evergreen_airflow.step_operator import told_to_airflow

if TYPE_CHECKING:
    from airflow.sdk import Context

log = logging.getLogger(__name__)

BUDGET_SECONDS = 240.0


class TellOperator(BaseOperator):
    """Writes notices of broken files and stale models, keeps a checkpoint, delivers all that is due.

    Args:
        folders: The folders of model files.
    """

    ui_color: str = "#e8f0fe"

    def __init__(self, *, folders: Sequence[str], **kwargs: Any) -> None:
        super().__init__(doc="Tells people what there is to tell.", **kwargs)
        self.folders = list(folders)

    def execute(self, context: Context) -> dict[str, int]:  # noqa: ARG002 - Airflow's signature
        """Look and tell; returns how much there was of each.

        Raises:
            AirflowFailException: the ledger cannot be opened, or a folder cannot be read; what waits was
                told all the same then.
        """
        from evergreen.steps.alerts import deliver, take_in
        from evergreen.steps.alerts.fleet import look_over
        from evergreen.steps.alerts.witness import keep_and_tell
        from evergreen_airflow.people import messenger

        with told_to_airflow(self.task_id, tries_left=False), messenger() as opened:
            try:
                witnessed = keep_and_tell(opened, datetime.now(UTC))
                folders = [Path(folder) for folder in self.folders]
                found = look_over(opened.ledger, folders, datetime.now(UTC), behind=witnessed.behind)
            finally:  # what waits is told whatever the fleet looks like
                events = take_in(opened, datetime.now(UTC))
                done = deliver(opened, datetime.now(UTC), BUDGET_SECONDS)
        log.info("%s events=%d %s", found, events, done)
        return {
            "model_files": found.files,
            "stale": found.stale,
            "approvals_overdue": found.overdue,
            "unwitnessed": len(witnessed.problems),
            "events": events,
            "sent": done.sent,
            "postponed": done.postponed,
            "given_up": done.given_up,
        }
