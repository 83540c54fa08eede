"""What Airflow's tasks make of a model that a person paused or pinned."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowSkipException

from evergreen import steps
from evergreen.hand import Deed, Pausable
from evergreen.steps.hand import do
from tests.airflow.conftest import model_text
from tests.airflow.test_run_context import FakeDagRun, RunType
from tests.fakes.bench import APRIL, MARCH, Bench

WATCH = """\
score: {schedule: "@daily", window: 1 day}
monitor: {schedule: "@daily", window: 7 days}
"""
FIRST_TASKS: dict[Pausable, str] = {
    "retrain": "resolve_window",
    "score": "score",
    "monitor": "profile",
}


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """What the operators work on."""
    from evergreen import wiring

    bench = Bench(tmp_path)

    @contextmanager
    def opened(settings: Any, connections: Any) -> Any:
        yield bench.workspace

    monkeypatch.setattr(wiring, "open_workspace", opened)
    return bench


@pytest.fixture
def execute(bench: Bench, models: Path):
    """Run one task as Airflow would; return what it answered, or why it was skipped."""
    from evergreen_airflow.factory import OPERATORS
    from evergreen_airflow.monitor_dag import OPERATORS as MONITOR
    from evergreen_airflow.score_dag import OPERATORS as SCORE

    operators = {**OPERATORS, **MONITOR, **SCORE}

    def of(task_id: str, model: str = "flight_delay") -> Any:
        path = models / f"{model}.yaml"
        path.write_text(model_text(model, more=WATCH), encoding="utf-8")
        operator = operators[task_id](task_id=task_id, model=model, model_file=path, retries=0)
        dag_run = FakeDagRun(RunType.MANUAL)
        dag_run.dag_id = f"{model}__retrain"
        ti = SimpleNamespace(try_number=1, max_tries=0, get_task_states=lambda dag_id, run_ids: {})
        try:
            return operator.execute({"dag_run": dag_run, "ti": ti, "params": {}})
        except AirflowSkipException as exc:
            return str(exc)

    return of


@pytest.mark.parametrize("duty", FIRST_TASKS)
@pytest.mark.parametrize("whole", [True, False], ids=["all", "only this"])
def test_each_dag_of_a_paused_model_is_skipped_by_its_first_task_with_who_and_why(
    bench: Bench, execute, duty: Pausable, whole: bool
):
    do(
        bench.workspace,
        "flight_delay",
        Deed("pause", "ana", "the data moves", only=None if whole else duty),
    )
    told = execute(FIRST_TASKS[duty])
    assert isinstance(told, str)
    assert "paused by ana since" in told
    assert "the data moves" in told
    assert not [row for row in bench.ledger.rows if row.kind in {"run_started", "check_started"}]
    assert not [row for row in bench.ledger.rows if row.kind == "step_failed"]


def test_the_report_of_a_paused_run_ends_well_and_leaves_no_lease(bench: Bench, execute):
    do(bench.workspace, "flight_delay", Deed("pause", "ana", "the data moves"))
    execute("resolve_window")
    assert execute("report")["outcome"] == "skipped"
    assert bench.ledger.holder("flight_delay") is None


def test_a_pause_of_another_dag_lets_the_retrain_begin(bench: Bench, execute):
    do(bench.workspace, "flight_delay", Deed("pause", "ana", "x", only="score"))
    do(bench.workspace, "flight_delay", Deed("pause", "ana", "x", only="monitor"))
    assert execute("resolve_window")["reason"] == "asked for"


def test_a_paused_model_can_be_resumed_and_the_same_run_cleared(bench: Bench, execute):
    do(bench.workspace, "flight_delay", Deed("pause", "ana", "x"))
    execute("resolve_window")
    execute("report")
    do(bench.workspace, "flight_delay", Deed("resume", "ana", "x"))
    assert execute("resolve_window")["reason"] == "asked for"


def test_a_pinned_models_release_is_skipped_and_its_run_ends_kept_and_green(bench: Bench, execute):
    bench.whole("one", MARCH, 0.6)
    do(bench.workspace, "churn", Deed("pin", "ana", "a campaign"))
    key = bench.begin("run 1", APRIL)
    bench.until_trained(key)
    bench.good(key, 0.9)
    steps.evaluate(bench.workspace, key)
    assert execute("register", "churn")["number"] == 2
    told = execute("release", "churn")
    assert told.startswith("nothing was released")
    assert "version 1 is pinned by ana" in told
    assert "a campaign" in told
    report = execute("report", "churn")
    assert report["outcome"] == "kept"
    assert "version 1 is pinned by ana" in report["summary"]
    assert bench.serving() == 1
