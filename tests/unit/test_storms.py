"""Many messages at once: a few by themselves, the rest in one digest, none lost."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from evergreen.alert_spec import EmailChannel, LogChannel, SlackChannel
from evergreen.alerts.channels import canonical, channel_of
from evergreen.alerts.event import Event
from evergreen.alerts.storms import BEGINNINGS, FOLLOW_UPS, HOLD, MOST_AT_ONCE, allowance, sort_out
from evergreen.outbox import Message

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)
SLACK = SlackChannel(type="slack", connection="slack_ml")
MAIL = EmailChannel(type="email", to=["team@example.com"])


def message(number, channel=SLACK, purpose="opening", due_at=NOON, incident=True) -> Message:
    event = Event(f"failed/m{number}/1", "failed", f"m{number}", NOON, "medium", "It failed.")
    key = f"{event.key}@{channel.type}"
    return Message(key, canonical(channel), purpose, event, event.key if incident else None, due_at)


def none_sent(_channel, _allowance):
    return 0


def test_a_few_are_sent_as_they_are():
    waiting = [message(n) for n in range(MOST_AT_ONCE)]
    found = sort_out(waiting, none_sent, NOON)
    assert (found.send, found.digests, found.held) == (tuple(waiting), (), ())


def test_of_a_storm_the_first_are_sent_and_the_rest_held_then_gathered():
    waiting = [message(n) for n in range(200)]
    found = sort_out(waiting, none_sent, NOON)
    assert len(found.send) == MOST_AT_ONCE
    assert (found.digests, len(found.held)) == ((), 195)
    rest = list(found.held)
    later = sort_out(rest, lambda *_: MOST_AT_ONCE, NOON + HOLD)
    ((digest, members),) = later.digests
    assert members == tuple(one.key for one in rest)
    assert [digest.event, *digest.gathers] == [one.event for one in rest]
    assert (digest.purpose, digest.incident, digest.channel) == ("digest", None, rest[0].channel)
    assert (later.send, later.late, later.held) == ((), (), ())


def test_one_that_is_held_alone_is_sent_as_it_is():
    (one,) = waiting = [message(1)]
    assert sort_out(waiting, lambda *_: MOST_AT_ONCE, NOON).held == (one,)
    found = sort_out(waiting, lambda *_: MOST_AT_ONCE, NOON + HOLD)
    assert (found.late, found.digests) == ((one,), ())


def test_what_somebody_began_to_send_is_sent_as_it_is_for_it_may_have_arrived():
    begun = replace(message(0), begun=True)
    waiting = [begun, *(message(n) for n in range(1, 9))]
    found = sort_out(waiting, lambda *_: MOST_AT_ONCE, NOON + HOLD)
    assert found.late == (begun,)
    assert begun.key not in found.digests[0][1]


def test_what_was_sent_before_counts():
    found = sort_out([message(n) for n in range(4)], lambda *_: 3, NOON)
    assert (len(found.send), len(found.held)) == (2, 2)


def test_each_place_has_its_own_storm():
    waiting = [message(n) for n in range(9)] + [message(n, MAIL) for n in range(3)]
    found = sort_out(waiting, none_sent, NOON)
    assert sum(channel_of(one.channel).type == "email" for one in found.send) == 3
    assert len(found.held) == 4


def test_openings_and_what_follows_are_counted_apart_and_digests_not_at_all():
    assert allowance(message(1), NOON).purposes == BEGINNINGS
    assert allowance(message(1, purpose="closing"), NOON).purposes == FOLLOW_UPS
    assert allowance(message(1, purpose="digest"), NOON) is None
    waiting = [message(n) for n in range(5)] + [message(n, purpose="closing") for n in range(5)]
    assert len(sort_out(waiting, none_sent, NOON).send) == 10


def test_a_digest_of_one_incident_stays_in_it():
    waiting = [message(1, purpose="update") for _ in range(3)]
    later = sort_out(waiting, lambda *_: MOST_AT_ONCE, NOON + HOLD)
    assert later.digests[0][0].incident == "failed/m1/1"


def test_a_digest_quotes_data_only_where_every_member_may():
    free = SlackChannel(type="slack", connection="slack_ml", data_values=True)
    later = sort_out([message(1, free), message(2)], lambda *_: MOST_AT_ONCE, NOON + HOLD)
    assert channel_of(later.digests[0][0].channel).data_values is False
    later = sort_out([message(1, free), message(2, free)], lambda *_: MOST_AT_ONCE, NOON + HOLD)
    assert channel_of(later.digests[0][0].channel).data_values is True


WAITING = st.lists(
    st.tuples(
        st.sampled_from([SLACK, MAIL, LogChannel(type="log")]),
        st.sampled_from(["opening", "single", "escalation", "update", "closing", "digest"]),
        st.integers(0, 120),
    ),
    max_size=60,
)


@given(WAITING, st.integers(0, 7))
def test_every_message_is_sent_held_or_in_one_digest(given_waiting, before):
    waiting = [
        message(n, channel, purpose, NOON - timedelta(seconds=age))
        for n, (channel, purpose, age) in enumerate(given_waiting)
    ]
    found = sort_out(waiting, lambda *_: before, NOON)
    gathered = [key for _, members in found.digests for key in members]
    keys = [one.key for one in (*found.send, *found.late, *found.held)] + gathered
    assert sorted(keys) == sorted(one.key for one in waiting)
    told = [event for digest, _ in found.digests for event in (digest.event, *digest.gathers)]
    assert len(told) == len(gathered)
    assert all(len(members) > 1 for _, members in found.digests)
