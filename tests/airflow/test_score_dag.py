"""What `NAME__score` looks like to Airflow, and what its task does."""

import json
import os
import subprocess
import sys
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from evergreen import errors, steps
from evergreen.results import from_json
from evergreen.spec import ModelSpec
from evergreen.watch_results import Scored
from evergreen.window import Window
from tests.airflow.conftest import model_text
from tests.airflow.test_loader import as_task_of, load, put, read  # noqa: F401 - fixtures
from tests.airflow.test_run_context import FakeDagRun, RunType
from tests.fakes.ledger import FakeLedger

PATH = Path("models/flight_delay.yaml")
SCORE = 'score: {schedule: "@daily", window: 1 day}\n'
DAY = Window(datetime(2013, 4, 30, tzinfo=UTC), datetime(2013, 5, 1, tzinfo=UTC))
DONE = Scored("flight_delay/score/run 1", DAY, 3, 42, "/log/flight_delay")


def spec_of(score: str = SCORE) -> ModelSpec:
    more = f"tags: [flights]\nretries: {{attempts: 2}}\n{score}"
    return ModelSpec.model_validate(yaml.safe_load(model_text("flight_delay", more=more)))


@pytest.fixture(scope="module")
def dag():
    from evergreen_airflow.score_dag import build_score_dag

    return build_score_dag(spec_of(), PATH)


def test_the_dag_has_one_task_that_waits_for_the_lease_beyond_its_tries(dag):
    from evergreen_airflow.task_row import LEASE_WAITS

    (task,) = dag.tasks
    assert dag.dag_id == "flight_delay__score"
    assert (task.task_id, task.retries) == ("score", 2 + LEASE_WAITS)
    assert type(task).__module__ == "evergreen_airflow.operators.score"
    assert task.execution_timeout == timedelta(hours=6)


def test_the_dag_carries_what_the_model_file_says(dag):
    assert dag.tags == {"evergreen", "model:flight_delay", "tier:medium", "flights"}
    assert dag.owner == "ops@example.com"
    assert dag.dag_display_name == "flight_delay: score"
    assert dag.start_date == datetime(2013, 1, 1, tzinfo=UTC)
    assert (dag.catchup, dag.max_active_runs) == (False, 1)
    for words in ("the rows of the 1 day before the as-of", "`data.source`", "How to score again"):
        assert words in dag.doc_md


def test_the_schedule_is_a_cron_interval_in_utc_so_that_the_past_can_be_backfilled(dag):
    timetable = dag.timetable
    assert type(timetable).__name__ == "CronDataIntervalTimetable"
    assert timetable.expression in {"0 0 * * *", "@daily"}, "spelt out from Airflow 3.3 on"


def test_no_schedule_leaves_scoring_to_who_asks():
    from evergreen_airflow.score_dag import build_score_dag

    dag = build_score_dag(spec_of("score: {schedule: null, window: 1 day}\n"), PATH)
    assert type(dag.timetable).__name__ == "NullTimetable"
    assert "only when asked" in dag.doc_md


def test_the_form_asks_when_and_why(dag):
    assert sorted(dag.params) == ["as_of", "reason"]


def test_a_source_of_its_own_is_named_on_the_page():
    from evergreen_airflow.docs import score_doc

    source = "{type: files, format: parquet, paths: [fresh/*.parquet]}"
    spec = spec_of(f"score: {{schedule: null, window: 1 day, source: {source}}}\n")
    assert "`score.source`" in score_doc(spec, spec.score)


SERIALISE = """
import json, sys, yaml
from pathlib import Path
from airflow.serialization.serialized_objects import DagSerialization
from evergreen.spec import ModelSpec
from evergreen_airflow.score_dag import build_score_dag
spec = ModelSpec.model_validate(yaml.safe_load(sys.stdin.read()))
dag = build_score_dag(spec, Path("/any/where.yaml"))
print(json.dumps(DagSerialization.to_dict(dag), sort_keys=True))
"""


def serialised(hash_seed: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", SERIALISE],
        input=model_text("flight_delay", more=f"tags: [zebra, apple, mango, evening]\n{SCORE}"),
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
    )
    return done.stdout.splitlines()[-1]  # an older Airflow logs what it sets up before it


def test_two_parses_under_two_hash_seeds_serialise_alike_and_small():
    one, other = serialised("1"), serialised("2")
    assert one == other
    assert "/any/where" not in one
    assert "SELECT" not in one
    assert len(one) < 5_000
    assert json.loads(one)["dag"]["dag_id"] == "flight_delay__score"


def test_only_a_model_with_a_section_score_has_the_dag(models):
    put(models, "scored", model_text("scored", more=SCORE))
    put(models, "unscored")
    assert sorted(load(models)) == ["scored__retrain", "scored__score", "unscored__retrain"]


