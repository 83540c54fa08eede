"""People get the day's checkpoint in full, and hear of a place that keeps none."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from evergreen.alert_spec import EmailChannel, LogChannel
from evergreen.alerts.events import event_of
from evergreen.alerts.letter_words import as_text, words_of
from evergreen.alerts.mail import mail_of
from evergreen.checkpoints import Adoption, checkpoint_from
from evergreen.errors import StoreUnavailable
from evergreen.ledger import verifier
from evergreen.messenger import Messenger
from evergreen.outbox import Letter, Message
from evergreen.results import to_json
from evergreen.steps.alerts.known import Known
from evergreen.steps.alerts.witness import keep_and_tell
from tests.fakes.ledger import FakeLedger

NOW = datetime(2013, 4, 1, 12, tzinfo=UTC)
MAIL = EmailChannel(type="email", connection="smtp", to=["audit@example.com"], events=["checkpoint"])


class Place:
    uri = "s3://witness/ledger"

    def __init__(self):
        self.kept, self.down = [], False

    def put(self, checkpoint):
        self.kept.append(checkpoint)
        return True

    def newest(self):
        if self.down:
            raise StoreUnavailable("the store did not answer", where=self.uri)
        return self.kept[-1] if self.kept else None

    def found(self):
        return iter(())


@pytest.fixture
def ledger():
    ledger = FakeLedger()
    lease = ledger.acquire("m", "m/run")
    ledger.append("snapshot", "snapshot/m", {"n": 1}, lease)
    return ledger


def messenger(ledger, *channels, places=()):
    return Messenger(ledger, None, None, lambda: channels, lambda run_key: None, places)


def told(ledger):
    known = Known(ledger)
    events = (event_of(entry, known.context(entry)) for entry in ledger.entries())
    return [event for event in events if event is not None]


def test_the_days_checkpoint_is_written_once_a_day_where_a_channel_wants_it(ledger):
    keep_and_tell(messenger(ledger, LogChannel(type="log")), NOW)
    assert told(ledger) == []
    for hours in (0, 1, 11, 12):
        keep_and_tell(messenger(ledger, MAIL), NOW + timedelta(hours=hours))
    assert [event.key for event in told(ledger)] == ["checkpoint/2013-04-01", "checkpoint/2013-04-02"]


def test_a_mail_carries_the_checkpoint_so_that_it_can_be_saved_and_verified(ledger, tmp_path):
    keep_and_tell(messenger(ledger, MAIL), NOW)
    (event,) = told(ledger)
    message = Message(event.key, "", "single", event, None, NOW)
    words = words_of(Letter(message, None, None, None))
    mail = mail_of(Letter(message, None, None, None), words, "a@example.com", ["b@example.com"], NOW)
    body = mail.get_body(("plain",)).get_content()
    assert body.splitlines() == as_text(words).splitlines()
    (line,) = [line for line in body.splitlines() if line.startswith("{")]
    assert checkpoint_from(line).hash == ledger.rows[0].hash
    saved = tmp_path / "saved.json"
    saved.write_text(line)
    (kept,) = verifier.read_checkpoints([str(saved)])
    assert kept["seq"] == 1


def test_a_checkpoint_is_kept_and_a_silent_place_is_told_once_and_its_return_too(ledger):
    place = Place()
    open_one = messenger(ledger, LogChannel(type="log"), places=(place,))
    assert keep_and_tell(open_one, NOW).problems == ()
    assert [one.seq for one in place.kept] == [1]
    place.down = True
    assert [len(keep_and_tell(open_one, NOW).problems) for _ in range(3)] == [1, 1, 1]
    place.down = False
    assert [len(keep_and_tell(open_one, NOW).problems) for _ in range(3)] == [0, 0, 0]
    place.down = True
    keep_and_tell(open_one, NOW)
    events = told(ledger)
    assert [event.name for event in events] == ["unwitnessed", "recovered", "unwitnessed"]
    assert events[0].severity == "high"
    assert events[0].cause in events[1].closes
    assert "did not answer" in events[0].lines[0]


def test_that_a_place_which_was_silent_contradicts_the_ledger_is_told_too(ledger):
    place, other = Place(), FakeLedger()
    open_one = messenger(ledger, LogChannel(type="log"), places=(place,))
    place.down = True
    keep_and_tell(open_one, NOW)
    place.down = False
    other.append("snapshot", "snapshot/other", {}, other.acquire("m", "m/other"))
    keep_and_tell(messenger(other, LogChannel(type="log"), places=(place,)), NOW)
    for place.down in (False, True, False):
        keep_and_tell(open_one, NOW)
    silent, against = told(ledger)
    assert (silent.cause, silent.name) == (against.cause, against.name)
    assert silent.signature != against.signature, "so that it brings something new"
    assert "not the one" in against.lines[0]


def test_the_days_checkpoint_of_a_ledger_that_is_behind_is_not_sent(ledger):
    place, other = Place(), FakeLedger()
    lease = other.acquire("m", "m/other")
    for number in range(4):
        other.append("snapshot", f"snapshot/{number}", {}, lease)
    keep_and_tell(messenger(other, places=(place,)), NOW)
    keep_and_tell(messenger(ledger, MAIL, places=(place,)), NOW)
    assert [event.name for event in told(ledger)] == ["unwitnessed"]
    assert len(place.kept) == 1


def test_an_adoption_is_told_with_who_why_and_what_is_lost(ledger):
    adoption = Adoption(1, 9, "{…}", "ada", "the disk was lost", ("churn version 2",))
    ledger.adopt("adopted/evergreen/1", to_json(adoption), ledger.newest(), 2**32)
    (event,) = told(ledger)
    assert (event.name, event.severity) == ("unwitnessed", "high")
    assert "ada accepted the ledger" in event.headline
    assert event.lines == (
        "Why: the disk was lost",
        "Given up, from entry 9 on: {…}",
        "Unknown to the ledger: churn version 2",
    )


def test_a_place_that_is_none_any_more_is_said_to_be_over_once(ledger):
    place = Place()
    place.down = True
    keep_and_tell(messenger(ledger, LogChannel(type="log"), places=(place,)), NOW)
    for _ in range(2):
        keep_and_tell(messenger(ledger, LogChannel(type="log")), NOW)
    wrong, over = told(ledger)
    assert (wrong.name, over.name) == ("unwitnessed", "recovered")
    assert over.closes == (wrong.cause,)
    assert over.lines == (wrong.headline,)
