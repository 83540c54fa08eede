"""From entries of the ledger to what waits to be told."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evergreen.alert_spec import EmailChannel, LogChannel, SlackChannel
from evergreen.alerts.channels import channel_of, place
from evergreen.durations import Duration
from evergreen.outbox import SinkRefused, SinkUnavailable
from evergreen.results import Retrain, RunReport
from evergreen.steps.alerts import acknowledge, take_in
from evergreen.window import windows_at
from tests.fakes.bench import pinned
from tests.fakes.messenger import NOON, FakeSink, MessengerBench, texts

AS_OF = datetime(2026, 3, 1, tzinfo=UTC)
SLACK = SlackChannel(type="slack", connection="slack_ml")
MAIL = EmailChannel(type="email", to=["team@example.com"])
CALLED = MAIL.model_copy(update={"unacknowledged_for": Duration(2, "hours")})


@pytest.fixture
def bench(tmp_path):
    bench = MessengerBench.at(tmp_path)
    yield bench
    bench.ledger.close()


def begin(bench, run="churn/r1", reason="schedule", **changes):
    model = pinned(**changes)
    data = model.spec.data
    windows = windows_at(AS_OF, data.train_window, data.test_window, data.label.delay)
    retrain = Retrain(run, model, windows, reason, "auto", "code", triggered_by="bob")
    bench.write("run_started", f"run_started/{run}", retrain)


def end(bench, outcome, run="churn/r1", lines=("train: DataUnusable: no rows; got key 17",), number=1):
    words = f"churn as of 2026-03-01 00:00: {outcome} version 2 (it is better)"
    report = RunReport(run, "churn", AS_OF, outcome, 1, 2, words, tuple(lines))
    counted = "" if number == 1 else f"#{number}"
    bench.write("run_finished", f"run_finished{counted}/{run}", report)


def test_a_failed_run_is_told_to_the_channels_of_the_file_that_it_pinned(bench):
    begin(bench, alerts=[SLACK.model_dump(mode="json")], tier="high")
    end(bench, "failed")
    begin(bench, "churn/r2", alerts=[])
    bench.tell()
    (letter,) = bench.sink.letters
    event = letter.message.event
    assert channel_of(letter.message.channel) == SLACK
    assert (event.key, event.severity, event.cause) == ("failed/churn/r1", "high", "retrain")
    assert (event.owner, event.triggered_by, event.as_of) == ("team@example.com", "bob", AS_OF)
    assert event.lines[0] == "train: DataUnusable: no rows"
    assert event.values == ("train: DataUnusable: no rows; got key 17",)
    assert letter.run_url == "https://airflow.example.com/churn/r1"


def test_what_is_of_no_run_is_told_to_the_newest_file_of_the_model(bench):
    begin(bench, alerts=[SLACK.model_dump(mode="json")])
    begin(bench, "churn/r2", alerts=[MAIL.model_dump(mode="json")])
    bench.notice("stale/churn/1", "stale", cause="stale")
    bench.tell()
    assert bench.told() == [("opening", "stale", "email smtp_default team@example.com")]


def test_a_model_whose_file_names_no_channels_is_told_of_to_the_fleets(bench):
    bench.fleet = (MAIL,)
    begin(bench)
    end(bench, "failed")
    bench.notice("failed/x/1", model="unknown_model")
    bench.tell()
    assert [place for *_, place in bench.told()] == ["email smtp_default team@example.com"] * 2


def test_a_model_whose_file_names_nobody_is_told_of_to_nobody(bench):
    begin(bench, alerts=[])
    end(bench, "failed")
    assert take_in(bench.messenger, bench.now) == 1
    assert bench.ledger.outbox.undelivered() == []
    assert len(bench.ledger.outbox.open_incidents()) == 1, "it is shown all the same"


def test_a_notice_may_bring_its_channels_along(bench):
    begin(bench, alerts=[SLACK.model_dump(mode="json")])
    bench.notice("a", channels=texts(MAIL))
    bench.notice("b", channels=())
    bench.tell()
    assert [place for *_, place in bench.told()] == ["email smtp_default team@example.com"]


def test_channels_that_cannot_be_read_hold_nothing_up(bench):
    bench.notice("a", channels=('{"type":"pigeon"}',))
    bench.notice("b")
    bench.tell()
    assert [place for *_, place in bench.told()] == ["log", "log"]


def test_an_entry_that_cannot_be_put_into_words_is_told_as_such_and_holds_nothing_up(bench):
    bench.write("run_finished", "run_finished/churn/r1", {"of": "another shape"})
    bench.write("acknowledged", "acknowledged/x", {"nobody": 1})
    bench.notice("b")
    bench.tell()
    assert [letter.message.event.key for letter in bench.sink.letters] == ["unreadable/1", "b"]


def test_a_failure_that_a_callback_and_the_report_tell_is_told_once(bench):
    begin(bench)
    bench.notice("failed/churn/r1", run_key="churn/r1", cause="retrain", signature="x")
    end(bench, "failed")
    bench.tell()
    assert bench.told() == [("opening", "failed", "log")]
    (incident,) = bench.ledger.outbox.open_incidents().values()
    assert incident.events == 1
    end(bench, "failed", number=2, lines=("evaluate: StoreUnavailable: no answer",))
    bench.tell()
    assert bench.told()[1:] == [("update", "failed", "log")], "cleared, it failed in another way"


def test_the_report_before_the_callback_is_told_once_too(bench):
    begin(bench)
    end(bench, "failed")
    bench.notice("failed/churn/r1", run_key="churn/r1", cause="retrain", signature="x")
    bench.tell()
    assert bench.told() == [("opening", "failed", "log")]


def test_rejected_data_is_told_once_though_airflow_ends_the_run_as_failed(bench):
    begin(bench)
    end(bench, "rejected", lines=("error: nulls in x",))
    bench.notice("failed/churn/r1", run_key="churn/r1", cause="retrain", signature="x")
    bench.tell()
    assert bench.told() == [("opening", "data_rejected", "log")]


def test_a_run_that_comes_to_an_answer_ends_what_was_open(bench):
    begin(bench)
    end(bench, "failed")
    bench.notice("stale/churn/1", "stale", cause="stale")
    bench.notice("alarm/churn/c1", "alarm", cause="watch")
    end(bench, "promoted", number=2)
    bench.tell()
    assert sorted(name for *_, name, _ in bench.told()) == sorted(
        ["failed", "stale", "alarm", "promoted", "recovered", "recovered", "recovered"]
    )
    assert bench.ledger.outbox.open_incidents() == {}


def test_a_skipped_or_waiting_run_tells_nothing(bench):
    end(bench, "skipped")
    end(bench, "waiting", "churn/r2")
    assert take_in(bench.messenger, bench.now) == 0


def test_what_is_acknowledged_calls_nobody(bench):
    bench.fleet = (LogChannel(type="log"), CALLED)
    bench.notice("failed/churn/r1", cause="retrain")
    bench.tell()
    (incident,) = bench.ledger.outbox.open_incidents().values()
    acknowledge(bench.ledger, incident, "alice", "I look")
    acknowledge(bench.ledger, incident, "bob", "me too")
    bench.later(hours=5)
    bench.tell()
    (incident,) = bench.ledger.outbox.open_incidents().values()
    assert (incident.acknowledged_by, incident.acknowledged_at) == ("alice", NOON)
    bench.notice("ok", "recovered", closes=("retrain",))
    bench.tell()
    assert [(purpose, where) for purpose, _, where in bench.told()] == [
        ("opening", "log"),
        ("closing", "log"),
    ]


def test_what_nobody_acknowledged_is_escalated_and_its_end_is_told_there_too(bench):
    bench.fleet = (LogChannel(type="log"), CALLED)
    bench.notice("failed/churn/r1", cause="retrain")
    bench.tell()
    bench.later(hours=1, minutes=59)
    bench.tell()
    assert len(bench.told()) == 1
    bench.later(minutes=1)
    bench.tell()
    assert bench.told()[1:] == [("escalation", "failed", "email smtp_default team@example.com")]
    bench.notice("ok", "recovered", closes=("retrain",))
    bench.tell()
    assert len(bench.told()) == 4


def test_a_notice_of_a_key_stands_as_it_was_written_first(bench):
    bench.notice("a", headline="first")
    bench.notice("a", headline="second")
    bench.tell()
    assert [one.message.event.headline for one in bench.sink.letters] == ["first"]


def test_a_killed_writer_of_a_notice_keeps_nobody_out(bench):
    bench.ledger.acquire("churn", "churn/alerts", "alerts")
    bench.notice("a")
    bench.tell()
    assert len(bench.told()) == 1


def test_a_channel_that_was_given_up_is_told_of_to_the_others_only(bench):
    bench.fleet = (SLACK, MAIL)
    bench.sink = FakeSink(
        lambda letter: SinkRefused("no such channel") if "slack" in letter.message.channel else None
    )
    bench.notice("failed/churn/r1", cause="retrain")
    bench.tell()
    bench.tell()
    bench.tell()
    assert [(name, where) for _, name, where in bench.told()] == [
        ("failed", "email smtp_default team@example.com"),
        ("not_told", "email smtp_default team@example.com"),
    ]
    bench.notice("failed/churn/r2", cause="retrain", signature="new")
    bench.tell()
    bench.tell()
    assert [name for _, name, _ in bench.told()] == ["failed", "not_told", "failed"], "known already"
    bench.sink.fails = lambda letter: None
    bench.notice("failed/churn/r3", cause="retrain", signature="newer")
    bench.tell()
    bench.tell()
    assert [name for _, name, _ in bench.told()][3:] == ["failed", "failed", "recovered"]


def test_a_channel_that_takes_a_message_again_ends_what_it_did_not_take_of_other_models(bench):
    bench.fleet = (SLACK, MAIL)
    bench.sink = FakeSink(
        lambda letter: SinkUnavailable("down") if "slack" in letter.message.channel else None
    )
    for number in range(12):
        bench.notice(f"failed/m{number}", model=f"m{number}", cause="retrain")
    for _ in range(30):
        bench.tell()
        bench.later(hours=1)
    gave_up = {model for model, cause in bench.ledger.outbox.open_incidents() if "channel/" in cause}
    assert "evergreen" in gave_up, "the digest of several models was given up"
    assert len(gave_up) > 2
    bench.sink.fails = lambda letter: None
    bench.notice("failed/other", model="other")
    bench.tell()
    bench.tell()
    left = {cause for _, cause in bench.ledger.outbox.open_incidents()}
    assert left == {"retrain"}


KINDS = st.lists(
    st.tuples(
        st.sampled_from(["failed", "alarm", "promoted", "kept", "recovered"]),
        st.sampled_from(["churn", "delay"]),
        st.sampled_from([None, "retrain", "watch"]),
        st.sets(st.sampled_from(["retrain", "watch"])),
        st.sampled_from(["low", "medium", "high"]),
        st.sampled_from("abc"),
        st.booleans(),
    ),
    min_size=1,
    max_size=12,
)


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(KINDS)
def test_every_event_reaches_every_channel_that_asked_for_it_once_or_in_a_digest(
    tmp_path_factory, given_events
):
    """Whatever happens in whatever order, and however often somebody looks in between."""
    channels = (
        SlackChannel(type="slack", connection="slack_ml", events=["failed", "promoted"]),
        EmailChannel(type="email", to=["team@example.com"], at_least="medium"),
        LogChannel(type="log", events=["alarm", "kept", "failed"]),
    )
    bench = MessengerBench.at(tmp_path_factory.mktemp("law"), channels)
    last: dict[tuple[str, str], str] = {}
    asked = set()
    for number, (name, model, cause, closes, severity, signature, look) in enumerate(given_events):
        key = f"{name}/{model}/{number}"
        bench.notice(
            key,
            name,
            model,
            cause=cause,
            closes=tuple(sorted(closes - {cause})),
            severity=severity,
            signature=signature,
        )
        for closed in closes - {cause}:
            last.pop((model, closed), None)
        news = cause is None and name != "recovered"
        if cause is not None:
            news = last.get((model, cause)) != signature
            last[model, cause] = signature
        asked |= {
            (key, place(one))
            for one in channels
            if news
            and name in one.events
            and ("low", "medium", "high").index(severity)
            >= ("low", "medium", "high").index(one.at_least)
        }
        if look:
            bench.tell()
            bench.later(seconds=20)
    for _ in range(4):
        bench.tell()
        bench.later(seconds=61)
    told = [
        (event.key, place(channel_of(letter.message.channel)))
        for letter in bench.sink.letters
        for event in (letter.message.event, *letter.message.gathers)
    ]
    assert len(told) == len(set(told)), "told twice"
    assert asked <= set(told)
    assert bench.ledger.outbox.undelivered() == []
    assert bench.ledger.verify().ok
    newest = [entry.seq for entry in bench.ledger.entries()][-1]
    take_in(bench.messenger, bench.now)
    assert bench.ledger.outbox.cursor() == newest
    bench.ledger.close()
