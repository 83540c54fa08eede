"""What the form hands over counts only by the ledger's rules; the task parks, skips or goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from evergreen import steps
from evergreen.approval_questions import standing
from evergreen.approval_results import Answer
from evergreen.errors import LeaseHeld
from evergreen.steps import approve
from tests.fakes.bench import APRIL, MARCH, MAY, Bench, pinned

RUN_ID = "manual__1"
KEY = f"churn/{RUN_ID}"


class Airflow:
    """Stands in for what a task has of Airflow: the form, kept once as Airflow keeps it, and the run."""

    def __init__(self) -> None:
        self.form: dict[str, Any] | None = None
        self.left_behind: dict[str, Any] | None = None

    def put_up(self, **form: Any) -> None:
        if self.form is None:
            self.form = form

    def given(self, connection: Any, dag_id: str, run_id: str) -> dict[str, Any]:
        assert (dag_id, run_id) == ("churn__retrain", RUN_ID)
        if self.left_behind is None:
            raise RuntimeError("404")
        return self.left_behind


@pytest.fixture
def airflow(monkeypatch: pytest.MonkeyPatch) -> Airflow:
    from evergreen_airflow import people
    from evergreen_airflow.operators import approve as module

    stand_in = Airflow()
    monkeypatch.setattr(module, "upsert_hitl_detail", stand_in.put_up)
    monkeypatch.setattr("evergreen.airflow_answers.given", stand_in.given)
    monkeypatch.setenv("EVERGREEN_AIRFLOW_CONNECTION", "own_api")
    monkeypatch.setenv("AIRFLOW_CONN_OWN_API", "http://reporter:secret-of-it@127.0.0.1:9")
    monkeypatch.setattr(module, "write_note", lambda *_: None)
    monkeypatch.setattr(people, "tell_people", lambda: None)
    return stand_in


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    from evergreen import wiring

    bench = Bench(tmp_path)

    @contextmanager
    def opened(settings: Any, connections: Any) -> Iterator[Any]:
        yield bench.workspace

    monkeypatch.setattr(wiring, "open_workspace", opened)
    return bench


Task = Callable[..., Any]


@pytest.fixture
def task(airflow: Airflow) -> Task:
    """Run the task; with an event, as Airflow goes on with a task that waited."""
    from evergreen_airflow.operators.approve import ApproveOperator

    def run(event: dict[str, Any] | None = None) -> Any:
        operator = ApproveOperator(
            task_id="approve", model="churn", model_file=Path("churn.yaml"), retries=0
        )
        context: Any = {
            "dag_run": SimpleNamespace(run_id=RUN_ID, dag_id="churn__retrain"),
            "ti": SimpleNamespace(id="the try", try_number=1, max_tries=0),
        }
        return operator.execute(context) if event is None else operator.execute_complete(context, event)

    return run


def won(
    bench: Bench, run: str = RUN_ID, as_of: datetime = MARCH, certainty: float = 0.9, **changes: Any
) -> str:
    key = f"churn/{run}"
    steps.resolve_window(
        bench.workspace,
        run_key=key,
        model=pinned(**({"tier": "high"} | changes)),
        as_of=as_of,
        reason="test {{ 7*7 }}",
        release="auto",
        triggered_by="bob",
    )
    bench.until_trained(key)
    bench.good(key, certainty)
    steps.evaluate(bench.workspace, key)
    steps.register(bench.workspace, key)
    return key


def event(
    option: str = "Approve", who: str | None = "alice", at: datetime | None = None, **entered: Any
) -> dict[str, Any]:
    return {
        "chosen_options": [option],
        "params_input": entered,
        "responded_at": at or datetime.now(UTC),
        "responded_by_user": None if who is None else {"id": who, "name": who},
        "timedout": False,
    }


def parked() -> Any:
    from evergreen_airflow.waiting import SIGNAL

    return pytest.raises(SIGNAL)


def waits(signal: Any) -> timedelta:
    """Return how long the task waits, whether Airflow parks it itself or a trigger does."""
    if hasattr(signal, "trigger"):
        return signal.trigger.timeout_datetime - datetime.now(UTC)
    return signal.timeout


def skipped(words: str) -> Any:
    from airflow.sdk.exceptions import AirflowSkipException

    return pytest.raises(AirflowSkipException, match=words)


def test_the_task_puts_the_form_up_and_parks_until_the_deadline(
    bench: Bench, airflow: Airflow, task: Task
):
    won(bench)
    with parked() as signal:
        task()
    assert signal.value.method_name == "execute_complete"
    assert timedelta(days=2, hours=23) < waits(signal.value) <= timedelta(days=3)
    form = airflow.form
    assert form is not None
    assert form["subject"] == "Release version 1 of churn as the first champion?"
    assert form["options"] == ["Approve", "Reject", "Ask for more data"]
    assert form["assigned_users"] == []
    assert form["params"]["evidence"]["value"] in form["body"]
    assert "started by bob" in form["body"]
    assert "gate\\.png" in form["body"]
    assert bench.ledger.holder("churn") is None


def test_an_approval_lets_the_run_go_on(bench: Bench, task: Task):
    won(bench)
    with parked():
        task()
    told = task(event(reason="good"))
    assert (told["answer"], told["who"], told["how"]) == ("approve", "alice", "airflow")
    assert steps.release(bench.workspace, KEY) is not None


@pytest.mark.parametrize(
    ("option", "words"),
    [("Reject", "rejected by alice: no"), ("Ask for more data", "more data asked for by alice: no")],
)
def test_a_no_skips_what_follows(bench: Bench, task: Task, option: str, words: str):
    won(bench)
    with parked():
        task()
    with skipped(words):
        task(event(option, reason="no"))
    with skipped(words):
        task()


@pytest.mark.parametrize(
    "answered",
    [
        event(who="bob"),
        event(who=None),
        event("Reject"),
        event("Release it!"),
        event(evidence="0" * 12),
        event(reason="x" * 501),
        {"chosen_options": [], "params_input": {}, "responded_at": None, "responded_by_user": None},
        {"error": "…", "error_type": "timeout"},
        {"error": "…", "error_type": "unknown"},
    ],
)
def test_what_does_not_count_parks_again_and_leaves_no_trace_in_the_ledger(
    bench: Bench, task: Task, answered: dict[str, Any]
):
    won(bench)
    with parked():
        task()
    before = len(bench.ledger.rows)
    with parked():
        task(answered)
    assert len(bench.ledger.rows) == before


def test_the_end_of_the_time_is_an_answer_and_no_failure(bench: Bench, task: Task):
    won(bench, release={"approval": {"timeout": "0 minutes"}})
    with parked():
        task()
    with skipped("nobody answered in time"):
        task({"error": "The response timeout has passed", "error_type": "timeout"})
    (answered,) = bench.ledger.bodies("approval_answered")
    assert (answered["answer"], answered["how"]) == ("timeout", "scheduler")


def test_an_answer_that_an_ended_try_left_in_the_form_is_taken_by_the_next(
    bench: Bench, airflow: Airflow, task: Task
):
    won(bench)
    with parked():
        task()
    airflow.left_behind = event()
    assert task()["who"] == "alice"


def test_an_answer_given_while_the_lease_is_anothers_is_kept_and_waits_for_the_next_try(
    bench: Bench, task: Task
):
    from airflow.sdk.exceptions import AirflowException

    won(bench)
    with parked():
        task()
    lease = bench.ledger.acquire("churn", "churn/another")
    with pytest.raises(AirflowException, match=LeaseHeld.__name__):
        task(event())
    bench.ledger.free(lease)
    assert task()["who"] == "alice"


def test_an_answer_by_command_line_is_found_when_the_task_looks(bench: Bench, task: Task):
    won(bench)
    with parked():
        task()
    approve.answer(bench.ledger, KEY, Answer("approve", "os:carol", "cli", datetime.now(UTC)))
    assert task(event("Reject", reason="too late"))["who"] == "os:carol"


def test_asked_anew_the_old_forms_answer_does_not_count_and_one_on_the_new_evidence_does(
    bench: Bench, airflow: Airflow, task: Task
):
    bench.whole("first", MARCH, 0.6)
    won(bench, as_of=MAY, certainty=0.95)
    with parked():
        task()
    bench.whole("between", APRIL, 0.7)
    assert airflow.form is not None
    shown = airflow.form["params"]["evidence"]["value"]
    with parked():
        task(event(evidence=shown))
    told = standing(bench.ledger, KEY)
    assert told is not None
    assert (told.asked.number, told.answered) == (2, None)
    for entered in ({"evidence": shown}, {}):
        with parked():
            task(event(**entered))
    assert task(event(evidence=told.asked.evidence[:12]))["number"] == 2


def test_a_task_of_a_dag_that_asks_for_a_run_that_does_not_goes_on(bench: Bench, task: Task):
    won(bench, tier="low")
    assert task() is None
    assert steps.release(bench.workspace, KEY) is not None


def test_text_of_others_renders_in_the_form_as_it_is_written(bench: Bench, airflow: Airflow, task: Task):
    won(bench, release={"approval": {"approvers": ["[x](javascript:alert(1))", "<img src=x>"]}})
    with parked():
        task()
    assert airflow.form is not None
    body = airflow.form["body"]
    assert "](javascript" not in body
    assert "<img" not in body.replace("\\<img", "")
    assert "{{ 7*7 }}" not in body
    assert r"\{\{ 7\*7 \}\}" in body
    assert len(airflow.form["assigned_users"]) == 2
