"""Every sink keeps the contract against real servers; then what only one kind of channel has."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import logging
import socket
import sys
import threading
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from evergreen.adapters.log_sink import LogSink
from evergreen.adapters.slack_sink import SlackSink
from evergreen.adapters.smtp_sink import SmtpSink
from evergreen.adapters.webhook_sink import WebhookSink
from evergreen.bounded_work import THREAD_NAME
from evergreen.connections import Connection
from evergreen.errors import BadConfiguration
from evergreen.http_post import Limits
from evergreen.outbox import Receipt, SinkRefused, SinkUnavailable
from evergreen.wiring import ADAPTERS
from tests.contracts.alert_sink import AlertSinkContract
from tests.contracts.certificates import certificate
from tests.contracts.letters import AGAIN, CHANNELS, FAILED, INCIDENT, letter
from tests.contracts.mail_server import grumbling_server, mail_server
from tests.contracts.web_server import BAD, echo, huge, response, web_server

SHORT = Limits(connect=0.3, whole=0.3)
LONG = Limits(connect=10.0, whole=60.0)
NOW = datetime(2026, 11, 1, 6, 13, tzinfo=UTC)


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


class TestWebhook(OverHttp):
    Sink = WebhookSink
    channel = CHANNELS["webhook"]

    def connection(self, port, secret):
        return Connection(
            "incident_hook",
            "http",
            host="127.0.0.1",
            port=port,
            schema="http",
            login=secret,
            password=secret or "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            extra={"path": f"/in/{secret}?t={secret}" if secret else "/in", "api_key": secret or ""},
        )

    def received(self):
        return [request.body.decode() for request in self.server.requests]

    def keys(self):
        return [request.headers["webhook-id"] for request in self.server.requests]

    def test_the_signature_is_that_of_the_standard(self):
        self.sink_against().send(letter(self.channel))
        (request,) = self.server.requests
        assert request.headers["webhook-timestamp"] == str(int(NOW.timestamp()))
        signed = f"{request.headers['webhook-id']}.{int(NOW.timestamp())}.".encode() + request.body
        digest = hmac.new(b"MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", signed, hashlib.sha256).digest()
        assert request.headers["webhook-signature"] == f"v1,{base64.b64encode(digest).decode()}"

    def test_a_secret_that_says_so_is_base64_of_the_key(self):
        key = b"\x00\xff a key"
        secret = f"whsec_{base64.b64encode(key).decode()}"
        self.sink_against(password=secret).send(letter(self.channel))
        (request,) = self.server.requests
        signed = f"{request.headers['webhook-id']}.{int(NOW.timestamp())}.".encode() + request.body
        digest = hmac.new(key, signed, hashlib.sha256).digest()
        assert request.headers["webhook-signature"] == f"v1,{base64.b64encode(digest).decode()}"

    def test_a_secret_that_is_no_base64_is_not_quoted(self):
        with pytest.raises(BadConfiguration, match="no base64 after whsec_") as raised:
            self.sink_against(password="whsec_notbase64!!").send(letter(self.channel))
        assert "notbase64" not in str(raised.value)

    def test_a_connection_without_a_secret_sends_nothing(self):
        with pytest.raises(BadConfiguration, match="no signing secret"):
            self.sink_against(password=None).send(letter(self.channel))
        assert not self.server.requests

    def test_the_body_is_json_of_the_standard(self):
        self.sink_against().send(letter(self.channel))
        body = self.server.requests[0].json
        assert set(body) == {"type", "timestamp", "data"}
        assert body["type"] == "evergreen.failed"
        assert body["timestamp"] == "2026-11-01T06:12:30Z"
        assert body["data"]["model"] == "flight_delay"
        assert body["data"]["incident"] == INCIDENT.key
        assert body["data"]["purpose"] == "opening"
        assert body["data"]["run"] == FAILED.run_key

    def test_an_answer_of_a_gigabyte_is_a_yes_by_its_status(self):
        sink = self.sink_against()
        self.server.answer(huge)
        assert sink.send(letter(self.channel)) == Receipt()

    def test_a_redirect_says_what_to_do(self):
        sink = self.sink_against()
        self.server.answer(response("301 Moved", Location="http://127.0.0.1:1/"))
        with pytest.raises(SinkRefused, match="redirects are not followed"):
            sink.send(letter(self.channel))

    def test_a_private_address_is_refused_unless_the_owner_allows_it(self):
        closed = self.channel.model_copy(update={"private_network": False})
        with pytest.raises(SinkRefused, match=r"127\.0\.0\.1.*private_network: true"):
            self.sink_against().send(letter(closed))
        assert not self.server.requests

    @pytest.mark.parametrize("host", ["localhost", "0x7f000001", "2130706433", "127.1", "[::1]", "::1"])
    def test_a_private_address_in_another_dress_is_refused(self, host):
        closed = self.channel.model_copy(update={"private_network": False})
        with pytest.raises(SinkRefused, match="not public"):
            self.sink_against(host=host).send(letter(closed))
        assert not self.server.requests

    @pytest.mark.parametrize(
        "fields",
        [
            {"host": None},
            {"host": ""},
            {"host": "http://"},
            {"schema": "ftp"},
            {"host": "user:pass@127.0.0.1"},
            {"host": "http://127.0.0.1:99999"},
            {"host": "http://[::1"},
        ],
    )
    def test_a_connection_without_an_address_is_named(self, fields):
        with pytest.raises(BadConfiguration, match="'incident_hook'"):
            self.sink_against(**fields).send(letter(self.channel))


class TestWebhookToTheInternet:
    """The real way to an address, with a look-up of names that the test owns."""

    @pytest.fixture
    def lookups(self, monkeypatch):
        """Let `hook.example` be this machine, and this machine's address be a public one."""
        asked = []
        real = asyncio.base_events.BaseEventLoop.getaddrinfo

        async def look_up(loop, host, port, **options):
            asked.append(host)
            return await real(loop, "127.0.0.1" if "example" in host else host, port, **options)

        monkeypatch.setattr(asyncio.base_events.BaseEventLoop, "getaddrinfo", look_up)
        monkeypatch.setattr("evergreen.http_post.is_public", lambda address: address == "127.0.0.1")
        return asked

    def send(self, port, **fields):
        connection = Connection("h", "http", host="hook.example", port=port, password="secret", **fields)
        channel = CHANNELS["webhook"].model_copy(update={"private_network": False})
        return WebhookSink(lambda _: connection, LONG, lambda: NOW).send(letter(channel))

    def test_the_name_is_looked_up_once_and_that_address_is_written_to(self, lookups, monkeypatch):
        monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
        with web_server() as server:
            self.send(server.port, schema="http")
            assert server.requests[0].headers["host"] == f"hook.example:{server.port}"
        assert lookups.count("hook.example") == 1

    @pytest.mark.parametrize("name", ["hook.example", "another.example"])
    def test_the_certificate_must_be_that_of_the_name(self, lookups, name, tmp_path, monkeypatch):
        context, authority = certificate(tmp_path, name)
        monkeypatch.setenv("SSL_CERT_FILE", str(authority))
        with web_server(context) as server:
            if name == "hook.example":
                self.send(server.port)
            else:
                with pytest.raises(SinkUnavailable, match="certificate"):
                    self.send(server.port)
            assert len(server.requests) == (1 if name == "hook.example" else 0)

    def test_one_address_that_is_not_public_forbids_the_host(self, lookups, monkeypatch):
        async def both(loop, host, port, **options):
            return [(2, 1, 6, "", (address, port)) for address in ("127.0.0.1", "10.0.0.8")]

        monkeypatch.setattr(asyncio.base_events.BaseEventLoop, "getaddrinfo", both)
        with web_server() as server:
            with pytest.raises(SinkRefused, match=r"hook\.example, which is 10\.0\.0\.8"):
                self.send(server.port, schema="http")
            assert not server.requests


