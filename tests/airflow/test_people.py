"""What Airflow's callbacks and notifiers write down and send, and that none of them fails a task."""

from __future__ import annotations

import asyncio
import json
import logging
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
from airflow.sdk.exceptions import AirflowFailException

from evergreen.alert_spec import LogChannel
from evergreen.alerts.event import Notice
from evergreen.errors import DataUnusable, LedgerUnavailable
from evergreen.redaction import hide
from evergreen.results import from_json
from tests.airflow.test_run_context import FakeDagRun, RunType
from tests.fakes.messenger import MessengerBench


@pytest.fixture
def bench(tmp_path, monkeypatch):
    from evergreen import wiring

    bench = MessengerBench.at(tmp_path, fleet=[LogChannel(type="log")])

    @contextmanager
    def opened(settings, connections):
        yield bench.messenger

    monkeypatch.setattr(wiring, "open_messenger", opened)
    yield bench
    bench.ledger.close()


def dag_run(dag_id: str = "churn__retrain") -> FakeDagRun:
    run = FakeDagRun(RunType.MANUAL)
    run.dag_id = dag_id
    return run


def failed_task(task_id: str, exception: BaseException | None, duty: str = "retrain") -> dict:
    task = SimpleNamespace(task_id=task_id, model="churn", duty=duty)
    return {"task": task, "dag_run": dag_run(), "exception": exception}


def notices(bench) -> list[tuple[str, Notice]]:
    return [(e.key, from_json(Notice, e.body)) for e in bench.ledger.entries(kind="event")]


def test_a_task_that_fails_is_written_down_with_its_exception_and_told(bench):
    from evergreen_airflow.callbacks import task_failed

    hide("hunter2222")
    task_failed(failed_task("train", RuntimeError("no room at hunter2222\nat all")))
    ((key, told),) = notices(bench)
    assert key == "event/failed/churn/run 1"
    assert told.headline == "The retrain of churn failed."
    assert told.lines == ("Task train failed: RuntimeError",)
    assert told.values == ("RuntimeError: no room at *** at all",)
    assert (told.cause, told.run_key) == ("retrain", "churn/run 1")
    assert [letter.message.event.name for letter in bench.sink.letters] == ["failed"]


def test_a_task_that_met_data_it_cannot_use_is_told_without_what_it_found_there(bench):
    from evergreen_airflow.callbacks import task_failed
    from evergreen_airflow.step_operator import told_to_airflow

    with (
        pytest.raises(AirflowFailException) as raised,
        told_to_airflow("ingest", tries_left=False),
    ):
        raise DataUnusable("a key stands twice", where="table x", got="SECRET_KEY")
    task_failed(failed_task("ingest", raised.value))
    (event,) = [letter.message.event for letter in bench.sink.letters]
    assert event.lines[0].endswith("DataUnusable: table x: a key stands twice")
    assert "SECRET_KEY" in event.values[0], "for a channel whose owner allows it"


def test_what_an_exception_of_a_library_quotes_is_for_channels_that_may_quote_data(bench):
    from evergreen_airflow.callbacks import task_failed
    from evergreen_airflow.step_operator import told_to_airflow

    try:
        with told_to_airflow("train", tries_left=False):
            raise ValueError("could not convert string to float: 'John'")
    except AirflowFailException as exc:
        task_failed(failed_task("train", exc))
    ((_, told),) = notices(bench)
    assert told.lines == ("Task train failed: unexpected error in step train: ValueError",)
    assert "John" in told.values[0]
    (letter,) = bench.sink.letters
    assert "John" not in json.dumps([letter.message.event.headline, *letter.message.event.lines])


def test_a_task_ended_from_outside_is_told_without_an_exception(bench):
    from evergreen_airflow.callbacks import task_failed

    task_failed(failed_task("train", None))
    assert notices(bench)[0][1].lines == ("Task train failed: it was ended from outside",)


