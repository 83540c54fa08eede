"""The sensor for anyone's DAG: what it waits for, in a worker or in the triggerer."""

import asyncio
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from airflow.sdk.exceptions import AirflowFailException, TaskDeferred

from evergreen.errors import BadConfiguration, LedgerUnavailable
from evergreen.ledger import open_ledger
from evergreen.results import to_json
from evergreen.watch_results import Finding, Verdict
from evergreen.window import Window
from evergreen_airflow.sensors.drift import DriftSensor
from evergreen_airflow.triggers import drift as trigger_module
from evergreen_airflow.triggers.drift import DriftTrigger

JUNE, JULY, AUGUST = (datetime(2013, month, 1, tzinfo=UTC) for month in (6, 7, 8))


def verdict(as_of: datetime, answer: str = "alarm", level: str = "features") -> Verdict:
    words = "distance: far off"
    return Verdict(
        run_key=f"churn/monitor/{as_of:%m}",
        as_of=as_of,
        window=Window(as_of.replace(day=1, month=as_of.month - 1), as_of),
        version=3,
        answer=answer,
        spoke=level if answer == "alarm" else None,
        levels=((level, answer),),
        findings=(
            Finding(level, "distance", "psi", 0.3, 0.1, 1e-4, 2.0, answer, words),
            Finding(level, "carrier", "psi", 0.1, 0.2, 0.5, 2.0, "quiet", "carrier: near"),
        ),
        words=(words,),
    )


@pytest.fixture
def known(tmp_path, monkeypatch):
    """Write verdicts into the ledger that Airflow's settings name."""
    monkeypatch.setenv("EVERGREEN_HOME", str(tmp_path))

    def write(*verdicts: Verdict) -> None:
        ledger = open_ledger(f"sqlite:///{tmp_path / 'ledger.db'}", 600)
        for one in verdicts:
            lease = ledger.acquire("churn", one.run_key, "monitor")
            ledger.append("verdict", f"verdict/{one.run_key}", to_json(one), lease)
            ledger.free(lease)
        ledger.close()

    write()
    return write


def context(**run):
    given = {"data_interval_start": None, "run_after": JULY} | run
    return {"dag_run": SimpleNamespace(**given)}


def sensor(**options) -> DriftSensor:
    return DriftSensor(task_id="wait", model="churn", **options)


def test_an_alarm_that_is_there_ends_the_wait_at_once(known):
    known(verdict(AUGUST))
    found = sensor().execute(context())
    assert found["level"] == "features"
    assert found["columns"] == ["distance"]
    assert found["check"] == "churn/monitor/08"


def test_without_an_alarm_the_wait_goes_on_in_the_triggerer(known):
    known(verdict(AUGUST, "quiet"))
    with pytest.raises(TaskDeferred) as deferred:
        sensor(poke_interval=5, timeout=600, levels=["loss"]).execute(context())
    trigger = deferred.value.trigger
    assert (trigger.model, trigger.since, trigger.levels) == ("churn", JULY.isoformat(), ["loss"])
    assert trigger.poll_seconds == 5
    assert deferred.value.timeout == timedelta(seconds=600)


def test_a_wait_in_the_worker_pokes(known):
    waiting = sensor(deferrable=False)
    assert not waiting.poke(context()).is_done
    known(verdict(AUGUST))
    assert waiting.poke(context()).xcom_value["model_version"] == 3


@pytest.mark.parametrize(
    ("options", "run", "found"),
    [
        ({}, {"run_after": JULY}, False),
        ({}, {"run_after": JUNE}, True),
        ({}, {"data_interval_start": JUNE, "run_after": AUGUST}, True),
        ({"since": "2013-07-01"}, {"run_after": JUNE}, False),
        ({"since": "2013-06-30T23:59:59+00:00"}, {"run_after": AUGUST}, True),
        ({"levels": ["loss"]}, {"run_after": JUNE}, False),
        ({"levels": ["loss", "features"]}, {"run_after": JUNE}, True),
    ],
)
def test_only_alarms_after_the_start_and_of_the_levels_count(known, options, run, found):
    known(verdict(JULY))
    assert bool(sensor(deferrable=False, **options).poke(context(**run))) is found


def test_the_earliest_alarm_is_told_whatever_order_checks_were_made_in(known):
    known(verdict(AUGUST), verdict(JULY))
    assert sensor().execute(context(run_after=JUNE))["as_of"] == JULY.isoformat()


def test_a_trigger_survives_its_way_to_the_triggerer_and_fires():
    made = DriftTrigger("churn", JULY.isoformat(), ["loss"], 0.01)
    path, arguments = made.serialize()
    assert path == "evergreen_airflow.triggers.drift.DriftTrigger"
    again = DriftTrigger(**arguments)
    assert again.serialize() == made.serialize()


async def first_event(trigger: DriftTrigger):
    return (await anext(trigger.run())).payload


def test_a_ledger_that_is_away_for_a_while_is_asked_again(monkeypatch):
    answers = [LedgerUnavailable("locked"), None, verdict(AUGUST)]

    def asked(model, since, levels):
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(trigger_module, "first_alarm", asked)
    payload = asyncio.run(first_event(DriftTrigger("churn", JULY.isoformat(), [], 0.001)))
    assert payload["alarm"]["level"] == "features"
    assert not answers


def test_what_no_waiting_mends_fails_the_task(monkeypatch):
    def asked(model, since, levels):
        raise BadConfiguration("no such driver", where="EVERGREEN_LEDGER")

    monkeypatch.setattr(trigger_module, "first_alarm", asked)
    payload = asyncio.run(first_event(DriftTrigger("churn", JULY.isoformat(), [], 0.001)))
    with pytest.raises(AirflowFailException, match="no such driver"):
        sensor().execute_complete({}, payload)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"model": "No Model"}, "not a model name"),
        ({"levels": ["lose"]}, "no level 'lose'.*did you mean 'loss'"),
    ],
)
def test_a_misspelt_argument_is_refused_when_the_dag_is_parsed(options, says):
    with pytest.raises(ValueError, match=says):
        DriftSensor(task_id="wait", **({"model": "churn"} | options))
