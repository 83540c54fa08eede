"""Slack keeps the contract of a sink, by an incoming webhook and as a bot; then what only it has."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from evergreen.adapters.slack_sink import SlackSink
from evergreen.connections import Connection
from evergreen.errors import BadConfiguration
from evergreen.outbox import Receipt, SinkRefused, SinkUnavailable
from tests.contracts.http_sink import OverHttp
from tests.contracts.letters import AGAIN, CHANNELS, INCIDENT, letter
from tests.contracts.web_server import huge, response


class TestSlackWebhook(OverHttp):
    Sink = SlackSink
    channel = CHANNELS["slack"].model_copy(update={"channel": None})

    def connection(self, port, secret):
        return Connection(
            "team_chat",
            "slackwebhook",
            host="127.0.0.1",
            port=port,
            schema="http",
            login=secret,
            password=f"T000/B000/{secret}" if secret else "T000/B000/XXXXXXXX",
            extra={"note": {"token": secret}} if secret else {},
        )

    def received(self):
        return [json.dumps(request.json, ensure_ascii=False) for request in self.server.requests]

    # Slack gives a webhook no place for a key
    test_a_second_try_carries_the_same_key_and_another_message_another = None

    def test_the_request_goes_to_the_host_and_the_token(self):
        self.sink_against().send(letter(self.channel))
        assert self.server.requests[0].line == "POST /T000/B000/XXXXXXXX HTTP/1.1"

    def test_a_password_that_is_the_whole_url_is_taken_as_airflow_takes_it(self):
        url = f"http://127.0.0.1:{self.server.port}/services/T1/B1/YYYYYYYY"
        self.sink_against(password=url, host="hooks.slack.com").send(letter(self.channel))
        assert self.server.requests[0].path == "/services/T1/B1/YYYYYYYY"

    def test_what_follows_an_opening_says_so_as_a_webhook_has_no_threads(self):
        sink = self.sink_against()
        incident = replace(INCIDENT, events=2)
        sink.send(letter(self.channel, AGAIN, "update", incident))
        assert self.server.requests[0].json["text"].startswith("Re: flight_delay: the retrain failed")

    def test_a_page_of_a_proxy_is_no_yes(self):
        sink = self.sink_against()
        self.server.answer(response("200 OK", b"<!doctype html><title>Log in</title>"))
        with pytest.raises(SinkUnavailable, match="proxy"):
            sink.send(letter(self.channel))

    def test_an_answer_of_a_gigabyte_is_read_in_part(self):
        sink = self.sink_against()
        self.server.answer(huge)
        assert sink.send(letter(self.channel)) == Receipt()

    @pytest.mark.parametrize("status", ["403 Forbidden", "404 Not Found", "410 Gone"])
    def test_a_webhook_that_is_gone_must_be_made_anew(self, status):
        sink = self.sink_against()
        self.server.answer(response(status, b"no_service"))
        with pytest.raises(SinkRefused, match=r"no_service.*new incoming webhook"):
            sink.send(letter(self.channel))

    def test_a_connection_without_a_token_is_named(self):
        with pytest.raises(BadConfiguration, match="'team_chat': the connection holds no webhook token"):
            self.sink_against(password=None).send(letter(self.channel))

    def test_a_connection_to_something_else_is_named(self):
        with pytest.raises(BadConfiguration, match="got mysql; allowed: slackwebhook, slack"):
            self.sink_against(conn_type="mysql").send(letter(self.channel))


class TestSlackBot(OverHttp):
    Sink = SlackSink
    channel = CHANNELS["slack"]
    yes = response("200 OK", b'{"ok": true, "channel": "C1", "ts": "1503435956.000247"}')
    never = response("200 OK", b'{"ok": false, "error": "channel_not_found"}')

    @staticmethod
    def never_with_echo(line, request, over):
        said = {"ok": False, "error": "invalid_auth", "headers": str(request.headers)}
        line.sendall(response("200 OK", json.dumps(said).encode()))

    def connection(self, port, secret):
        return Connection(
            "team_chat",
            "slack",
            host=secret,
            login=secret,
            schema=secret,
            password=f"xoxb-{secret or 'token'}",
            extra={"base_url": f"http://127.0.0.1:{port}/api", "secret": secret or ""},
        )

    def received(self):
        return [json.dumps(request.json, ensure_ascii=False) for request in self.server.requests]

    def keys(self):
        told = [request.json["metadata"] for request in self.server.requests]
        assert {one["event_type"] for one in told} == {"evergreen_message"}
        return [one["event_payload"]["key"] for one in told]

    def test_a_bot_posts_to_the_channel_with_its_token(self):
        self.sink_against().send(letter(self.channel))
        (request,) = self.server.requests
        assert request.path == "/api/chat.postMessage"
        assert request.headers["authorization"] == "Bearer xoxb-token"
        assert request.json["channel"] == "#ml-alerts"

    def test_what_follows_goes_into_the_thread_of_the_opening(self):
        sink = self.sink_against()
        opening = sink.send(letter(self.channel))
        incident = replace(INCIDENT, events=2)
        again = sink.send(letter(self.channel, AGAIN, "update", incident, thread=opening.thread))
        assert opening.thread == again.thread == "1503435956.000247"
        first, second = (request.json for request in self.server.requests)
        assert "thread_ts" not in first
        assert second["thread_ts"] == "1503435956.000247"
        assert not second["text"].startswith("Re:")

    def test_what_follows_a_message_that_somebody_deleted_is_told_beside_it(self):
        sink = self.sink_against()
        self.server.answer(response("200 OK", b'{"ok": false, "error": "thread_not_found"}'), self.yes)
        receipt = sink.send(letter(self.channel, AGAIN, "update", thread="1.1"))
        assert receipt == Receipt("1503435956.000247")
        assert "thread_ts" not in self.server.requests[1].json

    @pytest.mark.parametrize(
        ("error", "what"),
        [
            ("invalid_auth", "bot token"),
            ("not_in_channel", "invite the bot"),
            ("missing_scope", "scope"),
        ],
    )
    def test_an_error_that_does_not_pass_says_what_to_do(self, error, what):
        sink = self.sink_against()
        self.server.answer(response("200 OK", json.dumps({"ok": False, "error": error}).encode()))
        with pytest.raises(SinkRefused, match=f"got {error}.*{what}"):
            sink.send(letter(self.channel))

    @pytest.mark.parametrize(
        "answer", [b'{"ok": false, "error": "fatal_error"}', b"{", b"[]", b"<html>", b'{"ok": 1}', b""]
    )
    def test_an_answer_that_is_none_of_slacks_may_be_better_later(self, answer):
        sink = self.sink_against()
        self.server.answer(response("200 OK", answer))
        with pytest.raises(SinkUnavailable):
            sink.send(letter(self.channel))

    def test_an_answer_of_a_gigabyte_is_read_in_part(self):
        sink = self.sink_against()
        self.server.answer(huge)
        with pytest.raises(SinkUnavailable):
            sink.send(letter(self.channel))

    def test_a_bot_that_is_not_told_where_to_post_is_named(self):
        nowhere = self.channel.model_copy(update={"channel": None})
        with pytest.raises(BadConfiguration, match='write channel: "#name"'):
            self.sink_against().send(letter(nowhere))

    @pytest.mark.parametrize("token", [None, " ", "xoxb\ntoken", "xoxb-é"])
    def test_a_token_that_is_none_is_not_quoted(self, token):
        with pytest.raises(BadConfiguration, match="holds no bot token") as raised:
            self.sink_against(password=token).send(letter(self.channel))
        assert not token or token.strip() == "" or token not in str(raised.value)
