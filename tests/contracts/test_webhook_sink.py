"""A webhook keeps the contract of a sink; then its signature, its body, and whom it may write to."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac

import pytest

from evergreen.adapters.webhook_sink import WebhookSink
from evergreen.connections import Connection
from evergreen.errors import BadConfiguration
from evergreen.outbox import Receipt, SinkRefused, SinkUnavailable
from tests.contracts.alert_sink import LONG, NOW
from tests.contracts.certificates import certificate
from tests.contracts.http_sink import OverHttp
from tests.contracts.letters import CHANNELS, FAILED, INCIDENT, letter
from tests.contracts.web_server import huge, response, web_server


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
