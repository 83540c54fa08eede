"""What a model's DAG looks like to Airflow."""

import json
import os
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
import yaml

from evergreen.spec import ModelSpec
from evergreen.steps import STEPS
from tests.airflow.conftest import model_text

PATH = Path("models/flight_delay.yaml")


def spec_of(**changes: str) -> ModelSpec:
    return ModelSpec.model_validate(yaml.safe_load(model_text("flight_delay", **changes)))


@pytest.fixture(scope="module")
def dag():
    from evergreen_airflow.factory import build_retrain_dag

    return build_retrain_dag(spec_of(more="tags: [flights]\ntier: high\nretries: {attempts: 2}\n"), PATH)


def test_a_model_gives_a_task_for_each_step_in_their_order(dag):
    assert dag.dag_id == "flight_delay__retrain"
    steps = [step for step in STEPS if step != "refit"]
    assert [task.task_id for task in dag.topological_sort()] == steps
    for before, after in pairwise(steps):
        assert dag.get_task(before).downstream_task_ids == {after}


@pytest.mark.parametrize("timeout", ["1 minute", "100 years"])
def test_the_shortest_and_the_longest_timeout_that_lint_allows_make_a_dag(timeout):
    from airflow.serialization.serialized_objects import DagSerialization

    from evergreen_airflow.factory import build_retrain_dag

    dag = build_retrain_dag(spec_of(more=f"timeout: {timeout}\n"), PATH)
    stored = DagSerialization.from_dict(json.loads(json.dumps(DagSerialization.to_dict(dag))))
    assert stored.get_task("train").execution_timeout == dag.get_task("train").execution_timeout
    assert dag.get_task("train").execution_timeout > timedelta(0)


def test_a_model_that_is_refitted_has_a_task_for_it_between_evaluate_and_register():
    from evergreen_airflow.factory import build_retrain_dag

    spec = spec_of()
    refitted = spec.model_copy(update={"train": spec.train.model_copy(update={"refit": True})})
    dag = build_retrain_dag(refitted, PATH)
    steps = [step for step in STEPS if step != "approve"]
    assert [task.task_id for task in dag.topological_sort()] == steps
    for before, after in pairwise(steps):
        assert dag.get_task(before).downstream_task_ids == {after}


@pytest.mark.parametrize(
    ("more", "asks"),
    [
        ("tier: high\n", True),
        ("tier: medium\n", False),
        ("tier: low\n", False),
        ("release: {approval: {}}\n", True),
        ("tier: low\nrelease: {approval: {approvers: [alice]}}\n", True),
        ("release: {target: {type: local}}\n", False),
    ],
)
def test_people_are_asked_between_register_and_release_where_the_model_file_says_so(more, asks):
    from evergreen_airflow.factory import build_retrain_dag

    dag = build_retrain_dag(spec_of(more=more), PATH)
    assert dag.has_task("approve") == asks
    assert dag.get_task("register").downstream_task_ids == {"approve" if asks else "release"}
    if asks:
        assert dag.get_task("approve").downstream_task_ids == {"release"}


def test_the_dags_page_names_the_gates_metric_margin_and_protections():
    from evergreen_airflow.docs import retrain_doc

    spec = spec_of()
    gate = yaml.safe_load(
        """
        metric: {type: quantile_loss, quantile: 0.9}
        margin: 1%
        slices: [origin, {column: "dist*nce", bins: 4}]
        """
    )
    asked = type(spec.gate).model_validate(gate)
    page = retrain_doc(spec.model_copy(update={"gate": asked}))
    assert (
        "- **Gate**: at 95% confidence the challenger must prove not to be worse than the champion in "
        "`quantile_loss(0.9)` by 1%, and must beat always giving the same answer; no slice by `origin`, "
        "`dist*nce` may be harmed" in page
    )


def test_each_task_is_the_operator_of_the_file_of_its_name(dag):
    for task in dag.tasks:
        assert type(task).__module__ == f"evergreen_airflow.operators.{task.task_id}"


def test_the_dag_carries_what_the_model_file_says(dag):
    assert dag.tags == {"evergreen", "model:flight_delay", "tier:high", "flights"}
    assert dag.owner == "ops@example.com"
    assert dag.dag_display_name == "flight_delay: retrain"
    assert dag.start_date == datetime(2013, 1, 1, tzinfo=UTC)
    assert (dag.catchup, dag.max_active_runs) == (False, 1)
    assert "How to resume after a failure" in dag.doc_md


def test_every_task_takes_a_slot_of_the_pool_that_the_file_names():
    from evergreen_airflow.factory import build_retrain_dag

    spec = spec_of().model_copy(update={"pool": "retraining"})
    dag = build_retrain_dag(spec, PATH)
    assert {task.pool for task in dag.tasks} == {"retraining"}
    plain = build_retrain_dag(spec_of(), PATH)
    assert {task.pool for task in plain.tasks} == {"default_pool"}