class TestSmtp(AlertSinkContract):
    channel = CHANNELS["email"]

    @pytest.fixture(autouse=True)
    def _serve(self):
        with mail_server() as self.box, grumbling_server() as self.grumbler:
            yield

    def connection(self, port, secret=None, **extra):
        return Connection(
            "smtp_default",
            "smtp",
            host="127.0.0.1",
            port=port,
            login=secret,
            schema=secret,
            extra={
                "disable_ssl": True,
                "disable_tls": True,
                "from_email": "Evergreen <evergreen@example.com>",
                "access_token": secret or "",
                **extra,
            },
        )

    def sink_against(self, how="works", secret=None, **extra):
        limits = LONG
        port = self.grumbler.port
        if how == "works":
            port = self.box.port
        elif how == "is not there":
            port = 1
        elif how == "says 500":
            self.grumbler.says["."] = f"451 try again {secret}"
        elif how == "says never":
            self.grumbler.says["MAIL"] = f"553 sender not owned by {secret}"
        else:
            limits = SHORT
            self.grumbler.says["DATA"] = {"closes mid-way": "closes"}.get(how, how)
        connection = self.connection(port, secret, **extra)
        if secret and how != "works":
            connection = replace(connection, password=secret)
        return SmtpSink(lambda _: connection, limits, lambda: NOW)

    def received(self):
        mails = self.box.mails
        shown = [part.get_content() for mail in mails for part in mail.iter_parts()]
        assert all(raw.count(b"\n.") == 0 for raw in self.box.raw)
        return [f"{mail['subject']}\n{mail.get_body(('plain',)).get_content()}" for mail in mails] + [
            page for page in shown if "<html" in page and "canary" in page
        ]

    def keys(self):
        return [str(mail["message-id"]) for mail in self.box.mails]

    def test_a_mail_is_plain_text_and_html_and_says_that_a_program_sent_it(self):
        self.sink_against().send(letter(self.channel))
        (mail,) = self.box.mails
        assert mail.get_content_type() == "multipart/alternative"
        assert [part.get_content_type() for part in mail.iter_parts()] == ["text/plain", "text/html"]
        assert mail["from"] == "Evergreen <evergreen@example.com>"
        assert mail["to"] == "ops@example.com, bob@example.com"
        assert mail["auto-submitted"] == "auto-generated"
        assert mail["x-evergreen-event"] == "failed"
        assert mail["date"].datetime == NOW
        assert self.box.envelopes == [("evergreen@example.com", ["ops@example.com", "bob@example.com"])]

    def test_the_mails_of_an_incident_are_one_thread_under_one_subject(self):
        sink = self.sink_against()
        opening = sink.send(letter(self.channel))
        sink.send(letter(self.channel, AGAIN, "update", replace(INCIDENT, events=2), opening.thread))
        first, second = self.box.mails
        assert opening.thread == first["message-id"]
        assert second["in-reply-to"] == first["message-id"]
        assert first["message-id"] in second["references"]
        assert first["references"] in second["references"]
        assert first["subject"] == FAILED.headline
        assert second["subject"] == f"Re: {FAILED.headline}"

    def test_a_headline_cannot_add_a_header_or_a_receiver(self):
        evil = "late\r\nBcc: everyone@example.com\r\n\r\n<b>x</b>\r\n.\r\nMAIL FROM:<a@b.c>"
        event = replace(FAILED, headline=evil, model="late", lines=(evil, "."), owner=evil, key=evil)
        self.sink_against().send(letter(self.channel, event, "single", None))
        (mail,) = self.box.mails
        assert mail["bcc"] is None
        assert mail["subject"].startswith("late Bcc: everyone@example.com")
        assert self.box.envelopes[0][1] == self.channel.to
        assert "<b>" not in mail.get_body(("html",)).get_content()

    def test_a_sender_that_holds_a_line_break_is_no_sender(self):
        sink = self.sink_against(from_email="a@example.com>\nBcc: <x@example.com")
        with pytest.raises(BadConfiguration, match="not an e-mail address"):
            sink.send(letter(self.channel))

    def test_addresses_that_the_server_refuses_are_told_in_the_receipt(self):
        self.box.refuse["bob@example.com"] = "550 no such person"
        receipt = self.sink_against().send(letter(self.channel))
        assert receipt.note == "refused for bob@example.com (550 no such person)"
        assert self.box.envelopes[0][1] == ["ops@example.com"]

    @pytest.mark.parametrize(
        ("codes", "error"),
        [(("550", "550"), SinkRefused), (("550", "450"), SinkUnavailable)],
    )
    def test_a_mail_that_nobody_may_get_is_tried_again_only_where_that_may_help(self, codes, error):
        for address, code in zip(self.channel.to, codes, strict=True):
            self.box.refuse[address] = f"{code} not this one"
        with pytest.raises(error, match="not this one"):
            self.sink_against().send(letter(self.channel))

    @pytest.mark.parametrize(
        ("word", "answer", "error"),
        [
            ("EHLO", "502 no", None),
            ("MAIL", "451 later", SinkUnavailable),
            ("MAIL", "553 not yours", SinkRefused),
            ("DATA", "421 closing", SinkUnavailable),
            ("DATA", "554 no", SinkRefused),
            (".", "452 full", SinkUnavailable),
            (".", "552 too large", SinkRefused),
            ("QUIT", "closes", None),
            ("QUIT", "hangs", None),
        ],
    )
    def test_an_answer_of_4xx_says_later_and_one_of_5xx_never(self, word, answer, error):
        self.grumbler.says[word] = answer
        connection = self.connection(self.grumbler.port)
        sink = SmtpSink(lambda _: connection, LONG, lambda: NOW)
        if error is None:
            assert sink.send(letter(self.channel)).thread
            return
        with pytest.raises(error, match=answer):
            sink.send(letter(self.channel))

    @pytest.mark.parametrize("greeting", ["421 busy", "hangs", "drips", "closes", "HTTP/1.1 400 Bad"])
    def test_a_server_that_does_not_greet_may_do_so_later(self, greeting):
        self.grumbler.greeting = greeting
        connection = self.connection(self.grumbler.port)
        with pytest.raises(SinkUnavailable):
            SmtpSink(lambda _: connection, SHORT, lambda: NOW).send(letter(self.channel))

    def test_a_mail_that_was_given_up_while_it_connected_is_not_sent_after_all(self, monkeypatch):
        connect, go_on = socket.create_connection, threading.Event()

        def late(*arguments, **options):
            go_on.wait()
            return connect(*arguments, **options)

        monkeypatch.setattr(socket, "create_connection", late)
        connection = self.connection(self.box.port)
        with pytest.raises(SinkUnavailable):
            SmtpSink(lambda _: connection, SHORT, lambda: NOW).send(letter(self.channel))
        go_on.set()
        for thread in threading.enumerate():
            if thread.name == THREAD_NAME:
                thread.join()
        assert not self.box.mails

    def test_starttls_is_asked_for_unless_the_connection_says_no(self):
        sink = self.sink_against(disable_tls="false")
        with pytest.raises(SinkRefused, match="disable_tls: true"):
            sink.send(letter(self.channel))
        assert not self.box.mails

    @pytest.mark.parametrize("how", ["STARTTLS", "TLS"])
    @pytest.mark.parametrize("trusted", ["by its authority", "as the connection says", "not at all"])
    def test_an_encrypted_way_wants_a_certificate_of_that_host(
        self, how, trusted, tmp_path, monkeypatch
    ):
        context, authority = certificate(tmp_path, "127.0.0.1")
        if trusted == "by its authority":
            monkeypatch.setenv("SSL_CERT_FILE", str(authority))
        extra = {"ssl_context": "none"} if trusted == "as the connection says" else {}
        extra |= {"disable_ssl": how == "STARTTLS", "disable_tls": False}
        options = {"tls_context": context, "require_starttls": True} if how == "STARTTLS" else {}
        with mail_server(ssl_context=None if options else context, **options) as box:
            connection = self.connection(box.port, **extra)
            sink = SmtpSink(lambda _: connection, LONG, lambda: NOW)
            if trusted == "not at all":
                with pytest.raises(SinkUnavailable, match="certificate is not trusted"):
                    sink.send(letter(self.channel))
            else:
                sink.send(letter(self.channel))
            assert len(box.mails) == (0 if trusted == "not at all" else 1)

    def test_a_port_that_does_not_speak_tls_says_which_extra_to_set(self):
        self.grumbler.greeting = "220 here"
        sink = self.sink_against(disable_ssl=False)
        with pytest.raises(SinkUnavailable, match="disable_ssl: true"):
            sink.send(letter(self.channel))

    def test_a_login_is_sent_and_a_refused_one_is_not_quoted(self):
        with mail_server(password="right-password") as box:
            connection = replace(self.connection(box.port), login="evergreen", password="right-password")
            SmtpSink(lambda _: connection, LONG, lambda: NOW).send(letter(self.channel))
            assert len(box.mails) == 1
            wrong = replace(connection, password="wrong-password")
            with pytest.raises(SinkRefused, match="correct login and password") as raised:
                SmtpSink(lambda _: wrong, LONG, lambda: NOW).send(letter(self.channel))
        assert "wrong-password" not in str(raised.value)

    @pytest.mark.parametrize(
        ("fields", "what"),
        [
            ({"conn_type": "http"}, "got http; allowed: smtp"),
            ({"host": None}, "names no host"),
            ({"extra": {}}, "from_email"),
            ({"extra": {"from_email": "nobody"}}, "from_email"),
            ({"extra": {"from_email": "a@b.c", "auth_type": "oauth2"}}, "allowed: basic"),
            ({"extra": {"from_email": "a@b.c", "ssl_context": "odd"}}, "allowed: default, none"),
        ],
    )
    def test_a_connection_that_cannot_be_used_says_what_is_missing(self, fields, what):
        connection = replace(self.connection(1), **fields)
        with pytest.raises(BadConfiguration, match=what):
            SmtpSink(lambda _: connection).send(letter(self.channel))

    def test_a_mail_stays_small_whatever_is_told(self):
        long = ("&'\"<" * 5000,) * 500
        event = replace(FAILED, headline=long[0], lines=long, values=long, owner=long[0])
        allowing = self.channel.model_copy(update={"data_values": True})
        self.sink_against().send(letter(allowing, event))
        page = self.box.mails[0].get_body(("html",)).get_content()
        assert len(page.encode()) < 70_000
        assert len(self.box.mails[0]["subject"]) <= 160


