"""What a run was asked for, from what Airflow says."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from types import SimpleNamespace
from typing import Any

import pytest

from evergreen.errors import BadConfiguration
from evergreen.redaction import hide


class RunType(StrEnum):
    SCHEDULED = "scheduled"
    BACKFILL = "backfill"
    MANUAL = "manual"
    ASSET_TRIGGERED = "asset_triggered"


@dataclass
class FakeDagRun:
    run_type: RunType
    run_id: str = "run 1"
    run_after: datetime = datetime(2013, 5, 2, 8, tzinfo=UTC)
    data_interval_end: datetime | None = None
    triggering_user_name: str | None = None
    consumed_asset_events: list[Any] = field(default_factory=list)


MAY = datetime(2013, 5, 1, 6, tzinfo=UTC)


def asked(dag_run: FakeDagRun, **params: Any):
    from evergreen_airflow.run_context import read_run_context

    return read_run_context("flight_delay", dag_run, params)


def test_the_run_key_is_the_model_and_the_run_id():
    assert asked(FakeDagRun(RunType.MANUAL)).run_key == "flight_delay/run 1"


@pytest.mark.parametrize("run_type", [RunType.SCHEDULED, RunType.BACKFILL])
def test_a_run_of_the_schedule_takes_its_interval_and_no_param(run_type):
    run = FakeDagRun(run_type, data_interval_end=MAY)
    assert asked(run, as_of="2001-01-01").as_of == MAY


def test_a_manual_run_takes_the_as_of_it_was_asked_for():
    run = FakeDagRun(RunType.MANUAL, data_interval_end=MAY)
    assert asked(run, as_of="2013-04-01").as_of == datetime(2013, 4, 1, tzinfo=UTC)


@pytest.mark.parametrize("run_type", [RunType.MANUAL, RunType.ASSET_TRIGGERED])
def test_a_run_asked_for_without_an_as_of_takes_the_time_it_was_to_run(run_type):
    run = FakeDagRun(run_type, data_interval_end=MAY)
    assert asked(run, as_of=None).as_of == run.run_after


@pytest.mark.parametrize("text", ["last tuesday", "2013-13-01", 7, "9999-12-31T23:59:59-23:59"])
def test_an_as_of_that_is_no_date_is_refused_with_what_is_allowed(text):
    with pytest.raises(BadConfiguration, match=r"param as_of: .*allowed: .*2013-04-01"):
        asked(FakeDagRun(RunType.MANUAL), as_of=text)


def test_an_as_of_ahead_of_the_run_is_refused():
    with pytest.raises(BadConfiguration, match="ahead of the run"):
        asked(FakeDagRun(RunType.MANUAL), as_of="2013-05-03")


def test_an_unknown_release_wish_is_refused_with_what_is_allowed():
    with pytest.raises(BadConfiguration, match="got perhaps; allowed: auto, never"):
        asked(FakeDagRun(RunType.MANUAL), release="perhaps")


@pytest.mark.parametrize(
    ("run", "params", "reason"),
    [
        (FakeDagRun(RunType.SCHEDULED, data_interval_end=MAY), {}, "schedule"),
        (FakeDagRun(RunType.BACKFILL, data_interval_end=MAY), {"reason": "gap"}, "backfill: gap"),
        (FakeDagRun(RunType.MANUAL), {}, "asked for"),
        (
            FakeDagRun(RunType.MANUAL, triggering_user_name="bob"),
            {"reason": "new airport"},
            "asked for by bob: new airport",
        ),
    ],
)
def test_the_reason_says_who_started_the_run(run, params, reason):
    assert asked(run, **params).reason == reason


def test_an_asset_event_gives_its_name_and_reason_as_text_only():
    hide("hunter2hunter2")
    asset = SimpleNamespace(name="evergreen/flight_delay/retrain-request")
    events = [
        SimpleNamespace(asset=asset, extra={"reason": "drift of\x1b[31m dep_delay hunter2hunter2"}),
        SimpleNamespace(asset=asset, extra={}),
    ]
    run = FakeDagRun(RunType.ASSET_TRIGGERED, consumed_asset_events=events)
    assert asked(run).reason == (
        "asset event evergreen/flight_delay/retrain-request: drift of[31m dep_delay ***"
    )


def test_a_long_reason_is_cut():
    assert len(asked(FakeDagRun(RunType.MANUAL), reason="x" * 5000).reason) <= 300


def event(**extra: Any):
    return SimpleNamespace(
        asset=SimpleNamespace(name="evergreen/flight_delay/retrain-request"), extra=extra
    )


@pytest.mark.parametrize(
    ("events", "serves"),
    [
        ([event(request="flight_delay/monitor/1", reason="drift")], "newest"),
        ([], "newest"),
        ([event(reason="new contract")], "earlier"),
        ([event(request="flight_delay/monitor/1"), event(payload={"request": "no"})], "earlier"),
    ],
    ids=["ours", "none seen", "another's", "both"],
)
def test_our_own_event_is_a_wake_up_and_any_other_asks_for_a_retrain_as_of_now(events, serves):
    run = FakeDagRun(RunType.ASSET_TRIGGERED, consumed_asset_events=events)
    told = asked(run)
    assert (told.serves, told.as_of) == (serves, run.run_after)


def test_the_requests_that_woke_a_run_are_known():
    events = [event(request="flight_delay/monitor/2"), event(request="flight_delay/monitor/1"), event()]
    run = FakeDagRun(RunType.ASSET_TRIGGERED, consumed_asset_events=events)
    assert asked(run).woken_by == ("flight_delay/monitor/1", "flight_delay/monitor/2")


@pytest.mark.parametrize(
    ("run_type", "params", "serves"),
    [
        (RunType.SCHEDULED, {}, "earlier"),
        (RunType.MANUAL, {}, "earlier"),
        (RunType.MANUAL, {"release": "never"}, "none"),
        (RunType.BACKFILL, {}, "none"),
    ],
)
def test_a_run_of_its_own_as_of_serves_earlier_requests_unless_it_fills_in_history(
    run_type, params, serves
):
    assert asked(FakeDagRun(run_type, data_interval_end=MAY), **params).serves == serves


@pytest.mark.parametrize("run_type", [RunType.MANUAL, RunType.BACKFILL, RunType.ASSET_TRIGGERED])
def test_who_started_the_run_is_known_by_their_name_in_airflow(run_type):
    run = FakeDagRun(run_type, data_interval_end=MAY, triggering_user_name="bob\x1b[31m")
    assert asked(run).triggered_by == "bob[31m"


def test_nobody_started_a_run_of_the_schedule():
    assert asked(FakeDagRun(RunType.SCHEDULED, data_interval_end=MAY)).triggered_by is None
