"""What all step operators share: the run, the workspace, and how an end is told to Airflow.

A step's result goes to the ledger; the XCom made of it is for people and is never read back.
"""

from __future__ import annotations

import logging
import traceback
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import (
    AirflowException,
    AirflowFailException,
    AirflowSkipException,
    AirflowTaskTimeout,
)

from evergreen.errors import EvergreenError, LeaseHeld, bounded
from evergreen.ports import Duty
from evergreen.redaction import redact

if TYPE_CHECKING:
    from pathlib import Path

    from airflow.sdk import Context

    from evergreen.workspace import Workspace

log = logging.getLogger(__name__)

TERMINATED = 143
UNEXPECTED = "unexpected error"
"""Begins the message of an exception that is not Evergreen's own: its text may quote the data."""
LONGEST_XCOM_TEXT = 300
LONGEST_XCOM_LIST = 20
NOT_SHOWN = frozenset({"spec", "query", "score_query", "monitor_query", "suite"})
"""The contents of a model file: the ledger has them."""


@dataclass(frozen=True, slots=True)
class Run:
    """The run a task belongs to: its key in the ledger, and what Airflow says of it."""

    key: str
    context: Context


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a step ended: its result, one line for the log, and, where there was nothing to do, why."""

    result: object | None
    line: str
    skipped: bool = False


class StepOperator(BaseOperator):
    """Runs one step of a run of `model`; a retry finds what an earlier try finished.

    Args:
        model: The model's name.
        model_file: The model file; only a run's first step reads it, the ledger keeps it for the rest.
        retries: Tries after the first, for whatever may pass; as many anew when a person clears the
            task.
        lease_waits: Further tries, only for as long as another run holds the model's lease.

    Airflow counts every try alike and goes on counting when a task is cleared, so what counts here is
    told apart: tries before the last clearing do not (`tries_so_far`), nor do those that only waited
    for the lease. A wait leaves no trace, for only the lease's holder writes to the ledger; a try that
    had the lease and failed by an error that may pass does. So the waits are not counted, but those
    failures are, and only where the error at hand is one of them: any other (the ledger does not
    answer, the step took too long, an unexpected error) is judged by Airflow's count, which ends sooner.
    """

    ui_color: str = "#e6f4ea"
    summary: ClassVar[str]
    duty: ClassVar[Duty] = "retrain"
    """Of which DAG of the model this is a step; each holds a lease and has run keys of its own."""
    tells: ClassVar[bool] = False
    """Whether people are told right after this step what the ledger holds that is new."""

    def __init__(
        self, *, model: str, model_file: Path, retries: int, lease_waits: int = 0, **kwargs: Any
    ) -> None:
        super().__init__(doc=self.summary, retries=retries + lease_waits, **kwargs)
        self.model = model
        self.model_file = model_file
        self.attempts = retries
        self.lease_waits = lease_waits

    @abstractmethod
    def run_step(self, workspace: Workspace, run: Run) -> Outcome:
        """Run the step through the library."""

    def execute(self, context: Context) -> dict[str, Any] | None:
        """Run the step and return its result, shortened for people to read.

        Raises:
            AirflowFailException: an error that a retry would only repeat.
            AirflowSkipException: there was nothing to do; the message says why.
            EvergreenError: an error that may pass; Airflow tries again.
        """
        return self.take_step(context)

    def take_step(self, context: Context) -> dict[str, Any] | None:
        """Do what `execute` does, for a task that goes on after it has waited, too."""
        from evergreen.results import to_json
        from evergreen.wiring import open_workspace
        from evergreen_airflow.configuration import settings_from_airflow
        from evergreen_airflow.connections import from_airflow
        from evergreen_airflow.people import tell_people
        from evergreen_airflow.run_context import run_key_of

        run = Run(run_key_of(self.model, context["dag_run"], self.duty), context)
        tries_left = tries_so_far(context["ti"], self.retries or 0) <= self.attempts
        with told_to_airflow(self.task_id, tries_left=tries_left):
            try:
                with open_workspace(settings_from_airflow(), from_airflow) as workspace:
                    if tries_left or not self.lease_waits:
                        outcome = self.run_step(workspace, run)
                    else:
                        with self._waits_not_counted(workspace, run):
                            outcome = self.run_step(workspace, run)
            finally:
                if self.tells:
                    tell_people()
            line = redact(outcome.line)
            log.info("%s: %s", run.key, line)
            if outcome.skipped:
                raise AirflowSkipException(line)
            return None if outcome.result is None else shortened(to_json(outcome.result))

    @contextmanager
    def _waits_not_counted(self, workspace: Workspace, run: Run) -> Iterator[None]:
        """Tell Airflow to try again while fewer tries failed than may, though more were made."""
        from evergreen.steps.memory import failures_that_may_pass

        def failed() -> int:
            since = run.context["dag_run"].start_date  # set anew when a run that had ended is cleared
            return failures_that_may_pass(workspace, run.key, self.task_id, since)

        before = failed()
        try:
            yield
        except EvergreenError as exc:
            if not exc.retryable or not before < failed() <= self.attempts:
                raise
            with told_to_airflow(self.task_id, tries_left=True):
                raise

    def on_kill(self) -> None:
        """End at once: steps are safe to cut off anywhere, and Airflow decides whether to try again."""
        raise SystemExit(TERMINATED)


def tries_so_far(ti: Any, retries: int) -> int:
    """Return how many tries of a task there were, this one included, since it was last cleared.

    Clearing sets Airflow's `max_tries` to the tries made by then and `retries` more; `retries` is the
    number it was made with. A DAG that has changed since may have another: then it is from the first.
    """
    made_before = max(0, int(ti.max_tries) - retries)
    return int(ti.try_number) - made_before


@contextmanager
def told_to_airflow(task_id: str, *, tries_left: bool) -> Iterator[None]:
    """Turn errors into what Airflow acts on, with every known secret masked.

    A held lease is waited for beyond `tries_left`: Airflow's own count of retries is the end of that.
    """
    try:
        yield
    except AirflowException:
        raise
    except EvergreenError as exc:
        message = redact(f"{type(exc).__name__}: {exc}")
        if exc.__cause__ is not None:
            log.info("what lies behind it:\n%s", redact(_trace(exc.__cause__)))
        if isinstance(exc, LeaseHeld) or (exc.retryable and tries_left):
            raise AirflowException(message) from None
        raise AirflowFailException(message) from None
    except AirflowTaskTimeout as exc:
        log.error("%s", redact(_trace(exc)))
        message = f"task {task_id} took longer than its timeout: see what kept it, or allow more"
        raise (AirflowException if tries_left else AirflowFailException)(message) from None
    except Exception as exc:  # noqa: BLE001 - whatever it is, its text may hold a secret
        log.error("%s", redact(_trace(exc)))
        message = redact(f"{UNEXPECTED} in step {task_id}: {type(exc).__name__}: {exc}")
        raise (AirflowException if tries_left else AirflowFailException)(bounded(message)) from None


def shortened(value: Any) -> Any:
    """Return a JSON value with long texts and lists cut and secrets masked.

    >>> shortened({"rows": 3, "columns": list(range(30))})["columns"][-1]
    '… and 10 more'
    """
    if isinstance(value, str):
        return redact(bounded(value, LONGEST_XCOM_TEXT))
    if isinstance(value, dict):
        return {key: shortened(item) for key, item in value.items() if key not in NOT_SHOWN}
    if isinstance(value, list):
        kept = [shortened(item) for item in value[:LONGEST_XCOM_LIST]]
        left = len(value) - len(kept)
        return [*kept, f"… and {left} more"] if left else kept
    return value


def _trace(exc: BaseException) -> str:
    return "".join(traceback.format_exception(exc))
