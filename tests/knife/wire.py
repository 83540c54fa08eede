"""Stands between the ledger and PostgreSQL, and does harm at one round trip of a connection.

A round is what a client sends until it waits for an answer: a `Query`, or messages up to a `Sync`.
"""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Literal

Where = Literal["before", "after"]
SSL_REQUEST, GSS_REQUEST = 80877103, 80877104
ENDS_A_ROUND = (b"S", b"Q")
UNCOUNTED = (b"p", b"X")
READY = b"Z"
PATIENCE_SECONDS = 60


@dataclass
class Harm:
    """What is done at the `number`-th round, before the server gets it or after it has answered.

    `do` is called then; unless it returns True the connection is cut, and no answer passes.
    """

    number: int
    where: Where
    do: Callable[[], bool] = lambda: False
    taken: threading.Event = field(default_factory=threading.Event)
    done: threading.Event = field(default_factory=threading.Event)

    def came_to_pass(self) -> bool:
        """Wait until the harm is done, and return whether its turn came at all."""
        return self.taken.is_set() and self.done.wait(PATIENCE_SECONDS)


class Wire:
    """Listens on a port of its own and forwards to a server; `rounds` are those since the last `arm`."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.rounds: list[str] = []
        self._harm: Harm | None = None
        self._lock = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    def arm(self, harm: Harm | None) -> None:
        """Count anew, and do this harm when it is its turn."""
        with self._lock:
            self.rounds, self._harm = [], harm

    def close(self) -> None:
        self._listener.close()

    def due(self, sent: bytes) -> Harm | None:
        """Count a round, and return the harm that is due at it."""
        with self._lock:
            self.rounds.append(_words(sent))
            if self._harm is None or self._harm.number != len(self.rounds):
                return None
            harm, self._harm = self._harm, None
            harm.taken.set()
            return harm

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, suppress(OSError, EOFError):
            server = socket.create_connection(self._target)
            with server:
                for line in (client, server):  # a round is small, and waiting for more costs 40 ms
                    line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                try:
                    _Line(self, client, server).run()
                finally:  # closing alone would not wake the thread that reads there
                    with suppress(OSError):
                        server.shutdown(socket.SHUT_RDWR)


class _Line:
    """One connection: this thread reads the client, another one the server."""

    def __init__(self, wire: Wire, client: socket.socket, server: socket.socket) -> None:
        self._wire = wire
        self._client, self._server = client, server
        self._withheld = threading.Event()
        self._answered = threading.Event()

    def run(self) -> None:
        self._begin()
        threading.Thread(target=self._answers, daemon=True).start()
        pending = b""
        while message := _message(self._client):
            pending += message
            if message[:1] in UNCOUNTED:
                self._server.sendall(pending)
                pending = b""
            elif message[:1] in ENDS_A_ROUND:
                if not self._round(pending):
                    return
                pending = b""

    def _begin(self) -> None:
        """Let client and server agree on how to talk."""
        while True:
            length = _exactly(self._client, 4)
            body = _exactly(self._client, struct.unpack("!I", length)[0] - 4)
            self._server.sendall(length + body)
            if struct.unpack("!I", body[:4])[0] not in (SSL_REQUEST, GSS_REQUEST):
                return
            self._client.sendall(_exactly(self._server, 1))

    def _round(self, sent: bytes) -> bool:
        """Forward a round; return whether the connection is to go on."""
        harm = self._wire.due(sent)
        if harm is None:
            self._server.sendall(sent)
            return True
        if harm.where == "after":
            self._withheld.set()
            self._server.sendall(sent)
            self._answered.wait(PATIENCE_SECONDS)
        try:
            goes_on = harm.do()
        finally:
            harm.done.set()
        if goes_on:
            self._server.sendall(sent)
        return goes_on

    def _answers(self) -> None:
        with suppress(OSError):
            while message := _message(self._server):
                if not self._withheld.is_set():
                    self._client.sendall(message)
                elif message[:1] == READY:
                    self._answered.set()
        self._answered.set()
        with suppress(OSError):
            self._client.shutdown(socket.SHUT_RDWR)


def _message(line: socket.socket) -> bytes:
    """Return a whole message with its type and length; empty at the end of the line."""
    try:
        head = _exactly(line, 5)
        return head + _exactly(line, struct.unpack("!I", head[1:])[0] - 4)
    except (EOFError, ConnectionError):
        return b""


def _exactly(line: socket.socket, size: int) -> bytes:
    found = b""
    while len(found) < size:
        more = line.recv(size - len(found))
        if not more:
            raise EOFError
        found += more
    return found


def _words(sent: bytes) -> str:
    """Return what a round says, for people: its statement."""
    text = sent[5:].replace(b"\x00", b" ").decode("utf-8", "replace")
    return " ".join(text.split())[:60]