class TestLog:
    @pytest.mark.parametrize(
        ("severity", "level"), [("low", "INFO"), ("medium", "WARNING"), ("high", "WARNING")]
    )
    def test_a_letter_is_one_line_whose_level_is_its_severity(self, caplog, severity, level):
        caplog.set_level(logging.INFO)
        event = replace(FAILED, severity=severity, lines=("two\nlines",))
        assert LogSink(lambda _: None).send(letter(CHANNELS["log"], event)) == Receipt()
        (record,) = caplog.records
        assert (record.name, record.levelname) == ("evergreen.alerts", level)
        said = record.getMessage()
        assert "\n" not in said
        for part in (FAILED.headline, "two lines", FAILED.owner, FAILED.command):
            assert part in said


@pytest.mark.parametrize(
    ("case", "library"),
    [(TestSlackWebhook, "httpx"), (TestSlackBot, "httpx"), (TestWebhook, "httpx")],
)
def test_a_library_that_is_missing_is_named_with_the_extra_that_brings_it(case, library, monkeypatch):
    monkeypatch.setitem(sys.modules, library, None)
    one = case()
    connection = one.connection(1, None)
    with pytest.raises(BadConfiguration, match=rf"{library} is not installed.*\[alerts\]"):
        case.Sink(lambda _: connection).send(letter(one.channel))


def test_each_kind_of_channel_has_a_sink():
    sinks = {"slack": SlackSink, "smtp": SmtpSink, "webhook": WebhookSink, "log": LogSink}
    for name, sink in sinks.items():
        assert ADAPTERS[f"{name} sink"] == f"{sink.__module__}:{sink.__qualname__}"
