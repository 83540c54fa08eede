"""Messages to programs: JSON by POST, signed after the Standard Webhooks specification."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlsplit

from evergreen.alert_spec import WebhookChannel
from evergreen.alerts.channels import channel_of
from evergreen.alerts.letter_words import words_of
from evergreen.alerts.webhook_body import body_of, headers_of
from evergreen.connections import Connection, Connections
from evergreen.errors import BadConfiguration
from evergreen.http_post import USUAL_LIMITS, AddressForbidden, Answer, Limits, NoAnswer, post, utc_now
from evergreen.outbox import Letter, Receipt, SinkRefused, SinkUnavailable
from evergreen.redaction import hide

SHORTEST_TOKEN = 16
"""A part of a URL's path that is this long and holds a digit is taken for a secret."""
_LATER = frozenset({408, 425, 429})


@dataclass(frozen=True, slots=True)
class WebhookSink:
    """Posts to the address of a connection of type http."""

    connections: Connections
    limits: Limits = USUAL_LIMITS
    clock: Callable[[], datetime] = utc_now

    def send(self, letter: Letter) -> Receipt:
        """Post the letter; any answer from 200 to 299 is taken for yes.

        Raises:
            SinkUnavailable: no answer, or one that says later.
            SinkRefused: an answer that says never, a redirect, or an address in a private network.
            BadConfiguration: the connection is missing, of another kind, or without a signing secret.
        """
        channel = channel_of(letter.message.channel)
        if not isinstance(channel, WebhookChannel):
            raise TypeError("not a webhook")
        connection = self.connections(channel.connection)
        where = f"webhook {channel.connection!r}"
        url, now = _url(connection, where), self.clock()
        body = body_of(letter, words_of(letter, data_values=channel.data_values))
        headers = _headers(letter, body, connection, now, where)
        try:
            answer = post(url, body, headers, self.limits, public_only=not channel.private_network)
        except AddressForbidden as exc:
            raise SinkRefused(
                "the host has an address that is not public",
                where=where,
                got=exc.host if exc.host == exc.address else f"{exc.host}, which is {exc.address}",
                fix="give another host, or write private_network: true beside the webhook's connection",
            ) from None
        except ValueError:
            raise _no_address(where) from None
        except NoAnswer as exc:
            raise SinkUnavailable(f"the webhook did not answer: {exc}", where=where) from None
        _judge(answer, now, where)
        return Receipt()


def _headers(
    letter: Letter, body: bytes, connection: Connection, now: datetime, where: str
) -> dict[str, str]:
    if not connection.password:
        raise BadConfiguration(
            "the connection holds no signing secret",
            where=where,
            fix="put the secret that the receiver checks signatures with into its password",
        )
    try:
        return headers_of(letter.message.key, body, connection.password, now)
    except ValueError as exc:
        fix = "copy the secret again, or leave whsec_ out where it is plain text"
        raise BadConfiguration(str(exc), where=where, fix=fix) from None


def _url(connection: Connection, where: str) -> str:
    """Return the address: host and schema as Airflow's own hook reads them, but https by default."""
    if connection.conn_type not in {"http", "https"}:
        raise BadConfiguration(
            "the connection is not to a web server",
            where=where,
            got=connection.conn_type,
            allowed="http",
            fix="change the connection's type",
        )
    host = (connection.host or "").strip().rstrip("/")
    base = host if "://" in host else f"{connection.schema or 'https'}://{_bracketed(host)}"
    path = str(connection.extra.get("path") or "").lstrip("/")
    try:
        parts = urlsplit(base)
        port = f":{connection.port}" if connection.port and parts.port is None else ""
        named = parts.hostname and parts.scheme in {"http", "https"} and parts.username is None
    except ValueError:
        raise _no_address(where) from None
    if not named or parts.query or parts.fragment:
        raise _no_address(where)
    url = f"{parts.scheme}://{parts.netloc}{port}{parts.path}{'/' + path if path else ''}"
    _hide_tokens(url)
    return url


def _no_address(where: str) -> BadConfiguration:
    return BadConfiguration(
        "the connection holds no address to post to",
        where=where,
        allowed="a host, a schema of http or https, a port, and the path in the extra `path`",
        fix="correct the connection; what a URL holds before @ is not sent",
    )


def _bracketed(host: str) -> str:
    return f"[{host}]" if host.count(":") > 1 and not host.startswith("[") else host


def _hide_tokens(url: str) -> None:
    parts = urlsplit(url)
    for part in [*parts.path.split("/"), *(pair.partition("=")[2] for pair in parts.query.split("&"))]:
        if len(part) >= SHORTEST_TOKEN and any(map(str.isdigit, part)):
            hide(part)


def _judge(answer: Answer, now: datetime, where: str) -> None:
    if 200 <= answer.status < 300:
        return
    if answer.status >= 500 or answer.status in _LATER:
        raise SinkUnavailable(
            "the webhook could not take the message now",
            where=where,
            got=answer.brief,
            retry_after_seconds=answer.retry_after_seconds(now),
        )
    fix = "correct the connection's host, path or signing secret"
    if 300 <= answer.status < 400:
        fix = "redirects are not followed: put the address that it leads to into the connection"
    elif answer.status == 410:
        fix = "the receiver wants no more messages: take the channel out of the file"
    raise SinkRefused("the webhook refused the message", where=where, got=answer.brief, fix=fix)
