"""Which channels hear of an event, as what, and when."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from evergreen.alert_spec import Channel, EmailChannel, LogChannel, QuietHours, SlackChannel
from evergreen.alerts.channels import canonical, channel_of, receiver
from evergreen.alerts.event import Event
from evergreen.alerts.incidents import Telling, follow
from evergreen.alerts.routing import route
from evergreen.durations import Duration

NIGHT = datetime(2026, 3, 4, 23, tzinfo=UTC)
MORNING = datetime(2026, 3, 5, 7, tzinfo=UTC)
SLEEP = QuietHours(begin="22:00", end="07:00")
LOG = LogChannel(type="log")


def slack(**parts) -> SlackChannel:
    return SlackChannel(type="slack", connection="slack_ml", **parts)


def mail(**parts) -> EmailChannel:
    return EmailChannel(type="email", to=["team@example.com"], **parts)


def event(name="failed", **parts) -> Event:
    said = {"model": "churn", "at": NIGHT, "severity": "medium", "headline": "It happened."}
    return Event(f"{name}/churn/1", name, **(said | parts))


def opening(**parts) -> Telling:
    return follow(event(cause="retrain", signature="a", **parts), {}).tellings[0]


def sent(messages) -> list[tuple[str, str]]:
    return [(one.purpose, channel_of(one.channel).type) for one in messages]


def heard(telling: Telling, *channels: Channel) -> Telling:
    """Return the telling with its incident as it is once these channels heard of it."""
    _, incident = route(telling, channels, NIGHT)
    return replace(telling, incident=incident)


def test_every_channel_that_asked_for_the_event_gets_it_with_a_key_of_its_own():
    messages, incident = route(opening(), [slack(), mail(), LOG], NIGHT)
    assert sent(messages) == [("opening", "slack"), ("opening", "email"), ("opening", "log")]
    assert len({one.key for one in messages}) == 3
    assert incident.told == tuple(one.channel for one in messages)


def test_a_channel_that_did_not_ask_or_wants_more_severe_things_gets_nothing():
    channels = [slack(events=["promoted"]), mail(at_least="high")]
    messages, incident = route(opening(), channels, NIGHT)
    assert (messages, incident.told) == ([], ())
    assert sent(route(opening(severity="high"), channels, NIGHT)[0]) == [("opening", "email")]


def test_two_channels_that_end_in_one_place_hear_of_it_once():
    messages, _ = route(opening(), [slack(), slack(at_least="medium", data_values=True)], NIGHT)
    assert len(messages) == 1
    assert channel_of(messages[0].channel).data_values is False, "the first of them counts"


def test_an_event_without_a_cause_stands_alone():
    messages, incident = route(Telling("single", event("promoted")), [slack()], NIGHT)
    assert sent(messages) == [("single", "slack")]
    assert (messages[0].incident, incident) == (None, None)


def test_an_update_goes_where_the_opening_went_whatever_it_is_called():
    first = heard(opening(), slack(events=["failed"]))
    update = Telling("update", event("data_rejected", cause="retrain"), first.incident)
    assert sent(route(update, [], NIGHT)[0]) == [("update", "slack")]


def test_who_hears_of_an_incident_late_is_told_of_its_opening_then():
    first = heard(opening(), slack())
    update = Telling("update", event("data_rejected", cause="retrain"), first.incident)
    messages, incident = route(update, [slack(), mail()], NIGHT)
    assert sent(messages) == [("update", "slack"), ("opening", "email")]
    assert len(incident.told) == 2


def test_an_update_that_is_less_severe_than_a_channel_wants_is_left_out_there():
    first = heard(opening(severity="high"), slack(at_least="high"), mail())
    update = Telling("update", event("data_rejected", cause="retrain"), first.incident)
    assert sent(route(update, [], NIGHT)[0]) == [("update", "email")]


def test_the_end_goes_to_all_who_heard_as_severe_as_the_incident_was():
    first = heard(opening(severity="high"), slack(at_least="high", events=["failed"]), mail())
    end = Telling("closing", event("recovered", severity="low"), first.incident)
    assert sent(route(end, [LOG], NIGHT)[0]) == [("closing", "slack"), ("closing", "email")]


def test_a_place_that_is_left_out_hears_nothing():
    messages, _ = route(opening(), [slack(), mail()], NIGHT, without=(receiver(slack()),))
    assert sent(messages) == [("opening", "email")]


def test_only_low_events_wait_for_the_end_of_the_quiet_hours():
    for severity, due in [("low", MORNING), ("medium", NIGHT), ("high", NIGHT)]:
        messages, _ = route(opening(severity=severity), [slack(quiet_hours=SLEEP)], NIGHT)
        assert [one.due_at for one in messages] == [due]


def test_an_escalation_is_due_once_the_incident_was_open_for_so_long_and_once_only():
    late = mail(unacknowledged_for=Duration(2, "hours"))
    messages, incident = route(opening(), [slack(), late], NIGHT)
    assert sent(messages) == [("opening", "slack"), ("escalation", "email")]
    assert messages[1].due_at == NIGHT + timedelta(hours=2)
    update = Telling("update", event("data_rejected", cause="retrain"), incident)
    assert sent(route(update, [slack(), late], NIGHT)[0]) == [("update", "slack")]
    end = Telling("closing", event("recovered"), incident)
    assert sent(route(end, [], NIGHT)[0]) == [("closing", "slack"), ("closing", "email")]


def test_an_incident_that_grows_severe_later_calls_whom_it_then_concerns_at_once_if_it_is_old():
    late = mail(unacknowledged_for=Duration(2, "hours"), at_least="high")
    first = heard(opening(), slack(), late)
    much_later = NIGHT + timedelta(hours=5)
    update = Telling("update", event("failed", cause="retrain", severity="high"), first.incident)
    messages, _ = route(update, [slack(), late], much_later)
    assert [(one.purpose, one.due_at) for one in messages] == [
        ("update", much_later),
        ("escalation", much_later),
    ]


def test_a_reminder_in_the_same_place_is_a_message_of_its_own_and_ends_once():
    remind = slack(unacknowledged_for=Duration(1, "hours"))
    messages, incident = route(opening(), [slack(), remind], NIGHT)
    assert sent(messages) == [("opening", "slack"), ("escalation", "slack")]
    assert len({one.key for one in messages}) == 2
    end = Telling("closing", event("recovered"), incident)
    assert sent(route(end, [], NIGHT)[0]) == [("closing", "slack")]


def test_an_event_that_stands_alone_calls_nobody_later():
    late = mail(unacknowledged_for=Duration(2, "hours"))
    assert route(Telling("single", event("promoted")), [late], NIGHT)[0] == []


@pytest.mark.parametrize("length", [300, 1900])
def test_keys_are_bounded_and_still_distinct(length):
    long = [replace(opening(), event=event(cause="c")) for _ in range(2)]
    events = [replace(one.event, key="x" * length + str(n)) for n, one in enumerate(long)]
    keys = {route(Telling("single", one), [LOG], NIGHT)[0][0].key for one in events}
    assert len(keys) == 2
    assert max(map(len, keys)) < 450


def test_a_kept_channel_is_text_that_reads_back():
    (message,), _ = route(opening(), [slack(quiet_hours=SLEEP, channel="#ml")], NIGHT)
    assert canonical(channel_of(message.channel)) == message.channel
