"""The table of adapters names the sink of each kind of channel."""

from __future__ import annotations

from evergreen.adapters.log_sink import LogSink
from evergreen.adapters.slack_sink import SlackSink
from evergreen.adapters.smtp_sink import SmtpSink
from evergreen.adapters.webhook_sink import WebhookSink
from evergreen.wiring import ADAPTERS


def test_each_kind_of_channel_has_a_sink():
    sinks = {"slack": SlackSink, "smtp": SmtpSink, "webhook": WebhookSink, "log": LogSink}
    for name, sink in sinks.items():
        assert ADAPTERS[f"{name} sink"] == f"{sink.__module__}:{sink.__qualname__}"
