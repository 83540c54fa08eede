"""Messages by mail, over a connection of type smtp with the extras that Airflow's provider reads."""

from __future__ import annotations

import smtplib
import socket
import ssl
import threading
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from email.message import EmailMessage
from email.utils import parseaddr

from evergreen.alert_spec import EmailChannel
from evergreen.alerts.channels import channel_of
from evergreen.alerts.letter_words import words_of
from evergreen.alerts.mail import mail_of
from evergreen.bounded_work import in_a_thread
from evergreen.connections import Connection, Connections
from evergreen.errors import BadConfiguration
from evergreen.http_post import Limits, utc_now
from evergreen.outbox import Letter, Receipt, SinkRefused, SinkUnavailable
from evergreen.redaction import MASK, redact
from evergreen.text import plain

Refusals = Mapping[str, tuple[int, bytes]]
LIMITS = Limits(connect=10.0)
"""Servers often greet after a pause of five seconds, against spam."""
_TRUE = frozenset({"1", "on", "true", "yes"})


@dataclass(frozen=True, slots=True)
class SmtpSink:
    """Sends one mail to all addresses of a channel."""

    connections: Connections
    limits: Limits = LIMITS
    clock: Callable[[], datetime] = utc_now

    def send(self, letter: Letter) -> Receipt:
        """Send the mail; the receipt's thread is its Message-ID.

        Raises:
            SinkUnavailable: no answer, or one of 4xx.
            SinkRefused: an answer of 5xx, for all receivers.
            BadConfiguration: the connection is missing, of another kind, or names no sender.
        """
        channel = channel_of(letter.message.channel)
        if not isinstance(channel, EmailChannel):
            raise TypeError("not e-mail")
        connection = self.connections(channel.connection)
        where = f"mail by {channel.connection!r}"
        sender = _sender(connection, where)
        words = words_of(letter, data_values=channel.data_values)
        try:
            mail = mail_of(letter, words, sender, channel.to, self.clock())
        except ValueError as exc:
            fix = "correct from_email in the connection's extra, or the addresses under to"
            raise BadConfiguration(str(exc), where=where, fix=fix) from None
        post_office = _PostOffice(connection, self.limits, where)
        refused = post_office.deliver(mail, parseaddr(sender)[1], channel.to)
        return Receipt(str(mail["Message-ID"]), _not_all(refused, connection))


