"""Sending what is due: retried, claimed, bounded, and never the pipeline's trouble."""

from __future__ import annotations

import json
import sys
import threading
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import text

from evergreen.alert_spec import EmailChannel, LogChannel, QuietHours, SlackChannel
from evergreen.errors import BadConfiguration
from evergreen.ledger import open_ledger
from evergreen.outbox import Receipt, SinkRefused, SinkUnavailable
from evergreen.redaction import hide
from evergreen.steps.alerts import Delivered, deliver, take_in
from tests.fakes.messenger import NOON, FakeSink, MessengerBench

SLACK = SlackChannel(type="slack", connection="slack_ml")
MAIL = EmailChannel(type="email", to=["team@example.com"])
MODULE = sys.modules["evergreen.steps.alerts.deliver"]


@pytest.fixture
def bench(tmp_path):
    bench = MessengerBench.at(tmp_path)
    yield bench
    bench.ledger.close()


def down(why="no answer", **parts):
    return FakeSink(lambda letter: SinkUnavailable(why, **parts))


def waits(bench):
    return [one.message for one in bench.ledger.outbox.undelivered() if one.state == "waiting"]


def test_a_channel_that_is_down_is_tried_again_ever_more_rarely_and_then_hears_it_once(bench):
    bench.notice("a")
    bench.sink = down()
    waited = []
    for _ in range(10):
        assert bench.tell().postponed == 1
        (message,) = waits(bench)
        waited.append((message.due_at - bench.now) / timedelta(seconds=30))
        assert bench.tell() == bench.tell(), "not before its time"
        bench.now = message.due_at + timedelta(seconds=1)
    assert [round(wait) for wait in waited] == [1, 2, 4, 8, 16, 32, 64, 120, 120, 120]
    bench.sink.fails = lambda letter: None
    assert bench.tell().sent == 1
    assert len(bench.sink.letters) == 1
    assert len({letter.message.key for letter in bench.sink.tried}) == 1


def test_after_a_day_in_vain_it_is_given_up_and_the_ledger_says_so(bench):
    bench.notice("a")
    bench.sink = down("no answer from the server")
    while not (done := bench.tell()).given_up:
        assert done.postponed == 1
        (message,) = waits(bench)
        bench.now = message.due_at + timedelta(seconds=1)
    assert timedelta(hours=24) <= bench.now - NOON < timedelta(hours=26)
    (entry,) = bench.ledger.entries(kind="not_told")
    assert "no answer from the server" in entry.body["why"]
    assert entry.body["attempts"] == len(bench.sink.tried)


def test_a_message_that_waited_long_before_its_first_try_is_tried_like_any_other(bench):
    bench.notice("a")
    bench.sink = down()
    take_in(bench.messenger, bench.now)
    bench.later(days=3)
    assert bench.tell().postponed == 1


@pytest.mark.parametrize(
    ("wish", "seconds"), [(5, 30), (90, 90), (7200, 7200), (-1, 30), (1e12, 30), (float("nan"), 30)]
)
def test_a_receiver_may_wish_for_a_longer_wait_within_reason(bench, wish, seconds):
    bench.notice("a")
    bench.sink = down(retry_after_seconds=wish)
    bench.tell()
    (message,) = waits(bench)
    assert abs((message.due_at - bench.now).total_seconds() - seconds) < 5


@pytest.mark.parametrize("error", [SinkRefused("revoked"), BadConfiguration("no such connection")])
def test_what_no_later_try_mends_is_given_up_at_once(bench, error):
    bench.notice("a")
    bench.sink = FakeSink(lambda letter: error)
    assert bench.tell().given_up == 1
    assert bench.tell().given_up == 0


@pytest.mark.parametrize("error", [ValueError("a bug"), RecursionError(), MemoryError()])
def test_whatever_a_sink_raises_goes_no_further(bench, error):
    bench.notice("a")
    bench.sink = FakeSink(lambda letter: error)
    assert bench.tell().postponed == 1


def test_a_sink_that_cannot_be_made_goes_no_further(bench):
    bench.notice("a")
    take_in(bench.messenger, bench.now)

    def missing(kind):
        raise ImportError("no httpx")

    assert deliver(replace(bench.messenger, sink=missing), bench.now).postponed == 1


