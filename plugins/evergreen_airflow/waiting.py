"""How a task waits for a person's answer: parked by Airflow itself from 3.3 on, by a trigger before.

Either way it holds no slot and goes on in `execute_complete` with what the form holds, or with the error
`timeout`. Before 3.3 a triggerer has to run.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from airflow.sdk import exceptions
from airflow.sdk.exceptions import TaskDeferred

METHOD = "execute_complete"
_PARKED = getattr(exceptions, "TaskAwaitingInput", None)
SIGNAL: type[BaseException] = _PARKED or TaskDeferred
"""What a task raises to wait, in this Airflow."""


def until_answered(
    ti_id: Any, options: list[str], fields: dict[str, dict[str, Any]], deadline: datetime, now: datetime
) -> BaseException:
    """Return the signal that lets a task wait for its form until the deadline.

    Args:
        ti_id: The id of the task's try, whose form was put up.
        options: The form's options.
        fields: The form's fields by name: value, description and JSON Schema of each.
        deadline: When the wait ends; one that is past ends it at once.
        now: The time.
    """
    if _PARKED is not None:
        signal: BaseException = _PARKED(
            method_name=METHOD, timeout=max(deadline - now, timedelta(seconds=1))
        )
        return signal
    from airflow.providers.standard.triggers.hitl import HITLTrigger

    trigger = HITLTrigger(ti_id=ti_id, options=options, params=fields, timeout_datetime=deadline)
    return TaskDeferred(trigger=trigger, method_name=METHOD)