def test_only_the_tasks_that_begin_without_the_lease_wait_for_it_beyond_the_tries(dag):
    from evergreen_airflow.task_row import LEASE_WAITS

    assert {task.task_id: task.retries for task in dag.tasks if task.retries != 2} == {
        "resolve_window": 2 + LEASE_WAITS,
        "approve": 2 + LEASE_WAITS,
    }
    assert all(task.retry_delay == timedelta(minutes=1) for task in dag.tasks)
    assert all(task.retry_exponential_backoff == 2 for task in dag.tasks)


def test_a_task_ends_at_the_model_files_timeout_and_waits_for_a_try_less_than_a_lease(dag):
    from evergreen.settings import Settings
    from evergreen_airflow.factory import build_retrain_dag

    assert {task.execution_timeout for task in dag.tasks} == {timedelta(hours=6)}
    own = build_retrain_dag(spec_of(more="timeout: 90 minutes\n"), PATH)
    assert {task.execution_timeout for task in own.tasks} == {timedelta(minutes=90)}
    lease = timedelta(seconds=Settings.from_environment({}).lease_seconds)
    assert all(task.max_retry_delay < lease for task in dag.tasks)


def test_report_alone_runs_whatever_became_of_the_tasks_before_it(dag):
    rules = {task.task_id: str(task.trigger_rule.value) for task in dag.tasks}
    assert rules.pop("report") == "all_done"
    assert set(rules.values()) == {"all_success"}


def test_a_schedule_is_a_cron_interval_in_utc_or_a_retrain_request(dag):
    timetable = dag.timetable
    assert type(timetable).__name__ == "AssetOrTimeSchedule"
    assert timetable.timetable.expression == "0 6 1 * *"
    (asset,) = timetable.asset_condition.objects
    assert asset.uri == "evergreen://flight_delay/retrain-request"


def test_no_schedule_leaves_the_retrain_request():
    from evergreen_airflow.factory import build_retrain_dag

    timetable = build_retrain_dag(spec_of(schedule="null"), PATH).timetable
    assert type(timetable).__name__ == "AssetTriggeredTimetable"


def test_a_schedule_airflow_cannot_read_is_refused_when_the_dag_is_built():
    from airflow.sdk.exceptions import AirflowTimetableInvalid

    from evergreen_airflow.factory import build_retrain_dag

    with pytest.raises(AirflowTimetableInvalid):
        build_retrain_dag(spec_of().model_copy(update={"schedule": "61 * * * *"}), PATH)


@pytest.mark.parametrize(
    ("name", "value", "good"),
    [
        ("as_of", None, True),
        ("as_of", "2013-04-01T06:00:00+00:00", True),
        ("as_of", "last tuesday", False),
        ("release", "never", True),
        ("release", "unopposed", True),
        ("reason", None, True),
        ("release", "now", False),
        ("reason", "new airport", True),
        ("reason", "x" * 301, False),
    ],
)
def test_the_form_takes_only_what_a_run_can_use(dag, name, value, good):
    from airflow.sdk.exceptions import ParamValidationError

    param = dag.params.get_param(name)
    if good:
        assert param.resolve(value) == value
    else:
        with pytest.raises(ParamValidationError):
            param.resolve(value)


def test_text_of_the_model_file_renders_as_it_is_written():
    from evergreen_airflow.docs import invalid_doc, retrain_doc

    evil = "<img src=x onerror=alert(1)> [click](javascript:alert(1)) `x`"
    spec = spec_of().model_copy(update={"description": evil, "owner": evil, "schedule": "`" + evil})
    page = retrain_doc(spec) + invalid_doc(evil, [evil])
    assert not re.search(r"(?<!\\)<img", page)
    assert "](javascript" not in page
    assert r"\[click\]\(javascript:alert\(1\)\)" in page


SERIALISE = """
import json, sys, yaml
from pathlib import Path
from airflow.serialization.serialized_objects import DagSerialization
from evergreen.spec import ModelSpec
from evergreen_airflow.factory import build_retrain_dag
spec = ModelSpec.model_validate(yaml.safe_load(sys.stdin.read()))
dag = build_retrain_dag(spec, Path("/any/where.yaml"))
print(json.dumps(DagSerialization.to_dict(dag), sort_keys=True))
"""


TAGS = "tags: [zebra, apple, mango, flights, evening]\n"
ASKS = "release: {approval: {approvers: [zoe, ann, mia]}}\n"


def serialised(hash_seed: str, more: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", SERIALISE],
        input=model_text("flight_delay", more=more),
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
    )
    return done.stdout.splitlines()[-1]  # an older Airflow logs what it sets up before it


@pytest.mark.parametrize("more", [TAGS, TAGS + ASKS], ids=["asks-nobody", "asks"])
def test_two_parses_under_two_hash_seeds_serialise_alike_and_small(more):
    one, other = serialised("1", more), serialised("2", more)
    assert one == other
    assert "/any/where" not in one
    assert "SELECT" not in one
    assert len(one) < 10_000, "a serialised DAG is stored at each change: keep the model file out of it"
    assert json.loads(one)["dag"]["dag_id"] == "flight_delay__retrain"
