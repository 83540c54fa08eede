"""A proxy before an object store that counts requests, and answers some as badly as it is told to."""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

HOP_BY_HOP = {"connection", "content-length", "keep-alive", "transfer-encoding", "date", "server"}


@dataclass(frozen=True, slots=True)
class Asked:
    """A request: its number from 1, its method, and its path with its query."""

    number: int
    method: str
    path: str
    headers: dict[str, str]


@dataclass(frozen=True, slots=True)
class Answer:
    """What is answered; `cut` bytes of the body are announced and not sent."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    cut: int = 0


Forward = Callable[[], Answer]
Rule = Callable[[Asked, Forward], Answer | None]


def honest(asked: Asked, forward: Forward) -> Answer:
    return forward()


def refusal(status: int, code: str, **headers: str) -> Answer:
    """Return an error as S3 words it."""
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{code} it is</Message></Error>"
    return Answer(status, body.encode(), {"Content-Type": "application/xml", **headers})


@dataclass
class S3Proxy:
    """`rule` answers each request: with `forward()`, with something else, or with None: never."""

    endpoint: str = ""
    rule: Rule = honest
    asked: list[Asked] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)


@contextmanager
def s3_proxy(upstream: str, tls: ssl.SSLContext | None = None) -> Iterator[S3Proxy]:
    """Yield a proxy that runs in this process, behind TLS where `tls` is given."""
    proxy, lock, target = S3Proxy(), threading.Lock(), urlsplit(upstream).netloc

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 30

        def answer(self) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            if headers.pop("transfer-encoding", None):
                body = b"".join(iter(self.chunk, b""))
            else:
                body = self.rfile.read(int(headers.get("content-length", 0)))
            with lock:
                asked = Asked(len(proxy.asked) + 1, self.command, self.path, headers)
                proxy.asked.append(asked)
            said = proxy.rule(asked, lambda: forward(asked, body))
            if said is None:
                proxy.over.wait(20)
                self.close_connection = True
                return
            self.send_response_only(said.status)
            for name, value in said.headers.items():
                self.send_header(name, value)
            length = said.headers.get("content-length") if asked.method == "HEAD" else None
            if length is None:
                self.send_header("Content-Length", str(len(said.body)))
            if said.cut:
                self.send_header("Connection", "close")
            self.end_headers()
            with suppress(OSError):
                if asked.method != "HEAD":
                    self.wfile.write(said.body[: len(said.body) - said.cut])
            self.close_connection = self.close_connection or bool(said.cut)

        def chunk(self) -> bytes:
            size = int(self.rfile.readline().split(b";")[0], 16)
            part = self.rfile.read(size)
            self.rfile.readline()
            return part

        do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = answer  # noqa: N815 -- http.server's names

        def log_message(self, *_arguments: Any) -> None:
            pass

    def forward(asked: Asked, body: bytes) -> Answer:
        line = http.client.HTTPConnection(target, timeout=30)
        try:
            line.request(asked.method, asked.path, body, asked.headers)
            got = line.getresponse()
            kept = HOP_BY_HOP - ({"content-length"} if asked.method == "HEAD" else set())
            headers = {k.lower(): v for k, v in got.getheaders() if k.lower() not in kept}
            return Answer(got.status, got.read(), headers)
        finally:
            line.close()

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 64

        def handle_error(self, request: Any, client_address: Any) -> None:
            pass  # its client was killed

    server = Server(("127.0.0.1", 0), Handler)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    proxy.endpoint = f"http{'s' if tls else ''}://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        proxy.over.set()
        server.shutdown()
        server.server_close()
        thread.join(5)


def unused_port() -> int:
    """Return a port on which nothing listens."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
