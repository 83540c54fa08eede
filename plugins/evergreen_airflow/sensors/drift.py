"""A sensor for anyone's DAG: waits for an alarm of a model's watch."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, get_args

from airflow.sdk import BaseSensorOperator, PokeReturnValue
from airflow.sdk.exceptions import AirflowFailException

from evergreen.monitor_spec import Level
from evergreen.names import did_you_mean, name_problem
from evergreen.window import parse_instant
from evergreen_airflow.triggers.drift import DriftTrigger, first_alarm, told

if TYPE_CHECKING:
    from airflow.sdk import Context


class DriftSensor(BaseSensorOperator):
    """Succeeds once the watch over `model` has raised an alarm; its XCom says which.

    Args:
        model: The model's name.
        since: Only alarms with an as-of after this count (ISO 8601, a template); None: after the start
            of the run's data interval or, where it has none, after the run was to begin.
        levels: Which alarms count: health, loss, estimated_loss, prediction, features; none: any.
        deferrable: Wait in the triggerer, without a worker's slot.
        poke_interval: Seconds between questions to the ledger.
    """

    template_fields: Sequence[str] = ("since",)
    ui_color: str = "#e6f4ea"

    def __init__(
        self,
        *,
        model: str,
        since: str | None = None,
        levels: Sequence[Level] = (),
        deferrable: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        problem = name_problem(model)
        if problem:
            raise ValueError(f"model {model!r}: {problem}")
        for level in levels:
            if level not in get_args(Level):
                hint = did_you_mean(level, get_args(Level))
                allowed = ", ".join(get_args(Level))
                raise ValueError("; ".join(filter(None, [f"no level {level!r}", allowed, hint])))
        self.model = model
        self.since = since
        self.levels = list(levels)
        self.deferrable = deferrable

    def execute(self, context: Context) -> Any:
        """Wait, in the triggerer where `deferrable`, for the first alarm."""
        if not self.deferrable:
            return super().execute(context)
        alarm = first_alarm(self.model, self._since(context), self.levels)
        if alarm is None:
            self.defer(
                trigger=DriftTrigger(
                    self.model, self._since(context).isoformat(), self.levels, self.poke_interval
                ),
                method_name="execute_complete",
                timeout=timedelta(seconds=self.timeout),
            )
        return told(alarm)

    def poke(self, context: Context) -> PokeReturnValue:
        """Ask the ledger once."""
        alarm = first_alarm(self.model, self._since(context), self.levels)
        return PokeReturnValue(alarm is not None, None if alarm is None else told(alarm))

    def execute_complete(self, context: Context, event: dict[str, Any]) -> dict[str, Any]:  # noqa: ARG002
        """Return what the trigger found.

        Raises:
            AirflowFailException: the ledger could not be asked, and asking again would not help.
        """
        if "error" in event:
            raise AirflowFailException(event["error"])
        alarm: dict[str, Any] = event["alarm"]
        return alarm

    def _since(self, context: Context) -> datetime:
        if self.since is not None:
            return parse_instant(self.since)
        run = context["dag_run"]
        since: datetime = run.data_interval_start or run.run_after
        return since.astimezone(UTC)
