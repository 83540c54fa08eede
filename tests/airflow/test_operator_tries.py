"""Which failures of a step Airflow tries again, and how often."""

import signal
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from evergreen import errors, steps
from evergreen.steps.memory import holding
from tests.airflow.operators_bench import AS_OF, execute, ledger, step

__all__ = ["execute", "ledger", "step"]


def test_what_may_pass_is_tried_again_until_the_tries_are_used_up(execute, step):
    from airflow.sdk.exceptions import AirflowException, AirflowFailException

    step("ingest", errors.SourceUnavailable("no answer"))
    for number in (1, 2, 3):
        with pytest.raises(AirflowException, match="SourceUnavailable: no answer") as told:
            execute("ingest", try_number=number)
        assert not isinstance(told.value, AirflowFailException)
    with pytest.raises(AirflowFailException, match="no answer"):
        execute("ingest", try_number=4, lease_waits=40)


def test_a_held_lease_is_waited_for_beyond_the_tries_of_the_model_file(execute, step, tmp_path):
    from airflow.sdk.exceptions import AirflowException, AirflowFailException

    step("ingest", errors.LeaseHeld("held by another run"))
    with pytest.raises(AirflowException) as told:
        execute("ingest", try_number=20, lease_waits=40)
    assert not isinstance(told.value, AirflowFailException)


def ends(execute, **asked: Any) -> str:
    """Return how Airflow is told that a try ended: "again" or "failed"."""
    from airflow.sdk.exceptions import AirflowException, AirflowFailException

    with pytest.raises(AirflowException) as told:
        execute(**asked)
    return "failed" if isinstance(told.value, AirflowFailException) else "again"


def test_a_task_that_a_person_cleared_is_tried_as_often_as_at_first(execute, step):
    step("ingest", errors.SourceUnavailable("no answer"))
    told = [ends(execute, task_id="ingest", try_number=n, cleared_after=4) for n in (5, 6, 7, 8)]
    assert told == ["again", "again", "again", "failed"]


def test_a_run_whose_model_file_has_other_retries_by_now_is_tried_no_less(execute, step):
    step("ingest", errors.SourceUnavailable("no answer"))
    told = [ends(execute, task_id="ingest", try_number=n, cleared_after=-1) for n in (1, 3, 4)]
    assert told == ["again", "again", "failed"]


@pytest.fixture
def fails_under_the_lease(monkeypatch):
    """Let `ingest` fail where it holds the lease, as steps do; `wait` lets it meet a held one."""
    answer: list[Exception] = [errors.SourceUnavailable("no answer")]

    def stands_in(workspace: Any, run_key: str) -> None:
        if isinstance(answer[-1], errors.LeaseHeld):
            raise answer[-1]
        with holding(workspace, run_key, "ingest"):
            raise answer[-1]

    monkeypatch.setattr(steps, "ingest", stands_in)
    return answer


def test_tries_that_only_waited_for_the_lease_are_not_counted(execute, fails_under_the_lease):
    fails_under_the_lease.append(errors.LeaseHeld("held by another run"))
    waiting = {"task_id": "ingest", "lease_waits": 40}
    assert {ends(execute, try_number=n, **waiting) for n in range(1, 6)} == {"again"}
    fails_under_the_lease.append(errors.SourceUnavailable("no answer"))
    told = [ends(execute, try_number=n, **waiting) for n in (6, 7, 8, 9)]
    assert told == ["again", "again", "again", "failed"]


def test_failures_before_a_run_was_cleared_are_not_counted_after_a_wait(
    execute, ledger, fails_under_the_lease
):
    clock = [AS_OF]
    ledger.now = lambda: clock[0]
    waiting = {"task_id": "ingest", "lease_waits": 40}
    first = [ends(execute, try_number=n, begun=AS_OF, **waiting) for n in (1, 2, 3, 4)]
    assert first == ["again", "again", "again", "failed"]

    clock[0] = AS_OF + timedelta(days=1)
    cleared = waiting | {"begun": clock[0], "cleared_after": 4}
    fails_under_the_lease.append(errors.LeaseHeld("held by another run"))
    assert {ends(execute, try_number=n, **cleared) for n in range(5, 10)} == {"again"}
    fails_under_the_lease.append(errors.SourceUnavailable("no answer"))
    told = [ends(execute, try_number=n, **cleared) for n in (10, 11, 12, 13)]
    assert told == ["again", "again", "again", "failed"]


@pytest.mark.parametrize(
    "error", [errors.DataUnusable("one class"), errors.LeaseLost("taken over"), ValueError("odd")]
)
def test_what_will_not_pass_or_is_not_known_to_is_not_tried_again_after_waits(
    execute, fails_under_the_lease, error
):
    fails_under_the_lease.append(error)
    assert ends(execute, task_id="ingest", try_number=6, lease_waits=40) == "failed"


@pytest.mark.parametrize(
    "error",
    [
        errors.DataUnusable("one class"),
        errors.TrainingFailed("no such parameter"),
        errors.LeaseLost("taken over"),
        errors.BadConfiguration("no such connection"),
    ],
)
def test_what_cannot_pass_is_not_tried_again(execute, step, error):
    from airflow.sdk.exceptions import AirflowFailException

    step("train", error)
    with pytest.raises(AirflowFailException, match=type(error).__name__):
        execute("train")


def test_a_step_that_takes_too_long_is_tried_again_and_fails_after_the_last_try(
    execute, monkeypatch, caplog
):
    from airflow.sdk.exceptions import AirflowException, AirflowFailException
    from airflow.sdk.execution_time.timeout import timeout

    monkeypatch.setattr(steps, "ingest", lambda workspace, run_key: signal.pause())
    for try_number, kind in ((1, AirflowException), (4, AirflowFailException)):
        with (
            pytest.raises(AirflowException, match="ingest took longer than its timeout") as ended,
            timeout(0.05),
        ):
            execute("ingest", try_number=try_number)
        assert type(ended.value) is kind
    assert "signal.pause()" in caplog.text, "the log says where the step hung"


def test_being_asked_to_stop_ends_the_process_at_once_and_lets_airflow_try_again():
    from evergreen_airflow.factory import OPERATORS

    for name, operator in OPERATORS.items():
        task = operator(task_id=name, model="m", model_file=Path("m.yaml"), retries=0)
        with pytest.raises(SystemExit) as ended:
            task.on_kill()
        assert ended.value.code == 143
