"""Both databases keep the same promises about what waits to be told."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import timedelta

import pytest

from evergreen.alert_spec import EmailChannel, LogChannel
from evergreen.alerts.channels import canonical
from evergreen.alerts.event import Event
from evergreen.alerts.storms import BEGINNINGS
from evergreen.ledger import migrations, open_ledger
from evergreen.ledger.chain import instant_text
from evergreen.outbox import Allowance, Incident, Message, Plan, Receipt
from tests.fakes.messenger import NOON

LOG = canonical(LogChannel(type="log"))
MAIL = canonical(EmailChannel(type="email", to=["team@example.com"]))
HOUR = timedelta(hours=1)


def event(number=1, model="churn", name="failed") -> Event:
    return Event(
        f"{name}/{model}/{number}", name, model, NOON, "medium", "It failed.", ("é 🌲",), seq=number
    )


def message(number=1, channel=LOG, purpose="opening", incident=True, due_at=NOON, **parts) -> Message:
    one = event(number)
    key = f"{purpose}/{one.key}@{'log' if channel == LOG else 'mail'}"
    about = "failed/churn/1" if incident else None
    return Message(key, channel, purpose, one, about, due_at, **parts)


def incident(number=1, **parts) -> Incident:
    said = {"severity": "medium", "headline": "It failed.", "signature": "a"} | parts
    return Incident(f"failed/churn/{number}", "churn", "retrain", opened_at=NOON, last_at=NOON, **said)


class Clock:
    now = NOON

    def __call__(self, _connection):
        return instant_text(self.now)


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.needs_postgres)])
def url(request, tmp_path):
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'ledger.db'}"
    return request.getfixturevalue("postgres_database")


@pytest.fixture
def ledger(url):
    ledger = open_ledger(url, 600)
    yield ledger
    ledger.close()


@pytest.fixture
def clock(ledger):
    ledger._database.now = clock = Clock()
    return clock


@pytest.fixture
def outbox(ledger, clock):
    return ledger.outbox


def put(outbox, *messages, incidents=()):
    since = outbox.cursor()
    assert outbox.apply(Plan(since, since + 1, tuple(incidents), messages))


def told(ledger, kind="told"):
    return [entry.body for entry in ledger.entries(kind=kind)]


def test_a_new_ledger_is_taken_in_from_its_beginning(outbox):
    assert outbox.cursor() == 0


def test_a_ledger_from_before_the_outbox_is_taken_in_from_its_end(url, monkeypatch):
    with monkeypatch.context() as old:
        old.setattr(migrations, "REVISIONS", ("0001",))
        old.setattr("alembic.command.upgrade", _only_the_first())
        ledger = open_ledger(url, 600)
        lease = ledger.acquire("churn", "churn/run")
        for number in range(3):
            ledger.append("snapshot", f"snapshot/churn/{number}", {}, lease)
        ledger.close()
    ledger = open_ledger(url, 600)
    assert ledger.outbox.cursor() == 3
    assert ledger.verify().ok
    ledger.close()


def _only_the_first():
    from alembic import command

    upgrade = command.upgrade
    return lambda config, _revision: upgrade(config, "0001")


def test_a_plan_is_written_whole_and_moves_the_cursor(outbox):
    plan = Plan(0, 7, (incident(told=(LOG,)),), (message(gathers=(event(2),)),))
    assert outbox.apply(plan)
    assert outbox.cursor() == 7
    assert outbox.open_incidents() == {("churn", "retrain"): incident(told=(LOG,))}
    assert outbox.due(NOON, 10) == [message(gathers=(event(2),))]


def test_a_plan_made_on_an_older_cursor_is_not_written(outbox):
    assert outbox.apply(Plan(0, 2))
    assert not outbox.apply(Plan(0, 3, (incident(),), (message(),)))
    assert (outbox.cursor(), dict(outbox.open_incidents()), outbox.due(NOON, 10)) == (2, {}, [])


def test_a_message_is_put_once_whatever_is_planned(outbox):
    put(outbox, message())
    put(outbox, message(due_at=NOON - HOUR))
    assert outbox.due(NOON, 10) == [message()]


def test_the_database_itself_refuses_two_open_incidents_of_one_cause(outbox):
    put(outbox, incidents=[incident(1)])
    with pytest.raises(Exception, match=r"(?i)unique"):
        outbox.apply(Plan(1, 2, (incident(2),)))
    assert outbox.cursor() == 1
    put(outbox, incidents=[incident(1, closed_at=NOON), incident(2)])
    assert outbox.open_incidents() == {("churn", "retrain"): incident(2)}
    assert outbox.incident("failed/churn/1").closed_at == NOON
    assert outbox.incident("unknown") is None


def test_messages_are_due_in_time_the_least_tried_first(outbox):
    put(
        outbox,
        message(1, due_at=NOON + HOUR),
        message(2, incident=False, purpose="single"),
        message(3, due_at=NOON - HOUR, attempts=1),
    )
    assert [one.event.seq for one in outbox.due(NOON, 10)] == [2, 3]
    assert [one.event.seq for one in outbox.due(NOON, 1)] == [2]
    assert len(outbox.due(NOON + HOUR, 10)) == 3


def test_a_message_is_claimed_by_one_and_free_again_when_that_claim_has_expired(outbox, clock):
    put(outbox, message())
    key = message().key
    first = outbox.claim(key, 60)
    assert (first.message, first.token) == (message(), 1)
    assert outbox.claim(key, 60) is None
    assert outbox.due(NOON, 10) == []
    clock.now += timedelta(seconds=61)
    assert outbox.due(NOON, 10) == [message(begun=True)]
    assert outbox.claim(key, 60).token == 2
    assert outbox.claim("unknown", 60) is None


def test_of_many_that_claim_at_once_one_gets_it(outbox):
    put(outbox, message())
    claims = []
    threads = [
        threading.Thread(target=lambda: claims.append(outbox.claim(message().key, 60))) for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(claim is not None for claim in claims) == 1
    assert len(claims) == 6


def test_what_was_sent_is_sent_once_and_stands_in_the_chain(ledger, outbox):
    put(outbox, message())
    claim = outbox.claim(message().key, 60)
    assert outbox.sent(claim, Receipt("17.1"))
    assert outbox.sent(claim, Receipt("17.1")), "the same word again, as after a lost answer"
    assert outbox.claim(message().key, 60) is None
    assert outbox.undelivered() == []
    (body,) = told(ledger)
    assert body == {
        "message": message().key,
        "purpose": "opening",
        "channel": {"type": "log", "connection": None},
        "place": body["place"],
        "events": ["failed/churn/1"],
        "names": ["failed"],
        "incident": "failed/churn/1",
        "attempts": 1,
        "thread": "17.1",
    }
    assert ledger.verify().ok


@pytest.mark.parametrize("word", ["sent", "given_up", "postponed"])
def test_whose_claim_was_taken_over_records_nothing(ledger, outbox, clock, word):
    put(outbox, message())
    stopped = outbox.claim(message().key, 60)
    clock.now += timedelta(seconds=61)
    claim = outbox.claim(message().key, 60)
    said = {
        "sent": lambda: outbox.sent(stopped, Receipt()),
        "given_up": lambda: outbox.given_up(stopped, "late"),
        "postponed": lambda: outbox.postponed(stopped, NOON + HOUR, "late"),
    }
    assert said[word]() is False
    assert list(ledger.entries()) == []
    assert outbox.sent(claim, Receipt())
    assert said[word]() is False
    assert len(told(ledger)) == 1


def test_an_expired_claim_that_nobody_took_over_still_records(ledger, outbox, clock):
    put(outbox, message())
    claim = outbox.claim(message().key, 60)
    clock.now += HOUR
    assert outbox.sent(claim, Receipt())
    assert len(told(ledger)) == 1


def test_what_is_postponed_waits_and_remembers_since_when(outbox, clock):
    put(outbox, message())
    assert outbox.postponed(outbox.claim(message().key, 60), NOON + HOUR, "no answer")
    assert outbox.due(NOON, 10) == []
    clock.now += HOUR
    (waiting,) = outbox.due(NOON + HOUR, 10)
    assert (waiting.attempts, waiting.tried_since) == (1, NOON)
    assert outbox.postponed(outbox.claim(message().key, 60), NOON + 2 * HOUR, "no answer")
    (one,) = outbox.undelivered("churn")
    assert (one.message.attempts, one.message.tried_since) == (2, NOON)
    assert (one.state, one.why) == ("waiting", "no answer")
    assert outbox.undelivered("other") == []


def test_a_place_that_does_not_answer_holds_up_all_that_waits_for_it_and_nothing_else(outbox):
    put(outbox, message(1), message(2), message(3, MAIL), message(4, due_at=NOON + 3 * HOUR))
    outbox.postponed(outbox.claim(message(1).key, 60), NOON + HOUR, "no answer", whole_place=True)
    assert [one.event.seq for one in outbox.due(NOON, 10)] == [3]
    assert [one.event.seq for one in outbox.due(NOON + 2 * HOUR, 10)] == [3, 2, 1]
    due = outbox.due(NOON + 3 * HOUR, 10)
    assert [(one.event.seq, one.attempts) for one in due] == [(3, 0), (2, 0), (4, 0), (1, 1)]


def test_what_is_given_up_stands_in_the_chain_and_is_listed(ledger, outbox):
    put(outbox, message())
    assert outbox.given_up(outbox.claim(message().key, 60), "no such channel")
    (body,) = told(ledger, "not_told")
    assert (body["why"], "thread" in body) == ("no such channel", False)
    assert [one.state for one in outbox.undelivered()] == ["given_up"]
    assert outbox.due(NOON + HOUR, 10) == []


def test_what_was_given_up_is_sent_once_it_is_asked_for_again_and_may_be_given_up_again(ledger, outbox):
    put(outbox, message(), incidents=[incident()])
    for _ in range(2):
        assert outbox.given_up(outbox.claim(message().key, 60), "revoked")
        assert outbox.again() == 1
        assert outbox.again() == 0
    (waiting,) = outbox.due(NOON, 10)
    assert (waiting.key, waiting.attempts, waiting.tried_since) == (message().key, 0, None)
    assert outbox.sent(outbox.claim(message().key, 60), Receipt())
    assert [entry.key for entry in ledger.entries(kind="not_told")] == [
        f"not_told/{message().key}",
        f"not_told#2/{message().key}",
    ]
    assert ledger.verify().ok


def test_what_waits_is_listed_however_much_was_given_up_before(outbox, monkeypatch):
    monkeypatch.setattr("evergreen.ledger.outbox._MOST_LISTED", 3)
    put(outbox, *(message(number, due_at=NOON + number * HOUR) for number in range(1, 7)))
    for number in range(1, 5):
        outbox.given_up(outbox.claim(message(number).key, 60), "no such channel")
    assert [one.message.event.seq for one in outbox.undelivered()] == [4, 5, 6]


def test_whom_a_message_did_not_reach_stands_in_the_chain(ledger, outbox):
    put(outbox, message(1, MAIL))
    assert outbox.sent(outbox.claim(message(1, MAIL).key, 60), Receipt("<1@x>", "refused for bob"))
    (body,) = told(ledger)
    assert (body["thread"], body["note"]) == ("<1@x>", "refused for bob")
    assert outbox.undelivered() == []


def test_what_goes_on_with_an_incident_waits_for_its_opening_in_the_same_place(outbox):
    put(outbox, message(1), message(2, purpose="closing"), message(3, MAIL, purpose="closing"))
    assert [one.event.seq for one in outbox.due(NOON, 10)] == [1, 3]
    claim = outbox.claim(message(1).key, 60)
    assert [one.event.seq for one in outbox.due(NOON, 10)] == [3]
    outbox.sent(claim, Receipt("17.1"))
    assert [one.event.seq for one in outbox.due(NOON, 10)] == [2, 3]
    assert outbox.thread("failed/churn/1", LOG) == "17.1"
    assert outbox.thread("failed/churn/1", MAIL) is None
    assert outbox.heard("failed/churn/1", LOG)
    assert not outbox.heard("failed/churn/1", MAIL)


def test_what_goes_on_is_told_though_its_opening_was_given_up(outbox):
    put(outbox, message(1), message(2, purpose="closing"))
    outbox.given_up(outbox.claim(message(1).key, 60), "no answer")
    assert [one.event.seq for one in outbox.due(NOON, 10)] == [2]
    assert outbox.heard("failed/churn/1", LOG)


def test_an_escalation_is_not_needed_once_its_incident_is_closed_or_acknowledged(outbox):
    for changes in ({"closed_at": NOON}, {"acknowledged_at": NOON, "acknowledged_by": "alice"}):
        put(outbox, message(1, MAIL, purpose="escalation", due_at=NOON + HOUR), incidents=[incident()])
        put(outbox, incidents=[incident(**changes)])
        assert outbox.due(NOON + HOUR, 10) == []
        assert not outbox.heard("failed/churn/1", MAIL)


def test_what_is_dropped_waits_no_more_unless_somebody_is_sending_it(outbox):
    put(outbox, message(1), message(2))
    claim = outbox.claim(message(2).key, 60)
    outbox.dropped(message(1).key)
    outbox.dropped(message(2).key)
    assert outbox.due(NOON, 10) == []
    assert len(outbox.undelivered()) == 1
    assert outbox.sent(claim, Receipt())
    assert outbox.undelivered() == []


def test_a_digest_takes_the_place_of_its_members_and_its_thread_is_theirs(ledger, outbox):
    put(outbox, message(1), message(2, purpose="closing"), message(3, incident=False))
    digest = replace(message(9, purpose="digest", incident=False), gathers=(event(3, model="delay"),))
    members = [message(1).key, message(3, incident=False).key]
    assert outbox.gather(digest, members)
    assert outbox.gather(digest, members), "the same again, as after a lost answer"
    assert outbox.due(NOON, 10) == [digest], "the closing waits for the digest"
    assert outbox.sent(outbox.claim(digest.key, 60), Receipt("17.9"))
    assert outbox.thread("failed/churn/1", LOG) == "17.9"
    assert [one.event.seq for one in outbox.due(NOON, 10)] == [2]
    (entry,) = ledger.entries(kind="told")
    assert entry.model == "evergreen"
    assert entry.body["events"] == ["failed/churn/9", "failed/delay/3"]


def test_a_digest_of_what_waits_no_more_is_not_made(outbox):
    put(outbox, message(1), message(2))
    outbox.sent(outbox.claim(message(1).key, 60), Receipt())
    digest = message(9, purpose="digest", incident=False)
    assert not outbox.gather(digest, [message(1).key, message(2).key])
    assert outbox.due(NOON, 10) == [message(2)]


def test_what_somebody_began_to_send_is_not_gathered_for_it_may_have_arrived(outbox, clock):
    put(outbox, message(1), message(2))
    outbox.claim(message(1).key, 60)
    clock.now += timedelta(seconds=61)
    digest = message(9, purpose="digest", incident=False)
    assert not outbox.gather(digest, [message(1).key, message(2).key])
    assert outbox.due(NOON, 10) == [message(1, begun=True), message(2)]


def test_a_place_is_sent_no_more_than_its_allowance_those_under_way_counted(outbox, clock):
    put(outbox, *(message(n) for n in range(1, 4)), message(4, MAIL))
    allowance = Allowance(2, NOON - HOUR, BEGINNINGS)
    first = outbox.claim(message(1).key, 60, allowance)
    assert outbox.claim(message(2).key, 60, allowance) is not None
    assert outbox.claim(message(3).key, 60, allowance) is None
    assert outbox.claim(message(4, MAIL).key, 60, allowance) is not None
    outbox.sent(first, Receipt())
    assert outbox.sent_since(LOG, NOON, BEGINNINGS) == 1
    clock.now += timedelta(seconds=61)
    assert outbox.claim(message(3).key, 60, allowance) is not None, "one claim expired"
    later = Allowance(2, NOON + HOUR, BEGINNINGS)
    clock.now += 2 * HOUR
    assert outbox.claim(message(2).key, 60, later) is not None
    assert outbox.sent_since(LOG, NOON + HOUR, BEGINNINGS) == 0
