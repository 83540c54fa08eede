"""`evergreen__reconcile`: what its task asks Airflow, which events it emits, and that it stays green."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from airflow.sdk.exceptions import AirflowFailException
from airflow.sdk.execution_time.context import OutletEventAccessors

from evergreen.errors import LedgerUnavailable
from evergreen.reconcile_results import WAKE_AFTER
from evergreen_airflow.assets import RETRAIN_REQUESTS, retrain_request
from evergreen_airflow.operators import reconcile as task
from evergreen_airflow.reconcile_dag import build_reconcile_dag, load_reconcile
from tests.fakes.bench import Bench
from tests.unit.reconcile_bench import ask, request, serve


class Airflow:
    """Knows runs by DAG and id, with their states, as a task may ask."""

    def __init__(self, **runs: str) -> None:
        self.runs = runs

    def get_dr_count(self, dag_id: str, *, run_ids=None, states=None) -> int:
        assert dag_id == "churn__retrain"
        return sum(
            (run_ids is None or run_id in run_ids) and (states is None or state in states)
            for run_id, state in self.runs.items()
        )


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    from evergreen import wiring
    from evergreen_airflow import people

    made = Bench(tmp_path / "store")
    made.told = 0

    @contextmanager
    def opened(settings, connections):
        yield made.workspace

    def tell() -> None:
        made.told += 1

    monkeypatch.setenv("EVERGREEN_HOME", str(tmp_path))
    monkeypatch.setattr(wiring, "open_workspace", opened)
    monkeypatch.setattr(people, "tell_people", tell)
    return made


def run(airflow: Airflow, wake_after: timedelta = timedelta(0)):
    """Run the task and return its result, and what it would emit."""
    events = OutletEventAccessors()
    operator = build_reconcile_dag([Path("nowhere")], wake_after=wake_after).get_task("reconcile")
    result = operator.execute({"ti": airflow, "outlet_events": events})
    return result, events[RETRAIN_REQUESTS].asset_alias_events


def test_the_dag_is_one_task_that_runs_alone_and_may_emit_the_events_of_any_model():
    found: dict = {}
    load_reconcile([Path("models")], found)
    dag = found["evergreen__reconcile"]
    (only,) = dag.tasks
    assert (only.task_id, only.retries, dag.max_active_runs, dag.catchup) == ("reconcile", 0, 1, False)
    assert only.outlets == [RETRAIN_REQUESTS]
    assert only.wake_after == WAKE_AFTER


def test_nothing_to_do_is_green_and_emits_nothing(bench):
    assert run(Airflow()) == ({"models": 0, "mended": 0, "told": 0, "left": 0}, [])
    assert bench.told == 1


def test_a_request_that_no_run_serves_wakes_its_retrain_by_the_event_of_a_check(bench):
    ask(bench, request())
    result, (event,) = run(Airflow())
    assert result == {"models": 1, "mended": 1, "told": 0, "left": 0}
    asset = retrain_request("churn")
    assert (event.dest_asset_key.name, event.dest_asset_key.uri) == (asset.name, asset.uri)
    assert event.extra == {"request": request().key, "reason": "x drifted"}


@pytest.mark.parametrize("state", ["queued", "running"])
def test_a_retrain_that_is_about_to_run_is_not_woken(bench, state):
    ask(bench, request())
    assert run(Airflow(woken=state))[1] == []


def test_a_request_that_is_fresh_is_left_to_its_own_event(bench):
    ask(bench, request())
    assert run(Airflow(), WAKE_AFTER)[1] == []


def test_an_airflow_that_does_not_say_which_runs_there_are_is_asked_again_and_nobody_is_told(bench):
    ask(bench, request())
    airflow = Airflow()
    airflow.get_dr_count = broken_pipe
    assert run(airflow) == ({"models": 1, "mended": 0, "told": 0, "left": 1}, [])
    assert list(bench.ledger.bodies("event")) == []
    assert run(Airflow())[0]["mended"] == 1


def broken_pipe(*_: object, **__: object) -> int:
    """Fail as it does where the supervisor of a task was killed."""
    raise BrokenPipeError(32, "Broken pipe")


@pytest.mark.parametrize(
    ("airflow", "mended"),
    [
        (Airflow(woken="failed"), 2),
        (Airflow(woken="running"), 0),
        (Airflow(), 0),
    ],
    ids=["ended", "under way", "unknown and silent for a moment"],
)
def test_airflow_says_whether_a_run_whose_lease_ran_out_is_gone(bench, airflow, mended):
    ask(bench, request())
    serve(bench)
    held = bench.ledger.leases["churn", "retrain"]
    long_ago = datetime(2013, 1, 1, tzinfo=UTC)
    bench.ledger.leases["churn", "retrain"] = replace(held, expires_at=long_ago)
    result, events = run(airflow)
    assert result["mended"] == mended
    assert len(events) == (1 if mended else 0), "its request is served anew"


def test_what_a_person_must_see_to_does_not_fail_the_task(bench):
    bench.whole()
    bench.registry.versions["churn"].clear()
    bench.registry.aliases["churn"].clear()
    assert run(Airflow())[0]["told"] == 1
    bench.registry.down = True
    assert run(Airflow())[0]["left"] == 1


def test_a_ledger_that_does_not_answer_fails_it_and_people_are_told_all_the_same(bench, monkeypatch):
    def away() -> list[str]:
        raise LedgerUnavailable("the ledger does not answer")

    monkeypatch.setattr(bench.ledger, "models", away)
    with pytest.raises(AirflowFailException, match="does not answer"):
        run(Airflow())
    assert bench.told == 1


def test_a_run_that_no_airflow_began_is_not_asked_about():
    assert task._ended(None, "churn/cli/2013-04-01T00:00:00Z/abc/auto") is None