@pytest.mark.parametrize("task_id", ["validate", "report"])
def test_what_the_report_tells_is_not_told_by_the_callback_too(bench, task_id):
    from evergreen_airflow.callbacks import task_failed

    task_failed(failed_task(task_id, AirflowFailException("the data is rejected")))
    assert notices(bench) == []
    task_failed(failed_task(task_id, RuntimeError("a defect")))
    assert len(notices(bench)) == 1


def test_the_runs_callback_adds_nothing_to_what_a_task_told(bench):
    from evergreen_airflow.callbacks import run_failed, task_failed

    task_failed(failed_task("train", RuntimeError("first")))
    run_failed({"dag_run": dag_run(), "reason": "timed_out"})
    assert [told.lines for _, told in notices(bench)] == [("Task train failed: RuntimeError",)]


@pytest.mark.parametrize(
    ("kind", "what", "cause"),
    [("retrain", "retrain", "retrain"), ("score", "scoring", "score"), ("monitor", "check", "monitor")],
)
def test_a_run_that_timed_out_is_told_of_every_kind_of_dag(bench, kind, what, cause):
    from evergreen_airflow.callbacks import run_failed

    run_failed({"dag_run": dag_run(f"churn__{kind}"), "reason": "timed_out"})
    ((_, told),) = notices(bench)
    assert told.headline == f"The {what} of churn failed."
    assert told.lines == ("Airflow ended the run: timed_out",)
    assert told.cause == cause


def test_a_run_of_somebody_elses_dag_is_none_of_ours(bench):
    from evergreen_airflow.callbacks import run_failed

    run_failed({"dag_run": dag_run("load_flights")})
    assert notices(bench) == []


def test_a_ledger_that_is_down_fails_no_callback_and_is_warned_of(monkeypatch, caplog):
    from evergreen import wiring
    from evergreen_airflow.callbacks import task_failed
    from evergreen_airflow.people import tell_people

    def down(settings, connections):
        raise LedgerUnavailable("the database did not answer at postgresql://bob:hunter2@db/x")

    monkeypatch.setattr(wiring, "open_messenger", down)
    with caplog.at_level(logging.WARNING):
        task_failed(failed_task("train", RuntimeError("no room")))
        tell_people()
    assert len([r for r in caplog.records if r.levelname == "WARNING"]) == 2
    assert "hunter2" not in caplog.text


CHANNELS = [{"type": "slack", "connection": "slack_ml"}]


def context(try_number: int = 1) -> dict:
    ti = SimpleNamespace(task_id="load", map_index=-1, try_number=try_number)
    return {"dag_run": dag_run("load_flights"), "ti": ti}


def test_the_notifier_tells_once_for_a_try_and_again_for_the_next(bench):
    from evergreen_airflow.notifiers import EvergreenNotifier

    notifier = EvergreenNotifier(headline="no flights", lines=["0 rows"], channels=CHANNELS)
    notifier.notify(context())
    notifier.notify(context())
    notifier.notify(context(try_number=2))
    told = notices(bench)
    assert [one.headline for _, one in told] == ["no flights", "no flights"]
    assert {e.model for e in bench.ledger.entries(kind="event")} == {"load_flights"}
    assert [letter.message.event.lines for letter in bench.sink.letters] == [("0 rows",)] * 2
    assert '"connection":"slack_ml"' in bench.sink.letters[0].message.channel


def test_two_notifiers_of_one_callback_are_both_told(bench):
    from evergreen_airflow.notifiers import EvergreenNotifier

    other = [{"type": "slack", "connection": "slack_oncall"}]
    said = [("one", CHANNELS), ("two", CHANNELS), ("one", other)]
    for _ in range(2):
        for headline, channels in said:
            EvergreenNotifier(headline=headline, channels=channels).notify(context())
    assert [one.headline for _, one in notices(bench)] == ["one", "two", "one"]


