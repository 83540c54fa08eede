"""The one task of `evergreen__reconcile`: looks over every model, mends, wakes retrains, and tells."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowRuntimeError

from evergreen.errors import SchedulerUnavailable
from evergreen.names import retrain_dag_id
from evergreen.reconcile_results import WAKE_AFTER
from evergreen.redaction import redact
from evergreen.run_keys import airflow_run
from evergreen_airflow.assets import RETRAIN_REQUESTS, retrain_request
from evergreen_airflow.step_operator import TERMINATED, told_to_airflow

if TYPE_CHECKING:
    from airflow.sdk import Context

    from evergreen.reconcile_results import Reconciliation
    from evergreen.watch_results import RetrainRequest

ENDED = ["failed", "success"]
UNDER_WAY = ["queued", "running"]


class ReconcileOperator(BaseOperator):
    """Finds what a crash left, and finishes or closes it; what a person must see to does not fail it.

    The models whose retrain is to be woken are known only once it ran: their events go through an alias.

    Args:
        folders: The folders of model files.
        wake_after: How long a request may wait for the run that its event was to start.
    """

    ui_color: str = "#e8f0fe"

    def __init__(
        self, *, folders: Sequence[str], wake_after: timedelta = WAKE_AFTER, **kwargs: Any
    ) -> None:
        super().__init__(
            doc="Finishes or closes what a crash left.", outlets=[RETRAIN_REQUESTS], **kwargs
        )
        self.folders = list(folders)
        self.wake_after = wake_after

    def execute(self, context: Context) -> dict[str, int]:
        """Look, mend and tell; returns how many models there are and what became of the findings.

        Raises:
            AirflowFailException: the ledger does not answer.
        """
        from evergreen_airflow.people import tell_people

        with told_to_airflow(self.task_id, tries_left=False):
            try:
                done = self._one_pass(context)
            finally:
                tell_people()
        became = Counter(one.became for one in done.dealt)
        return {"models": done.models, **{name: became[name] for name in ("mended", "told", "left")}}

    def on_kill(self) -> None:
        """End at once: a pass is safe to cut off anywhere, and the next one goes on."""
        raise SystemExit(TERMINATED)

    def _one_pass(self, context: Context) -> Reconciliation:
        from evergreen.steps.known_models import known_models
        from evergreen.steps.reconcile import Circumstances, reconcile
        from evergreen.steps.reconcile.circumstances import grace_of
        from evergreen.wiring import open_workspace
        from evergreen_airflow.configuration import settings_from_airflow
        from evergreen_airflow.connections import from_airflow

        ti: Any = context["ti"]
        settings = settings_from_airflow()

        def wake(request: RetrainRequest, model: str) -> None:
            event = context["outlet_events"][RETRAIN_REQUESTS]
            extra: dict[str, Any] = {"request": request.key, "reason": redact(request.reason)[:300]}
            event.add(retrain_request(model), extra=extra)

        circumstances = Circumstances(
            datetime.now(UTC),
            grace_of(settings.lease_seconds),
            wake_after=self.wake_after,
            run_ended=lambda run_key: _ended(ti, run_key),
            begins=lambda model: bool(_count(ti, model, states=UNDER_WAY)),
            wake=wake,
        )
        with open_workspace(settings, from_airflow) as workspace:
            models = known_models(workspace.ledger, [Path(folder) for folder in self.folders])
            return reconcile(workspace, models, circumstances)


def _ended(ti: Any, run_key: str) -> bool | None:
    """Return whether Airflow says that a run ended; None: it does not know it."""
    model, run_id = run_key.partition("/")[0], airflow_run(run_key)
    if run_id is None or not _count(ti, model, run_ids=[run_id]):
        return None
    return bool(_count(ti, model, run_ids=[run_id], states=ENDED))


def _count(ti: Any, model: str, **which: list[str]) -> int:
    """Return how many retrains of a model Airflow has.

    Raises:
        SchedulerUnavailable: Airflow did not say.
    """
    dag_id = retrain_dag_id(model)
    try:
        return int(ti.get_dr_count(dag_id, **which))
    except (OSError, EOFError, AirflowRuntimeError) as exc:
        raise SchedulerUnavailable(
            "Airflow did not say which runs there are",
            where=f"DAG {dag_id}",
            got=type(exc).__name__,
            fix="the next pass asks again; where that lasts, is the API server up?",
        ) from exc
