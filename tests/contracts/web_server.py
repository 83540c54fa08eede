"""A real HTTP server on this machine that answers as badly as it is told to."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field


@dataclass
class Request:
    line: str
    headers: dict[str, str]
    body: bytes

    @property
    def path(self) -> str:
        return self.line.split()[1]

    @property
    def json(self):
        return json.loads(self.body)


def response(status: str, body: bytes = b"", **headers: str) -> bytes:
    given = {"Content-Length": str(len(body)), "Connection": "close"}
    given |= {name.replace("_", "-"): value for name, value in headers.items()}
    head = "".join(f"{name}: {value}\r\n" for name, value in given.items())
    return f"HTTP/1.1 {status}\r\n{head}\r\n".encode() + body


@dataclass
class WebServer:
    """Keeps what it is sent; `answers` are given in turn, the last one for ever.

    An answer is bytes, or a function that is given the line, the request and the server's end.
    """

    port: int
    answers: list = field(default_factory=lambda: [response("200 OK", b"ok")])
    requests: list[Request] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    def answer(self, *answers: bytes | Callable) -> None:
        self.answers = list(answers)


def hang(line: socket.socket, request: Request, over: threading.Event) -> None:
    over.wait()


def close_midway(line: socket.socket, request: Request, over: threading.Event) -> None:
    line.sendall(b"HTTP/1.1 200 OK\r\nContent-Le")


def drip(line: socket.socket, request: Request, over: threading.Event) -> None:
    """Send a header that never ends, a byte each time."""
    line.sendall(b"HTTP/1.1 200 OK\r\nX-Long: ")
    while not over.wait(0.05):
        line.sendall(b"x")


def huge(line: socket.socket, request: Request, over: threading.Event) -> None:
    """Send a body of a gigabyte, as far as it is taken."""
    line.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
    for _ in range(1000):
        if over.is_set():
            return
        line.sendall(b"o" * 1_000_000)


def echo(status: str) -> Callable:
    """Answer with all that was sent, as a debugging server does."""

    def answer(line: socket.socket, request: Request, over: threading.Event) -> None:
        said = f"{request.line} {request.headers} ".encode() + request.body
        line.sendall(response(status, said, X_Echo=request.line))

    return answer


BAD = {"hangs": hang, "closes mid-way": close_midway, "drips": drip}


@contextmanager
def web_server(tls=None) -> Iterator[WebServer]:
    listener = socket.create_server(("127.0.0.1", 0))
    server = WebServer(listener.getsockname()[1])
    threads = [threading.Thread(target=_accept, args=(listener, server, tls))]
    threads[0].start()
    try:
        yield server
    finally:
        server.over.set()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        threads[0].join()


def _accept(listener: socket.socket, server: WebServer, tls) -> None:
    serving = []
    while True:
        try:
            line, _ = listener.accept()
        except OSError:
            break
        serving.append(threading.Thread(target=_serve, args=(line, server, tls)))
        serving[-1].start()
    for thread in serving:
        thread.join()


def _serve(line: socket.socket, server: WebServer, tls) -> None:
    with suppress(OSError), line:
        if tls is not None:
            with tls.wrap_socket(line, server_side=True) as secured:
                _exchange(secured, server)
        else:
            _exchange(line, server)


def _exchange(line: socket.socket, server: WebServer) -> None:
    with line.makefile("rb") as stream:
        first = stream.readline().decode().strip()
        headers = {}
        while text := stream.readline().decode().strip():
            name, _, value = text.partition(":")
            headers[name.lower()] = value.strip()
        body = stream.read(int(headers.get("content-length", 0)))
    request = Request(first, headers, body)
    server.requests.append(request)
    answer = server.answers.pop(0) if len(server.answers) > 1 else server.answers[0]
    if isinstance(answer, bytes):
        line.sendall(answer)
    else:
        answer(line, request, server.over)
