"""Real SMTP servers on this machine: one that takes mail, and one that answers as it is told to."""

from __future__ import annotations

import email.policy
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email.message import EmailMessage

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult


@dataclass
class Mailbox:
    """What a server took: mails, with their envelopes and as bytes."""

    port: int = 0
    mails: list[EmailMessage] = field(default_factory=list)
    envelopes: list[tuple[str, list[str]]] = field(default_factory=list)
    raw: list[bytes] = field(default_factory=list)
    logins: list[tuple[bytes, bytes]] = field(default_factory=list)
    refuse: dict[str, str] = field(default_factory=dict)

    async def handle_RCPT(self, server, session, envelope, address, options):  # noqa: N802
        if address in self.refuse:
            return self.refuse[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):  # noqa: N802
        self.raw.append(envelope.content)
        self.mails.append(email.message_from_bytes(envelope.content, policy=email.policy.default))
        self.envelopes.append((envelope.mail_from, list(envelope.rcpt_tos)))
        return "250 taken"


@contextmanager
def mail_server(password: str | None = None, ssl_context=None, **options) -> Iterator[Mailbox]:
    """Serve; `options` are those of aiosmtpd's `SMTP`, such as `tls_context`."""
    box = Mailbox()

    def authenticate(server, session, envelope, mechanism, data):
        box.logins.append((data.login, data.password))
        return AuthResult(success=data.password == (password or "").encode(), handled=False)

    class Server(Controller):
        def factory(self):
            logins = {"authenticator": authenticate, "auth_require_tls": False} if password else {}
            return SMTP(self.handler, enable_SMTPUTF8=True, **logins, **options)

        def _trigger_server(self):
            self.port = self.server.sockets[0].getsockname()[1]
            super()._trigger_server()

    controller = Server(box, hostname="127.0.0.1", port=0, ssl_context=ssl_context)
    controller.start()
    try:
        box.port = controller.port
        yield box
    finally:
        controller.stop()


@dataclass
class Grumbler:
    """Says yes to every command but to those in `says`; `drips` at one, `hangs` at one."""

    port: int
    says: dict[str, str] = field(default_factory=dict)
    greeting: str = "220 here"
    heard: list[str] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)


@contextmanager
def grumbling_server() -> Iterator[Grumbler]:
    listener = socket.create_server(("127.0.0.1", 0))
    server = Grumbler(listener.getsockname()[1])
    thread = threading.Thread(target=_accept, args=(listener, server))
    thread.start()
    try:
        yield server
    finally:
        server.over.set()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


def _accept(listener: socket.socket, server: Grumbler) -> None:
    serving = []
    while True:
        try:
            line, _ = listener.accept()
        except OSError:
            break
        serving.append(threading.Thread(target=_talk, args=(line, server)))
        serving[-1].start()
    for thread in serving:
        thread.join()


_YES = {"EHLO": "250 here", "DATA": "354 go on", "AUTH": "235 yes", "QUIT": "221 bye"}


def _talk(line: socket.socket, server: Grumbler) -> None:
    with suppress(OSError), line, line.makefile("rb") as stream:
        if not _say(line, server, server.greeting):
            return
        data = False
        while text := stream.readline().decode("utf-8", "replace").rstrip("\r\n"):
            server.heard.append(text)
            word = "." if data and text == "." else text.partition(" ")[0].upper()
            if data and word != ".":
                while stream.readline() not in (b".\r\n", b""):
                    pass
                word = "."
            answer = server.says.get(word, _YES.get(word, "250 OK"))
            data = word == "DATA" and answer.startswith("354")
            if not _say(line, server, answer):
                return


def _say(line: socket.socket, server: Grumbler, answer: str) -> bool:
    if answer == "hangs":
        server.over.wait()
        return False
    if answer == "closes":
        return False
    if answer == "drips":
        while not server.over.wait(0.05):
            line.sendall(b"2")
        return False
    line.sendall(f"{answer}\r\n".encode())
    return True
