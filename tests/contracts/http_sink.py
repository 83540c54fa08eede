"""What sinks over HTTP have in common: the server they send to, floods, redirects, and event loops."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import replace

import pytest

from evergreen.connections import Connection
from evergreen.errors import BadConfiguration
from evergreen.outbox import Receipt, SinkRefused, SinkUnavailable
from tests.contracts.alert_sink import LONG, NOW, SHORT, AlertSinkContract
from tests.contracts.letters import letter
from tests.contracts.web_server import BAD, echo, response, web_server


class OverHttp(AlertSinkContract):
    """What sinks over HTTP have in common."""

    Sink: type
    yes = response("200 OK", b"ok")
    never = response("404 Not Found", b"no_service")

    @pytest.fixture(autouse=True)
    def _serve(self):
        with web_server() as self.server:
            self.server.answer(self.yes)
            yield

    def connection(self, port: int, secret: str | None) -> Connection:
        raise NotImplementedError

    def sink_against(self, how="works", secret=None, **fields):
        answers = {
            "works": self.yes,
            "says 500": echo("500 Internal Server Error"),
            "says never": self.never if secret is None else self.never_with_echo,
            "is not there": self.yes,
            **BAD,
        }
        self.server.answer(answers[how])
        port = 1 if how == "is not there" else self.server.port
        connection = replace(self.connection(port, secret), **fields)
        limits = SHORT if how in BAD else LONG
        return self.Sink(lambda _: connection, limits, lambda: NOW)

    never_with_echo = staticmethod(echo("404 Not Found"))

    @pytest.mark.parametrize(
        ("said", "seconds"),
        [("30", 30.0), ("Sun, 01 Nov 2026 06:15:00 GMT", 120.0), ("soon", None), ("9" * 30, 86400.0)],
    )
    def test_a_receiver_that_is_flooded_says_when_to_come_back(self, said, seconds):
        sink = self.sink_against()
        self.server.answer(response("429 Too Many Requests", b"ratelimited", Retry_After=said))
        with pytest.raises(SinkUnavailable) as raised:
            sink.send(letter(self.channel))
        assert raised.value.retry_after_seconds == seconds

    def test_a_redirect_is_not_followed(self):
        sink = self.sink_against()
        elsewhere = f"http://127.0.0.1:{self.server.port}/elsewhere"
        self.server.answer(response("302 Found", Location=elsewhere), self.yes)
        with pytest.raises((SinkRefused, SinkUnavailable)):
            sink.send(letter(self.channel))
        assert len(self.server.requests) == 1

    def test_what_compresses_well_is_not_asked_for(self):
        self.sink_against().send(letter(self.channel))
        assert self.server.requests[0].headers["accept-encoding"] == "identity"

    def test_it_works_where_an_event_loop_runs(self):
        async def send():
            return self.sink_against().send(letter(self.channel))

        assert isinstance(asyncio.run(send()), Receipt)

    def test_a_library_that_is_missing_is_named_with_the_extra_that_brings_it(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "httpx", None)
        connection = self.connection(1, None)
        with pytest.raises(BadConfiguration, match=r"httpx is not installed.*\[alerts\]"):
            self.Sink(lambda _: connection).send(letter(self.channel))