class _PostOffice:
    """The mail server of a connection."""

    def __init__(self, connection: Connection, limits: Limits, where: str) -> None:
        extra = connection.extra
        if connection.conn_type != "smtp":
            raise BadConfiguration(
                "the connection is not to a mail server",
                where=where,
                got=connection.conn_type,
                allowed="smtp",
                fix="change the connection's type",
            )
        if not connection.host:
            raise BadConfiguration("the connection names no host", where=where, fix="fill its host in")
        if str(extra.get("auth_type") or "basic") != "basic":
            raise BadConfiguration(
                "the connection wants another way to log in",
                where=f"{where}, auth_type",
                allowed="basic",
                fix="use a relay that takes a login and a password, or none",
            )
        self._connection = connection
        self._host = connection.host
        self._tls = not _flag(extra.get("disable_ssl"))
        self._starttls = not self._tls and not _flag(extra.get("disable_tls"))
        encrypted = self._tls or self._starttls
        self._context = _context(extra.get("ssl_context"), where) if encrypted else None
        own = _seconds(extra.get("timeout"), limits.whole)
        self._limits = Limits(min(limits.connect, own), min(limits.whole, own))
        self._where = where

    def deliver(self, mail: EmailMessage, sender: str, to: Collection[str]) -> Refusals:
        """Hand the mail over and return whom the server refused, where it took others.

        Raises:
            SinkUnavailable: no answer, or one of 4xx.
            SinkRefused: an answer of 5xx.
            BadConfiguration: a login that cannot be sent.
        """
        client, seconds, given_up = self._client(), self._limits.whole, threading.Event()
        try:
            return in_a_thread(lambda: self._talk(client, mail, sender, to, given_up), seconds)
        except smtplib.SMTPRecipientsRefused as exc:
            raise self._nobody(exc.recipients) from None
        except smtplib.SMTPAuthenticationError as exc:
            raise self._login_refused(exc.smtp_code) from None
        except smtplib.SMTPResponseException as exc:
            raise self._answer(exc.smtp_code, exc.smtp_error) from None
        except smtplib.SMTPNotSupportedError as exc:
            raise self._unsupported(str(exc)) from None
        except UnicodeEncodeError:
            what = "login or password hold characters that a mail server does not take"
            raise BadConfiguration(what, where=self._where, fix="use ASCII only") from None
        except TimeoutError:
            raise self._unavailable(f"no whole answer within {seconds:g} s") from None
        except ssl.SSLError as exc:
            raise self._no_tls(exc) from None
        except smtplib.SMTPException:
            raise self._unavailable("it broke off") from None
        except OSError as exc:
            why = exc.strerror or type(exc).__name__
            raise self._unavailable(f"not reached: {self._quoted(why)}") from None
        finally:
            given_up.set()
            _cut(client)

    def _client(self) -> smtplib.SMTP:
        """Return a client that connects later, so that it can be cut off while it does."""
        timeout = self._limits.connect
        client = (
            smtplib.SMTP_SSL(timeout=timeout, context=self._context)
            if self._tls
            else smtplib.SMTP(timeout=timeout)
        )
        client._host = self._host  # type: ignore[attr-defined] # the name that certificates are for
        return client

    def _talk(
        self,
        client: smtplib.SMTP,
        mail: EmailMessage,
        sender: str,
        to: Collection[str],
        given_up: threading.Event,
    ) -> Refusals:
        default = smtplib.SMTP_SSL_PORT if self._tls else smtplib.SMTP_PORT
        code, answer = client.connect(self._host, self._connection.port or default)
        if code != 220:
            raise smtplib.SMTPConnectError(code, answer)
        if given_up.is_set():
            client.close()
            raise TimeoutError
        if client.sock is not None:
            client.sock.settimeout(self._limits.whole)
        if self._starttls:
            client.starttls(context=self._context)
        login, password = self._connection.login, self._connection.password
        if login and password:
            client.login(login, password)
        refused = client.send_message(mail, sender, list(to))
        with suppress(OSError, smtplib.SMTPException):
            client.putcmd("quit")
        return refused

    def _nobody(self, refused: Refusals) -> SinkRefused | SinkUnavailable:
        code, answer = max(refused.values(), key=lambda refusal: -refusal[0])
        if code < 500:
            return self._answer(code, answer)
        return SinkRefused(
            "the mail server refused every address",
            where=self._where,
            got=self._quoted(f"{code} {_words(answer)}"),
            fix="correct the addresses under to",
        )

    def _login_refused(self, code: int) -> SinkRefused | SinkUnavailable:
        if code < 500:
            return self._unavailable(f"it does not let anybody log in now ({code})")
        return SinkRefused(
            "the mail server refused the login",
            where=self._where,
            got=code,
            fix="correct login and password of the connection",
        )

    def _answer(self, code: int, answer: bytes | str) -> SinkRefused | SinkUnavailable:
        got = self._quoted(f"{code} {_words(answer)}")
        if not 500 <= code < 600:
            return SinkUnavailable("the mail server says later", where=self._where, got=got)
        return SinkRefused(
            "the mail server refused the message",
            where=self._where,
            got=got,
            fix="ask who runs it; often the sender (from_email) is not one that it takes",
        )

    def _unsupported(self, what: str) -> SinkRefused:
        if "STARTTLS" in what.upper():
            fix = "write disable_tls: true into the connection's extra if mail may travel unencrypted"
            return SinkRefused("the mail server offers no STARTTLS", where=self._where, fix=fix)
        fix = "use a server that can, plain ASCII addresses, or a connection without login"
        return SinkRefused(
            "the mail server cannot do what is needed", where=self._where, got=what, fix=fix
        )

    def _no_tls(self, error: ssl.SSLError) -> SinkUnavailable:
        if isinstance(error, ssl.SSLCertVerificationError):
            fix = "install its authority's certificate, or correct the host's name"
            why = f"its certificate is not trusted: {error.verify_message}"
        else:
            fix = "for STARTTLS (often port 587) write disable_ssl: true into the connection's extra"
            why = "it does not speak TLS at this port"
        return self._unavailable(why, fix)

    def _unavailable(self, why: str, fix: str | None = None) -> SinkUnavailable:
        return SinkUnavailable(f"the mail server did not answer: {why}", where=self._where, fix=fix)

    def _quoted(self, text: str) -> str:
        return _quoted(text, self._connection)


def _cut(client: smtplib.SMTP) -> None:
    """End the connection whatever it is at: a thread that still reads from it reads the end.

    `SSLSocket.shutdown` would take the encryption away first, under the hands of who still writes.
    """
    line = client.sock
    if line is not None:
        with suppress(OSError):
            socket.socket.shutdown(line, socket.SHUT_RDWR)
    client.close()


def _sender(connection: Connection, where: str) -> str:
    given = connection.extra.get("from_email") or connection.login or ""
    if "@" not in str(given):
        fix = 'write {"from_email": "evergreen@example.com"} into the connection\'s extra'
        raise BadConfiguration("the connection names no sender", where=where, fix=fix)
    return str(given)


def _context(choice: object, where: str) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if choice == "none":
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif choice not in (None, "default"):
        raise BadConfiguration(
            "unknown value", where=f"{where}, ssl_context", allowed="default, none", fix="correct it"
        )
    return context


def _flag(value: object) -> bool:
    return value is True or str(value).strip().lower() in _TRUE


def _seconds(value: object, otherwise: float) -> float:
    try:
        seconds = float(str(value))
    except ValueError:
        return otherwise
    return seconds if seconds > 0 else otherwise


def _words(answer: bytes | str) -> str:
    return answer.decode("utf-8", "replace") if isinstance(answer, bytes) else answer


def _not_all(refused: Refusals, connection: Connection) -> str | None:
    if not refused:
        return None
    told = (f"{address} ({code} {_words(answer)})" for address, (code, answer) in refused.items())
    return _quoted(f"refused for {', '.join(told)}", connection)


def _quoted(text: str, connection: Connection) -> str:
    """Return what a server said in a line; it may have said the login back."""
    shown = redact(text)
    login = connection.login
    if login and "@" not in login:
        shown = shown.replace(login, MASK)
    return plain(shown, 300)
