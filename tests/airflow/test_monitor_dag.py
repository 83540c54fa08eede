"""What a model's monitor DAG looks like to Airflow, and what its tasks tell it."""

from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from airflow.sdk import CronDataIntervalTimetable
from airflow.sdk.exceptions import AirflowSkipException

from evergreen.spec import ModelSpec
from evergreen.watch_results import Profiled, RetrainDecision, RetrainRequest, Verdict
from evergreen.window import Window
from evergreen_airflow.assets import retrain_request
from evergreen_airflow.monitor_dag import OPERATORS, build_monitor_dag
from tests.airflow.conftest import model_text
from tests.airflow.test_run_context import FakeDagRun, RunType

AS_OF = datetime(2013, 7, 8, 6, tzinfo=UTC)
RUN_KEY = "flight_delay/monitor/run 1"
WATCH = """\
score: {schedule: "@daily", window: 1 day}
monitor: {schedule: "0 6 * * 1", window: 7 days, retrain: {after: 3 of 7}}
"""
REQUEST = RetrainRequest(RUN_KEY, AS_OF, "alarm of loss", "watch")


@pytest.fixture(scope="module")
def dag():
    spec = ModelSpec.model_validate(yaml.safe_load(model_text("flight_delay", more=WATCH)))
    return build_monitor_dag(spec, Path("models/flight_delay.yaml"))


def test_a_check_is_four_tasks_in_a_row(dag):
    assert dag.dag_id == "flight_delay__monitor"
    tasks = [task.task_id for task in dag.topological_sort()]
    assert tasks == list(OPERATORS) == ["profile", "measure", "judge", "request"]
    for before, after in pairwise(tasks):
        assert dag.get_task(before).downstream_task_ids == {after}


def test_it_is_scheduled_by_intervals_so_that_history_can_be_checked(dag):
    assert isinstance(dag.timetable, CronDataIntervalTimetable)
    assert not dag.catchup


def test_only_the_request_wakes_the_retrain(dag):
    outlets = {task.task_id: task.outlets for task in dag.tasks}
    assert outlets == {
        "profile": [],
        "measure": [],
        "judge": [],
        "request": [retrain_request("flight_delay")],
    }


def test_the_dags_page_says_what_is_watched_and_when_a_retrain_is_asked_for(dag):
    for words in ("7 days", "1 per quarter", "3 of 7", "14 days", "the prediction log"):
        assert words in dag.doc_md


@pytest.fixture
def execute(monkeypatch):
    """Run one operator as Airflow would, in a workspace of nothing."""
    from evergreen import wiring

    @contextmanager
    def opened(settings, connections):
        yield SimpleNamespace()

    monkeypatch.setattr(wiring, "open_workspace", opened)

    def of(task_id: str, events: dict | None = None, model_file: Path = Path("flight_delay.yaml")):
        operator = OPERATORS[task_id](
            task_id=task_id, model="flight_delay", model_file=model_file, retries=0
        )
        context = {
            "dag_run": FakeDagRun(RunType.SCHEDULED, data_interval_end=AS_OF),
            "ti": SimpleNamespace(try_number=1, max_tries=0),
            "params": {},
            "outlet_events": {} if events is None else events,
        }
        return operator.execute(context)

    return of


def decision(*open_requests: str, request: RetrainRequest | None = None) -> RetrainDecision:
    action = "retrain" if request else "wait"
    return RetrainDecision(RUN_KEY, AS_OF, action, (f"{action}: 2 of 4",), request, open_requests)


def answered(monkeypatch, module: str, name: str, answer):
    asked = []

    def answering(workspace, *arguments):
        asked.append(arguments)
        return answer

    monkeypatch.setattr(f"evergreen_airflow.operators.{module}.{name}", answering)
    return asked


def test_a_decision_to_wait_skips_the_task_with_its_reason_so_that_no_event_is_emitted(
    execute, monkeypatch
):
    asked = answered(monkeypatch, "request", "request", decision())
    with pytest.raises(AirflowSkipException, match="wait: 2 of 4"):
        execute("request")
    assert asked == [(RUN_KEY,)]


@pytest.mark.parametrize(
    "decided", [decision(RUN_KEY, request=REQUEST), decision("flight_delay/monitor/earlier", RUN_KEY)]
)
def test_an_open_request_wakes_the_retrain_whichever_check_asked(execute, monkeypatch, decided):
    """A lost event costs one check's time: the next check emits it again."""
    answered(monkeypatch, "request", "request", decided)
    event = SimpleNamespace()
    execute("request", {retrain_request("flight_delay"): event})
    assert event.extra["request"] == RUN_KEY
    assert event.extra["reason"]


def test_an_alarm_is_no_failure_and_says_what_spoke(execute, monkeypatch):
    verdict = Verdict(
        RUN_KEY,
        AS_OF,
        Window(AS_OF.replace(day=1), AS_OF),
        3,
        "alarm",
        "loss",
        (("loss", "alarm"),),
        (),
        ("log_loss is 0.61, and was proven at 0.52",),
    )
    answered(monkeypatch, "judge", "judge", verdict)
    assert execute("judge")["answer"] == "alarm"


def test_a_window_without_a_baseline_is_no_failure(execute, monkeypatch, models):
    path = models / "flight_delay.yaml"
    path.write_text(model_text("flight_delay", more=WATCH), encoding="utf-8")
    profiled = Profiled(0, 0, None, problem="version 1 has no baseline")
    asked = answered(monkeypatch, "profile", "profile", profiled)
    assert execute("profile", model_file=path)["problem"] == "version 1 has no baseline"
    assert asked[0][0] == RUN_KEY
    assert asked[0][2:] == (AS_OF, "schedule")
