"""Letters as the dispatcher hands them to sinks."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from evergreen.alert_spec import Channel, EmailChannel, LogChannel, SlackChannel, WebhookChannel
from evergreen.alerts.channels import canonical
from evergreen.alerts.event import Event
from evergreen.outbox import Incident, Letter, Message

AT = datetime(2026, 11, 1, 6, 12, 30, tzinfo=UTC)
RUN = "flight_delay/scheduled__2026-11-01T06:00:00+00:00"
URL = "https://airflow.example.com/dags/flight_delay__retrain/runs/scheduled__2026-11-01"

FAILED = Event(
    key=f"failed/{RUN}",
    name="failed",
    model="flight_delay",
    at=AT,
    severity="high",
    headline="flight_delay: the retrain failed at train.",
    lines=(
        "The fit failed: 3 of 14 features are all null (after 4 tries).",
        "Version 7 still serves; nothing was released.",
    ),
    values=("carrier: 'ZZ' was never seen before",),
    cause="retrain",
    run_key=RUN,
    as_of=datetime(2026, 11, 1, 6, tzinfo=UTC),
    owner="ops-analytics@example.com",
    command=f"evergreen explain {RUN}",
)
INCIDENT = Incident(
    key=FAILED.key,
    model="flight_delay",
    cause="retrain",
    severity="high",
    headline=FAILED.headline,
    opened_at=AT,
    last_at=AT,
    signature="",
)
AGAIN = replace(
    FAILED,
    key="failed/2",
    at=AT + timedelta(hours=2, minutes=5),
    headline="flight_delay: the retrain failed at validate.",
    lines=("The warehouse did not answer.", "Version 7 still serves; nothing was released."),
    values=(),
    command="evergreen run flight_delay",
)
RECOVERED = Event(
    key=f"recovered/{FAILED.key}",
    name="recovered",
    model="flight_delay",
    at=AT + timedelta(hours=3, minutes=12),
    severity="high",
    headline=f"Over after 3 hours 12 minutes and 4 events: {FAILED.headline}",
    lines=(
        "It began at 2026-11-01 06:12 UTC.",
        "What ended it: flight_delay: version 8 is the champion in place of version 7.",
    ),
    owner=FAILED.owner,
    run_key=RUN,
)
APPROVAL = Event(
    key=f"approval_needed/{RUN}",
    name="approval_needed",
    model="credit_risk",
    at=AT,
    severity="medium",
    headline="credit_risk: version 8 waits for a person's approval in place of version 7.",
    lines=(
        "Log loss is better by 0.0041 (95% interval 0.0012 to 0.0070) on 41,212 rows.",
        "Who may answer: alice, bob; not who started the run.",
        "Until 2026-11-04 06:12 UTC; without an answer, the champion is kept.",
    ),
    cause=f"approval/{RUN}",
    run_key=RUN,
    as_of=datetime(2026, 11, 1, 6, tzinfo=UTC),
    owner="risk-models@example.com",
    triggered_by="carol",
    command=f"evergreen approve {RUN}",
)

CHANNELS: dict[str, Channel] = {
    "slack": SlackChannel(type="slack", connection="team_chat", channel="#ml-alerts"),
    "email": EmailChannel(type="email", to=["ops@example.com", "bob@example.com"]),
    "webhook": WebhookChannel(type="webhook", connection="incident_hook", private_network=True),
    "log": LogChannel(type="log"),
}


def letter(
    channel: Channel,
    event: Event = FAILED,
    purpose: str = "opening",
    incident: Incident | None = INCIDENT,
    thread: str | None = None,
    **changes,
) -> Letter:
    message = Message(
        key=f"{event.key}@9f86d081884c",
        channel=canonical(channel),
        purpose=purpose,
        event=event,
        incident=incident.key if incident else None,
        due_at=AT,
    )
    return Letter(replace(message, **changes), incident, thread, URL)


def letters(channel: Channel, thread: str | None = None) -> dict[str, Letter]:
    """Return a letter of each purpose, and of an approval."""
    later = replace(INCIDENT, events=3, last_at=AGAIN.at)
    over = replace(INCIDENT, events=4, closed_at=RECOVERED.at)
    asked = replace(INCIDENT, key=APPROVAL.key, model="credit_risk", headline=APPROVAL.headline)
    storm = [
        replace(FAILED, key=f"failed/{number}", model=f"model_{number:02}", owner=f"team{number % 3}")
        for number in range(52)
    ]
    storm = [replace(one, headline=f"{one.model}: the retrain failed at train.") for one in storm]
    storm[7] = replace(storm[7], name="stale", headline="model_07: no fresh model for 45 days.")
    return {
        "opening": letter(channel),
        "update": letter(channel, AGAIN, "update", later, thread),
        "closing": letter(channel, RECOVERED, "closing", over, thread),
        "single": letter(channel, replace(FAILED, cause=None), "single", None),
        "escalation": letter(channel, FAILED, "escalation", due_at=AT + timedelta(hours=2)),
        "approval": letter(channel, APPROVAL, "opening", asked),
        "digest": letter(
            channel, storm[0], "digest", None, gathers=tuple(storm[1:]), key="digest/0123456789abcdef"
        ),
    }