def test_a_success_that_ends_nothing_is_not_told(bench):
    from evergreen_airflow.notifiers import EvergreenNotifier

    well = EvergreenNotifier(headline="well again", event="recovered", closes=["load"])
    well.notify(context())
    assert bench.sink.letters == []
    EvergreenNotifier(headline="failed", event="failed", cause="load").notify(context(2))
    well.notify(context(3))
    assert [letter.message.purpose for letter in bench.sink.letters] == ["opening", "closing"]


def test_the_notifier_renders_its_templates_and_works_without_a_loop_to_hold_up(bench):
    from evergreen_airflow.notifiers import EvergreenNotifier

    EvergreenNotifier(headline="{{ what }} failed", cause="load")({**context(), "what": "load"})
    asyncio.run(EvergreenNotifier(headline="again", closes=["load"]).async_notify(context(2)))
    headlines = [letter.message.event.headline for letter in bench.sink.letters]
    assert headlines[0] == "load failed"
    assert any(head.startswith("Over after") for head in headlines[1:])


@pytest.mark.parametrize("headline", ["{{ what", "{{ nothing.there.at_all }}", "{{ 1 / 0 }}"])
def test_a_template_that_does_not_render_is_told_as_it_is_written_with_the_reason(bench, headline):
    from evergreen_airflow.notifiers import EvergreenNotifier

    EvergreenNotifier(headline=headline, lines=["{{ 7 * 7 }}"])(context())
    (letter,) = bench.sink.letters
    assert letter.message.event.headline == headline
    assert "does not render" in letter.message.event.lines[-1]


@pytest.mark.parametrize("channels", [[{"type": "pigeon"}], [{"type": "email", "to": ["nobody"]}]])
def test_a_notifier_with_a_channel_that_is_none_is_refused_where_it_is_written(channels):
    from evergreen_airflow.notifiers import EvergreenNotifier

    with pytest.raises(ValueError, match=r"pigeon|team@example\.com"):
        EvergreenNotifier(headline="x", channels=channels)


def test_the_fleet_dag_is_the_same_at_every_parse_and_has_one_task():
    from evergreen_airflow.fleet_dag import load_fleet

    found: dict = {}
    load_fleet([Path("models")], found)
    dag = found["evergreen__fleet"]
    assert [task.task_id for task in dag.tasks] == ["tell"]
    assert dag.max_active_runs == 1
    assert not dag.catchup


def test_the_fleets_task_looks_at_its_folders_and_says_what_it_did(bench, tmp_path):
    from evergreen_airflow.fleet_dag import build_fleet_dag

    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "broken.yaml").write_text("name: broken\ncolour: red\n")
    done = build_fleet_dag([tmp_path / "models"]).get_task("tell").execute({})
    assert done["model_files"] == 1
    assert done["sent"] == 1


def test_a_folder_that_cannot_be_read_keeps_nothing_back_that_waits_to_be_told(bench, tmp_path):
    from evergreen_airflow.fleet_dag import build_fleet_dag

    bench.notice("failed/churn/1")
    with pytest.raises(AirflowFailException, match="FileNotFoundError"):
        build_fleet_dag([tmp_path / "moved_away"]).get_task("tell").execute({})
    assert [letter.message.event.key for letter in bench.sink.letters] == ["failed/churn/1"]


def test_a_task_tells_people_after_its_step_however_that_ended(monkeypatch, tmp_path):
    from evergreen_airflow import people
    from evergreen_airflow.factory import OPERATORS

    assert [name for name, operator in OPERATORS.items() if operator.tells] == ["approve", "report"]
    monkeypatch.setenv("EVERGREEN_HOME", str(tmp_path))
    told: list[int] = []
    monkeypatch.setattr(people, "tell_people", lambda: told.append(1))
    operator = OPERATORS["report"](
        task_id="report", model="churn", model_file=Path("churn.yaml"), retries=0
    )
    ti = SimpleNamespace(try_number=1, max_tries=0, get_task_states=lambda dag_id, run_ids: {})
    with pytest.raises(AirflowFailException):
        operator.execute({"dag_run": dag_run(), "ti": ti, "params": {}})
    assert told == [1]
