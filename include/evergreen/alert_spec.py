"""Whom Evergreen tells what: the section `alerts` of a model file, and the fleet's own file."""

from __future__ import annotations

import re
from datetime import time
from typing import Annotated, Literal, get_args
from zoneinfo import ZoneInfo, available_timezones

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, WithJsonSchema

from evergreen.durations import DurationField
from evergreen.names import did_you_mean
from evergreen.section import Section
from evergreen.source_spec import ConnectionId

EventName = Literal[
    "failed",
    "data_rejected",
    "alarm",
    "held",
    "retrain_started",
    "kept",
    "inconclusive",
    "promoted",
    "rolled_back",
    "by_hand",
    "reconciled",
    "stuck",
    "approval_needed",
    "approval_answered",
    "approval_timed_out",
    "stale",
    "invalid_file",
    "not_told",
    "checkpoint",
    "unwitnessed",
    "recovered",
    "message",
]
"""What a message can be about. `message` is what somebody else's DAG sends. `checkpoint` and
`unwitnessed` are of no model: the fleet's file says who hears of them.
"""
Severity = Literal["low", "medium", "high"]
SEVERITIES: tuple[Severity, ...] = get_args(Severity)

WORTH_TELLING: tuple[EventName, ...] = (
    "failed",
    "data_rejected",
    "alarm",
    "held",
    "promoted",
    "rolled_back",
    "reconciled",
    "stuck",
    "approval_needed",
    "approval_timed_out",
    "stale",
    "invalid_file",
    "not_told",
    "unwitnessed",
    "recovered",
    "message",
)
"""The events of a channel that names none."""

_CLOCK = re.compile(r"(?:[01]\d|2[0-3]):[0-5]\d")
_ADDRESS = re.compile(r"[^\s@<>()\[\]\\,;:\"]{1,64}@[^\s@<>()\[\]\\,;:\"]{1,253}")


def _clock(value: object) -> time:
    if isinstance(value, time):
        return value
    if not isinstance(value, str) or not _CLOCK.fullmatch(value):
        raise ValueError('not a time of day; write it as "22:00"')
    return time.fromisoformat(value)


def _zone(name: str) -> str:
    if name not in available_timezones():
        hint = did_you_mean(name, available_timezones())
        raise ValueError(f"not a time zone{f'; {hint}' if hint else ', such as Europe/Vienna'}")
    return name


def _address(value: str) -> str:
    if not _ADDRESS.fullmatch(value):
        raise ValueError("not an e-mail address; write it as team@example.com")
    return value


Clock = Annotated[
    time,
    BeforeValidator(_clock),
    PlainSerializer(lambda clock: f"{clock:%H:%M}", when_used="json"),
    WithJsonSchema({"type": "string", "pattern": _CLOCK.pattern}),
]
Address = Annotated[str, AfterValidator(_address), Field(max_length=320)]


class QuietHours(Section):
    """Hours in which messages of low severity wait; the rest comes at once."""

    begin: Clock = Field(description="When they begin.", examples=["22:00"])
    end: Clock = Field(
        description="When they end; on the next day where that is earlier.", examples=["07:00"]
    )
    timezone: Annotated[str, AfterValidator(_zone)] = Field(
        "UTC", description="Time zone of both.", examples=["Europe/Vienna"]
    )

    @property
    def zone(self) -> ZoneInfo:
        """The time zone."""
        return ZoneInfo(self.timezone)


class _Channel(Section):
    """What every channel has."""

    events: list[EventName] = Field(
        default=list(WORTH_TELLING),
        min_length=1,
        description="What is told here.",
        examples=[["failed", "alarm", "promoted", "rolled_back"]],
    )
    at_least: Severity = Field(
        "low", description="The least severity that is told here.", examples=["medium"]
    )
    quiet_hours: QuietHours | None = Field(
        None,
        description="Hours in which messages of low severity wait; null: none.",
        examples=[{"begin": "22:00", "end": "07:00", "timezone": "Europe/Vienna"}],
    )
    unacknowledged_for: DurationField | None = Field(
        None,
        description="Escalation: this channel hears of an incident only once it has been open for so "
        "long and nobody has acknowledged it; null: at once.",
        examples=["2 hours"],
    )
    data_values: bool = Field(
        False,
        description="Whether messages may quote values found in the data, such as an unseen category.",
        examples=[False],
    )


class SlackChannel(_Channel):
    """Slack, by incoming webhook (connection type slackwebhook) or bot token (slack), which threads."""

    type: Literal["slack"] = Field(description="This kind of channel.", examples=["slack"])
    connection: ConnectionId = Field(
        description="Airflow connection id of type slackwebhook or slack.", examples=["slack_ml"]
    )
    channel: Annotated[str, Field(pattern=r"^[#@]?[A-Za-z0-9._-]{1,80}$")] | None = Field(
        None,
        description="Where a bot posts; a webhook posts where it was made for.",
        examples=["#ml-alerts"],
    )


class EmailChannel(_Channel):
    """E-mail, by a connection of type smtp."""

    type: Literal["email"] = Field(description="This kind of channel.", examples=["email"])
    connection: ConnectionId = Field(
        "smtp_default", description="Airflow connection id of type smtp.", examples=["smtp_default"]
    )
    to: list[Address] = Field(
        min_length=1,
        max_length=50,
        description="Who gets it.",
        examples=[["ops-analytics@example.com"]],
    )


class WebhookChannel(_Channel):
    """JSON by HTTP POST, signed after the Standard Webhooks specification."""

    type: Literal["webhook"] = Field(description="This kind of channel.", examples=["webhook"])
    connection: ConnectionId = Field(
        description="Airflow connection id of type http: host, schema, port, the path in the extra "
        "`path`, and the signing secret as its password.",
        examples=["incident_hook"],
    )
    private_network: bool = Field(
        False,
        description="Whether the address may lie in a private network (10.0.0.0/8, localhost, …).",
        examples=[True],
    )


class LogChannel(_Channel):
    """The log of the process that delivers, for installations without any other channel."""

    type: Literal["log"] = Field(description="This kind of channel.", examples=["log"])


Channel = Annotated[
    SlackChannel | EmailChannel | WebhookChannel | LogChannel, Field(discriminator="type")
]


class FleetAlerts(Section):
    """The fleet's own file (`EVERGREEN_ALERTS`): for every model whose file has no `alerts`."""

    alerts: list[Channel] = Field(
        description="Who is told of models without `alerts`, and of model files that cannot be read.",
        examples=[[{"type": "slack", "connection": "slack_ml"}]],
    )
