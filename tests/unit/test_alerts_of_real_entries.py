"""Entries as the steps write them are told in words, with what the ledger knows beside them."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from evergreen import steps
from evergreen.alert_spec import LogChannel
from evergreen.alerts.events import event_of
from evergreen.errors import DataUnusable
from evergreen.steps.alerts.known import Known
from evergreen.steps.watch.judge import judge
from evergreen.steps.watch.measure import measure
from evergreen.steps.watch.profile import profile
from evergreen.steps.watch.request import request
from tests.fakes.bench import APRIL, MARCH, Bench
from tests.unit.test_watch_steps import moved, scored, watched

CHECK = "churn/monitor/1"
AS_OF = MARCH + timedelta(weeks=4)


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


def told(bench):
    known = Known(bench.ledger)
    events = (event_of(entry, known.context(entry)) for entry in bench.ledger.entries())
    return [event for event in events if event is not None]


def checked(bench, model=None):
    model = model or watched()
    scored(bench, AS_OF)
    profile(bench.workspace, CHECK, model, AS_OF, "test")
    measure(bench.workspace, CHECK)
    verdict = judge(bench.workspace, CHECK)
    request(bench.workspace, CHECK)
    return verdict


def test_a_retrain_that_promoted_is_told_with_its_owner_and_as_of(bench):
    bench.whole()
    (event,) = told(bench)
    assert (event.name, event.key) == ("promoted", "promoted/churn/one")
    assert (event.owner, event.as_of) == ("team@example.com", MARCH)
    assert "promoted version 1" in event.headline
    assert any(line.startswith("trained on") for line in event.lines)


def test_a_retrain_that_left_the_question_open_is_told_as_inconclusive(bench):
    bench.whole()
    key = bench.begin("two", APRIL)
    bench.until_trained(key)
    bench.good(key, 0.891)
    report = bench.finish(key)
    assert "inconclusive" in report.summary
    assert [event.name for event in told(bench)] == ["promoted", "inconclusive"]


def test_a_retrain_that_failed_is_told_with_the_step_and_the_reason_but_not_the_value(bench):
    key = bench.begin()
    bench.source.failure = DataUnusable("a key stands twice", where="table x", got="SECRET_KEY")
    with pytest.raises(DataUnusable):
        steps.ingest(bench.workspace, key)
    steps.report(bench.workspace, key, "a task failed")
    (event,) = told(bench)
    assert event.headline == "churn: the retrain as of 2013-03-01 00:00 UTC failed at ingest."
    assert event.lines[0] == "ingest: DataUnusable: table x: a key stands twice"
    assert "SECRET_KEY" in event.values[0]
    assert "SECRET_KEY" not in "".join((event.headline, *event.lines))


def test_a_quiet_check_ends_what_was_open_and_an_alarm_says_what_moved(bench):
    bench.whole()
    assert checked(bench).answer == "quiet"
    by_key = {event.key: event for event in told(bench)}
    quiet = by_key[f"verdict/{CHECK}"]
    assert (quiet.name, quiet.as_of, quiet.owner) == ("recovered", AS_OF, "team@example.com")
    assert {"watch", "monitor"} <= set(quiet.closes)
    assert any(event.closes == ("score",) for event in by_key.values())


def test_an_alarm_says_what_moved(bench):
    bench.whole()
    moved(bench, AS_OF - timedelta(days=7))
    assert checked(bench).answer == "alarm"
    (event,) = [event for event in told(bench) if event.name == "alarm"]
    assert event.headline.startswith("churn, version 1, as of 2013-03-29 00:00 UTC: Alarm:")
    assert any("x" in line for line in event.lines)


def test_the_channels_are_those_of_the_file_that_the_run_pinned(bench):
    bench.whole()
    model = watched()
    channels = [LogChannel(type="log", at_least="high")]
    spec = model.spec.model_copy(update={"alerts": channels})
    checked(bench, replace(model, spec=spec))
    known = Known(bench.ledger)
    assert known.channels(bench.ledger.find(f"verdict/{CHECK}")) == channels
    assert known.channels(bench.ledger.find("run_finished/churn/one")) is None