def test_a_broken_file_has_neither_dag(models):
    put(models, "bad", model_text("bad", more=SCORE.replace("@daily", "@dayly")))
    dags = load(models)
    assert list(dags) == ["bad__invalid_spec"]
    assert "score.schedule" in dags["bad__invalid_spec"].doc_md.replace("\\", "")


def test_a_tasks_process_builds_only_its_own_dag(models, as_task_of, read, monkeypatch):  # noqa: F811
    import evergreen_airflow.loader as loader

    def never(*_):
        raise AssertionError("not the DAG that was asked for")

    others = [kind for kind in loader.KINDS if kind.dag_id("x") != "x__score"]
    for name in ("one", "two"):
        put(models, name, model_text(name, more=SCORE))
    as_task_of("two__score")
    kinds = tuple(
        loader.DagKind(kind.duty, kind.dag_id, kind.asked_for, never, never) if kind in others else kind
        for kind in loader.KINDS
    )
    monkeypatch.setattr(loader, "KINDS", kinds)
    assert list(load(models)) == ["two__score"]
    assert read == ["two.yaml"]


@pytest.mark.parametrize("text", ["name: [", None, model_text("one")])
def test_a_run_under_way_finds_its_task_though_its_file_broke_vanished_or_no_longer_scores(
    models,
    as_task_of,  # noqa: F811
    text,
):
    if text is not None:
        put(models, "one", text)
    as_task_of("one__score")
    (task,) = load(models)["one__score"].tasks
    assert (task.task_id, task.model, task.model_file) == ("score", "one", models / "one.yaml")


@pytest.fixture
def ledger() -> FakeLedger:
    return FakeLedger()


@pytest.fixture
def execute(monkeypatch, ledger, tmp_path):
    """Run the operator as Airflow would, in a workspace that has only a ledger."""
    from evergreen import wiring
    from evergreen_airflow.operators.score import ScoreOperator

    @contextmanager
    def opened(settings, connections):
        yield SimpleNamespace(ledger=ledger)

    monkeypatch.setattr(wiring, "open_workspace", opened)
    path = tmp_path / "flight_delay.yaml"
    path.write_text(model_text("flight_delay", more=SCORE))

    def run(dag_run: FakeDagRun | None = None, **params):
        task = ScoreOperator(task_id="score", model="flight_delay", model_file=path, retries=3)
        context = {
            "dag_run": dag_run or FakeDagRun(RunType.MANUAL),
            "ti": SimpleNamespace(try_number=1, max_tries=0),
            "params": params,
        }
        return task.execute(context)

    run.path = path
    return run


@pytest.fixture
def asked(monkeypatch) -> list[tuple]:
    """What the step was asked, each time."""
    calls: list[tuple] = []

    def score(workspace, run_key, model, as_of, reason):
        calls.append((run_key, model.spec.name, as_of, reason))
        return DONE

    monkeypatch.setattr(steps, "score", score)
    return calls


def test_the_task_scores_as_of_the_end_of_its_interval_under_a_key_of_its_own(execute, asked):
    told = execute(FakeDagRun(RunType.BACKFILL, data_interval_end=DAY.end))
    assert asked == [("flight_delay/score/run 1", "flight_delay", DAY.end, "backfill")]
    assert from_json(Scored, told) == DONE


def test_a_run_by_hand_takes_its_as_of_and_reason(execute, asked):
    execute(as_of="2013-05-01", reason="late rows")
    assert asked[0][2:] == (DAY.end, "asked for: late rows")


def test_without_a_champion_the_task_is_skipped_and_says_why(execute, monkeypatch):
    from airflow.sdk.exceptions import AirflowSkipException

    nothing = Scored("flight_delay/score/run 1", DAY, None, 0, "", "there was no champion yet")
    monkeypatch.setattr(steps, "score", lambda *_: nothing)
    with pytest.raises(AirflowSkipException, match="no champion yet"):
        execute()


def test_a_file_that_broke_fails_the_task_with_its_problems_unless_the_run_has_scored(execute, ledger):
    from airflow.sdk.exceptions import AirflowFailException

    from evergreen.steps import memory

    execute.path.write_text("name: [")
    with pytest.raises(AirflowFailException, match=r"flight_delay\.yaml:"):
        execute()
    lease = ledger.acquire("flight_delay", DONE.run_key, "score")
    memory.record(SimpleNamespace(ledger=ledger), "scored", DONE.run_key, DONE, lease)
    assert execute()["rows"] == 42


def test_a_held_lease_is_waited_for(execute, monkeypatch):
    from airflow.sdk.exceptions import AirflowException, AirflowFailException

    def held(*_):
        raise errors.LeaseHeld("another run scores this model")

    monkeypatch.setattr(steps, "score", held)
    with pytest.raises(AirflowException) as told:
        execute()
    assert not isinstance(told.value, AirflowFailException)