def test_an_interrupt_is_not_swallowed_and_the_message_is_sent_later(bench):
    bench.notice("a")
    bench.sink = FakeSink(lambda letter: KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        bench.tell()
    bench.sink.fails = lambda letter: None
    assert bench.tell().sent == 0, "the claim still stands"
    bench.later(seconds=61)
    assert bench.tell().sent == 1


def test_what_went_wrong_is_kept_without_secrets_and_bounded(bench):
    hide("xoxb-very-secret")
    bench.notice("a")
    bench.sink = down("token xoxb-very-secret " + "x" * 5000)
    bench.tell()
    (one,) = bench.ledger.outbox.undelivered()
    assert "very-secret" not in one.why
    assert len(one.why) <= 500


def test_a_place_that_is_down_holds_up_no_other_and_is_tried_once_a_round(bench):
    bench.fleet = (SLACK, MAIL)
    bench.sink = FakeSink(
        lambda letter: SinkUnavailable("down") if "slack" in letter.message.channel else None
    )
    for number in range(4):
        bench.notice(f"n{number}")
    done = bench.tell()
    assert (done.sent, done.postponed) == (4, 1)
    assert len(bench.sink.tried) == 5
    assert bench.tell() == Delivered(), "what waits for that place waits, too"
    bench.sink.fails = lambda letter: None
    bench.later(seconds=31)
    assert bench.tell().sent == 4


def test_a_message_that_its_receiver_never_takes_does_not_keep_back_the_others(bench):
    bench.sink = FakeSink(
        lambda letter: SinkUnavailable("500") if letter.message.event.key == "poison" else None
    )
    bench.notice("poison")
    bench.tell()
    for number in range(3):
        bench.notice(f"n{number}")
    bench.tell()
    bench.later(seconds=31)
    bench.tell()
    assert sorted(one.message.event.key for one in bench.sink.letters) == ["n0", "n1", "n2"]


def test_a_budget_ends_the_round_before_the_next_message(bench):
    for number in range(3):
        bench.notice(f"n{number}")
    take_in(bench.messenger, bench.now)
    assert deliver(bench.messenger, bench.now, budget_seconds=0).sent == 0
    assert deliver(bench.messenger, bench.now, budget_seconds=60).sent == 3


def test_later_messages_of_an_incident_go_into_its_thread(bench):
    bench.notice("failed/churn/1", cause="retrain", signature="a")
    bench.notice("failed/churn/2", cause="retrain", signature="b")
    bench.notice("ok", "recovered", closes=("retrain",))
    assert bench.tell().sent == 3
    opening, update, closing = bench.sink.letters
    assert [one.message.purpose for one in bench.sink.letters] == ["opening", "update", "closing"]
    assert (opening.thread, update.thread) == (None, f"thread of {opening.message.key}")
    assert closing.thread == update.thread
    assert closing.incident.closed_at is not None


def test_one_that_hangs_past_its_claim_loses_the_message_to_another(tmp_path, monkeypatch):
    """The one that hangs did send, so the receiver gets the same key twice and can tell."""
    monkeypatch.setattr(MODULE, "CLAIM_SECONDS", 0.2)
    first = MessengerBench.at(tmp_path)
    url = first.ledger._database.where
    other = MessengerBench(open_ledger(url, 600))
    first.notice("a")
    take_in(first.messenger, first.now)

    class Hanging(FakeSink):
        def send(self, letter):
            first.now += timedelta(seconds=1)
            other.now += timedelta(seconds=1)
            self.other = deliver(other.messenger, other.now)
            return super().send(letter)

    first.sink = Hanging()
    assert deliver(first.messenger, NOON).sent == 0
    assert first.sink.other.sent == 1
    assert first.kinds() == ["event", "told"]
    keys = [letter.message.key for letter in (*first.sink.letters, *other.sink.letters)]
    assert (len(keys), len(set(keys))) == (2, 1)
    first.ledger.close()
    other.ledger.close()


def test_two_that_deliver_at_once_send_everything_once(tmp_path):
    benches = [MessengerBench.at(tmp_path)]
    url = benches[0].ledger._database.where
    benches.append(MessengerBench(open_ledger(url, 600)))
    for number in range(40):
        benches[0].notice(f"n{number}", model=f"m{number}")

    def tell(bench):
        for _ in range(3):
            bench.tell()
            bench.later(seconds=61)

    threads = [threading.Thread(target=tell, args=(bench,)) for bench in benches]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    letters = [letter for bench in benches for letter in bench.sink.letters]
    events = [event.key for one in letters for event in (one.message.event, *one.message.gathers)]
    assert sorted(events) == sorted(f"n{number}" for number in range(40))
    alone = [one for one in letters if one.message.purpose == "single"]
    assert len(alone) == 5
    assert benches[0].ledger.verify().ok
    for bench in benches:
        bench.ledger.close()


def test_two_hundred_models_that_fail_within_a_minute_make_a_handful_of_messages(bench):
    bench.fleet = (SLACK, MAIL)
    for number in range(200):
        bench.notice(f"failed/m{number}/1", model=f"m{number}", cause="retrain")
        bench.now = NOON + timedelta(seconds=number * 0.3)
        if number % 20 == 0:
            bench.tell()
    for _ in range(10):
        bench.tell()
        bench.later(seconds=30)
    for channel in ("slack", "email"):
        letters = [one for one in bench.sink.letters if channel in one.message.channel]
        assert len(letters) <= 5 + 3
        events = [e.key for one in letters for e in (one.message.event, *one.message.gathers)]
        assert sorted(events) == sorted(f"failed/m{number}/1" for number in range(200))
    before = len(bench.sink.letters)
    for number in range(200):
        bench.notice(f"ok/m{number}/1", "recovered", model=f"m{number}", closes=("retrain",))
    for _ in range(5):
        bench.tell()
        bench.later(seconds=30)
    recovered = bench.sink.letters[before:]
    assert len(recovered) <= 2 * (5 + 3)
    assert sum(1 + len(one.message.gathers) for one in recovered) == 400


def test_what_follows_a_gathered_opening_goes_into_the_digests_thread(bench):
    for number in range(8):
        bench.notice(f"failed/m{number}/1", model=f"m{number}", cause="retrain", signature="a")
    bench.tell()
    bench.notice("failed/m7/2", model="m7", cause="retrain", signature="b")
    bench.tell()
    assert len(bench.told()) == 5, "the update waits for the digest"
    bench.later(seconds=61)
    bench.tell()
    digest, update = bench.sink.letters[5:]
    assert (digest.message.purpose, update.message.purpose) == ("digest", "update")
    assert update.thread == f"thread of {digest.message.key}"


def test_low_messages_wait_for_the_morning_and_high_ones_do_not(bench):
    bench.fleet = (LogChannel(type="log", quiet_hours=QuietHours(begin="11:00", end="13:00")),)
    bench.notice("low", severity="low")
    bench.notice("high", severity="high")
    bench.tell()
    assert [one.message.event.key for one in bench.sink.letters] == ["high"]
    bench.later(hours=1)
    bench.tell()
    assert [one.message.event.key for one in bench.sink.letters] == ["high", "low"]


def test_a_receipt_without_a_thread_makes_no_thread(bench):
    class Plain(FakeSink):
        def send(self, letter):
            super().send(letter)
            return Receipt()

    bench.sink = Plain()
    bench.notice("failed/churn/1", cause="retrain", signature="a")
    bench.notice("failed/churn/2", cause="retrain", signature="b")
    bench.tell()
    assert [one.thread for one in bench.sink.letters] == [None, None]


def test_what_a_newer_evergreen_left_for_a_channel_unknown_here_waits_and_is_in_nobodys_way(bench):
    unknown = '{"type":"teams","connection":"t"}'
    bench.notice("a", cause="x")
    take_in(bench.messenger, bench.now)
    with bench.ledger._database.writing() as (connection, _):
        connection.execute(text("UPDATE messages SET channel = :it"), {"it": unknown})
        connection.execute(text("UPDATE incidents SET told = :it"), {"it": json.dumps([unknown])})
    bench.notice("b", model="other")
    assert bench.tell() == Delivered(sent=1)
    bench.notice("c", cause="x", signature="anew")
    assert bench.tell() == Delivered(sent=1)
    assert [one.channel for one in waits(bench)] == [unknown]
    assert [letter.message.event.headline for letter in bench.sink.letters] == [
        "b happened",
        "c happened",
    ]
