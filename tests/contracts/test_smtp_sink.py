"""Mail keeps the contract of a sink against real SMTP servers; then what only mail has."""

from __future__ import annotations

import socket
import threading
from dataclasses import replace

import pytest

from evergreen.adapters.smtp_sink import SmtpSink
from evergreen.bounded_work import THREAD_NAME
from evergreen.connections import Connection
from evergreen.errors import BadConfiguration
from evergreen.outbox import SinkRefused, SinkUnavailable
from tests.contracts.alert_sink import LONG, NOW, SHORT, AlertSinkContract
from tests.contracts.certificates import certificate
from tests.contracts.letters import AGAIN, CHANNELS, FAILED, INCIDENT, letter
from tests.contracts.mail_server import grumbling_server, mail_server


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
