"""Which events belong together, and what is told of them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from evergreen.alerts.event import Acknowledgement, Event
from evergreen.alerts.incidents import acknowledged, follow
from evergreen.outbox import Incident

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)


def event(key="failed/churn/1", **parts) -> Event:
    said = {
        "name": "failed",
        "model": "churn",
        "at": NOON,
        "severity": "medium",
        "headline": "It failed.",
    }
    return Event(key, **(said | parts))


def opened(**parts) -> dict[tuple[str, str], Incident]:
    (incident,) = follow(event(cause="retrain", signature="a", **parts), {}).incidents
    return {(incident.model, incident.cause): incident}


def told(followed):
    return [(one.purpose, one.event.name) for one in followed.tellings]


def test_the_first_event_of_a_cause_opens_an_incident_of_its_key():
    followed = follow(event(cause="retrain", signature="a"), {})
    (incident,) = followed.incidents
    assert (incident.key, incident.cause, incident.events) == ("failed/churn/1", "retrain", 1)
    assert told(followed) == [("opening", "failed")]
    assert followed.tellings[0].incident == incident


def test_an_event_that_brings_nothing_new_is_only_counted():
    followed = follow(event("failed/churn/2", cause="retrain", signature="a"), opened())
    assert told(followed) == []
    assert [one.events for one in followed.incidents] == [2]


def test_an_event_that_brings_something_new_is_told_as_an_update_and_raises_the_severity():
    followed = follow(event("failed/churn/2", cause="retrain", signature="b", severity="high"), opened())
    assert told(followed) == [("update", "failed")]
    (incident,) = followed.incidents
    assert (incident.key, incident.signature, incident.severity) == ("failed/churn/1", "b", "high")
    again = follow(
        event("failed/churn/3", cause="retrain", signature="a"),
        {("churn", "retrain"): incident},
    )
    assert told(again) == [("update", "failed")], "what was told last was b"


def test_an_incident_of_another_model_or_cause_is_another_one():
    assert told(follow(event(model="other", cause="retrain", signature="a"), opened())) == [
        ("opening", "failed")
    ]
    assert told(follow(event(cause="watch", signature="a"), opened())) == [("opening", "failed")]


def test_an_event_that_ends_an_incident_is_told_and_so_is_the_end():
    better = event(
        "promoted/churn/2",
        name="promoted",
        severity="low",
        closes=("retrain", "watch"),
        at=NOON + timedelta(hours=26),
        headline="churn: promoted version 2",
    )
    followed = follow(better, opened())
    assert told(followed) == [("closing", "recovered"), ("single", "promoted")]
    end = followed.tellings[0].event
    assert end.key == "recovered/failed/churn/1"
    assert end.headline == "Over after 1 day 2 hours and 1 event: It failed."
    assert end.lines[-1] == "What ended it: churn: promoted version 2"
    assert followed.incidents[0].closed_at == better.at


def test_what_is_not_open_is_not_closed_and_nothing_is_told_of_it():
    quiet = event("verdict/churn/1", name="recovered", closes=("watch",))
    assert follow(quiet, opened()) == follow(quiet, {})
    assert told(follow(quiet, opened())) == []


def test_an_answer_to_an_approval_is_its_own_end():
    waits = event("approval_needed/churn/1", name="approval_needed", cause="approval/churn/1")
    (incident,) = follow(waits, {}).incidents
    answer = event("approval_answered/churn/1", name="approval_answered", closes=("approval/churn/1",))
    followed = follow(answer, {("churn", "approval/churn/1"): incident})
    assert told(followed) == [("closing", "approval_answered"), ("single", "approval_answered")]
    assert {one.event.key for one in followed.tellings} == {answer.key}


def test_an_event_may_end_the_incident_of_its_own_cause_and_begin_another():
    followed = follow(event("failed/churn/2", cause="retrain", closes=("retrain",)), opened())
    assert told(followed) == [("closing", "recovered"), ("opening", "failed")]
    assert [one.closed_at is None for one in followed.incidents] == [False, True]


def test_an_acknowledgement_is_noted_once_and_only_of_the_open_incident():
    open_incidents = opened()
    word = Acknowledgement("failed/churn/1", "retrain", "alice", "on it")
    (incident,) = acknowledged(word, "churn", NOON, open_incidents).incidents
    assert (incident.acknowledged_by, incident.acknowledged_at) == ("alice", NOON)
    again = acknowledged(replace(word, who="bob"), "churn", NOON, {("churn", "retrain"): incident})
    assert again.incidents == ()
    assert acknowledged(replace(word, incident="older"), "churn", NOON, open_incidents).incidents == ()
    assert acknowledged(word, "churn", NOON, {}).incidents == ()


CAUSES = ("retrain", "watch", "stale")
EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["churn", "delay"]),
        st.one_of(st.none(), st.sampled_from(CAUSES)),
        st.sets(st.sampled_from(CAUSES)),
        st.sampled_from("ab"),
        st.booleans(),
    ),
    max_size=30,
)


@given(EVENTS)
def test_whatever_the_order_one_incident_of_a_cause_is_open_and_every_end_is_told_once(given_events):
    open_incidents: dict[tuple[str, str], Incident] = {}
    known: dict[str, Incident] = {}
    openings, ends, counted = [], [], 0
    for number, (model, cause, closes, signature, quiet) in enumerate(given_events):
        one = event(
            f"failed/{model}/{number}",
            model=model,
            cause=cause,
            closes=tuple(sorted(closes)),
            signature=signature,
            name="recovered" if quiet and cause is None else "failed",
        )
        followed = follow(one, open_incidents)
        counted += cause is not None
        for incident in followed.incidents:
            known[incident.key] = incident
        open_incidents = {(i.model, i.cause): i for i in known.values() if i.closed_at is None}
        still = [i for i in known.values() if i.closed_at is None]
        assert len(still) == len(open_incidents), "two open incidents of one model and cause"
        openings += [t.incident.key for t in followed.tellings if t.purpose == "opening"]
        ends += [t.incident.key for t in followed.tellings if t.purpose == "closing"]
    assert sorted(openings) == sorted(known)
    assert sorted(ends) == sorted(key for key, one in known.items() if one.closed_at)
    assert sum(one.events for one in known.values()) == counted


def test_what_a_backfill_finds_out_about_earlier_data_changes_nothing():
    march, april = (datetime(2026, month, 1, tzinfo=UTC) for month in (3, 4))
    standing = opened(as_of=april)
    quiet = event("verdict/churn/1", name="recovered", closes=("retrain",), as_of=march)
    assert follow(quiet, standing).incidents == ()
    again = follow(event("failed/churn/2", cause="retrain", signature="b", as_of=march), standing)
    assert told(again) == []
    assert [(one.events, one.signature, one.as_of) for one in again.incidents] == [(2, "a", april)]
    assert told(follow(replace(quiet, as_of=april), standing)) == [("closing", "recovered")]
    assert told(follow(replace(quiet, as_of=None), standing)) == [("closing", "recovered")]


def test_a_repeated_event_of_later_data_moves_the_incident_on():
    march, april, may = (datetime(2026, month, 1, tzinfo=UTC) for month in (3, 4, 5))
    again = event("failed/churn/2", cause="retrain", signature="a", as_of=may)
    (incident,) = follow(again, opened(as_of=march)).incidents
    quiet = event("verdict/churn/1", name="recovered", closes=("retrain",), as_of=april)
    assert follow(quiet, {("churn", "retrain"): incident}).incidents == ()
