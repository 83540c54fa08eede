"""One POST to a server that nobody trusts: bounded in time and bytes, redirects not followed.

The limit holds for the whole of it, the look-up of the name and a server that drips one byte a second
included; the limits of an HTTP library are per operation. It may be called where an event loop runs.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import os
import socket
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from evergreen.bounded_work import THREAD_NAME, in_a_thread
from evergreen.errors import BadConfiguration
from evergreen.redaction import redact
from evergreen.text import plain

if TYPE_CHECKING:
    import ssl

    import httpx

MOST_BYTES = 64 * 1024
LONGEST_WAIT = 24 * 3600.0
_GRACE_SECONDS = 2.0
_HTTPCORE_LOGGERS = ("connection", "http11", "http2", "proxy", "socks")
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_GLOBAL_UNICAST = ipaddress.ip_network("2000::/3")
"""What the internet's addresses of IPv6 are from; Python takes some beyond it for global, too."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How many seconds a server may take: to be reached, and in all."""

    connect: float = 5.0
    whole: float = 20.0


USUAL_LIMITS = Limits()


def utc_now() -> datetime:
    """Return the time by which a server's wish to be left alone is counted."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server answered. `text` is at most `MOST_BYTES` of its body, or what came of it in time."""

    status: int
    text: str
    headers: Mapping[str, str] = field(default_factory=dict)

    def retry_after_seconds(self, now: datetime) -> float | None:
        """Return how long the server wishes to be left alone, at most a day; None: it does not say."""
        said = self.headers.get("retry-after", "").strip()
        if said.isascii() and said.isdigit():
            return min(float(said[:9]), LONGEST_WAIT)
        try:
            at = parsedate_to_datetime(said)
        except ValueError:
            return None
        wait = (at.replace(tzinfo=at.tzinfo or UTC) - now).total_seconds()
        return min(max(wait, 0.0), LONGEST_WAIT)

    @property
    def brief(self) -> str:
        """What it says in a line, without secrets, for messages."""
        text = plain(redact(self.text[:2000]), 200)
        return f"{self.status} {text}".strip()


class NoAnswer(Exception):
    """Why a server gave no answer, in words that quote nothing of the request."""


class AddressForbidden(Exception):
    """A host has an address that may not be written to."""

    def __init__(self, host: str, address: str) -> None:
        self.host, self.address = host, address
        super().__init__(f"{host} is {address}")


def post(
    url: str,
    body: bytes,
    headers: Mapping[str, str],
    limits: Limits,
    *,
    public_only: bool = False,
    proxy: str | None = None,
) -> Answer:
    """Send one request and return the answer.

    Args:
        url: http or https.
        body: Sent as it is.
        headers: Beside those that HTTP itself needs.
        limits: Of time.
        public_only: Whether every address of the host must be a public one. The connection is made to
            an address that was looked at: neither a second look-up nor a proxy comes between.
        proxy: URL of a proxy; None: as the environment says. Not with `public_only`.

    Raises:
        NoAnswer: the host was not found or not reached, broke off, or took too long.
        AddressForbidden: the host has an address that is not public.
        ValueError: no URL, or a proxy that is none.
        BadConfiguration: httpx is not installed.
    """
    try:
        import httpx
    except ImportError:
        raise not_installed("httpx") from None
    try:
        target = httpx.URL(url)
    except httpx.InvalidURL:
        raise ValueError("not a URL") from None  # the cause may quote a secret path
    _keep_urls_out_of_logs()
    sending = _Sending(target, body, headers, limits, public_only=public_only, proxy=proxy)
    try:
        return in_a_thread(partial(_in_a_loop_of_its_own, sending.send), limits.whole + _GRACE_SECONDS)
    except httpx.TimeoutException as exc:
        reaching = isinstance(exc, httpx.ConnectTimeout)
        why = (
            f"not reached within {limits.connect:g} s" if reaching else f"silent for {limits.whole:g} s"
        )
    except TimeoutError:
        why = f"no whole answer within {limits.whole:g} s"
    except httpx.ConnectError as exc:
        why = f"not reached: {plain(redact(_reason(exc)), 200)}"
    except httpx.TransportError as exc:
        why = f"it broke off ({type(exc).__name__})"
    except socket.gaierror as exc:
        why = f"host not found: {plain(exc.strerror or '')}"
    raise NoAnswer(why)


@dataclass(frozen=True, slots=True)
class _Sending:
    target: httpx.URL
    body: bytes
    headers: Mapping[str, str]
    limits: Limits
    public_only: bool
    proxy: str | None

    async def send(self) -> Answer:
        import httpx

        deadline = asyncio.get_running_loop().time() + self.limits.whole
        async with httpx.AsyncClient(
            timeout=httpx.Timeout(self.limits.whole, connect=self.limits.connect),
            follow_redirects=False,
            trust_env=not self.public_only,
            proxy=None if self.public_only else self.proxy,
            verify=_trust(os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR")),
        ) as client:
            async with asyncio.timeout_at(deadline):
                response = await self._response(client)
            try:
                text = await _beginning(response, deadline)
            finally:
                await response.aclose()
        return Answer(response.status_code, text, dict(response.headers))

    async def _response(self, client: httpx.AsyncClient) -> httpx.Response:
        import httpx

        if not self.public_only:
            return await client.send(self._request(client, self.target, {}), stream=True)
        port = self.target.port or (443 if self.target.scheme == "https" else 80)
        pinned: dict[str, Any] = {"sni_hostname": self.target.host}
        failure: Exception | None = None
        for address in await _public_addresses(self.target.host, port):
            request = self._request(client, self.target.copy_with(host=address), pinned)
            try:
                return await client.send(request, stream=True)
            except (httpx.ConnectError, httpx.ConnectTimeout) as exc:
                failure = exc
        raise failure or NoAnswer("it has no address")

    def _request(
        self, client: httpx.AsyncClient, url: httpx.URL, extensions: dict[str, Any]
    ) -> httpx.Request:
        given = {"user-agent": "evergreen"} | {name.lower(): self.headers[name] for name in self.headers}
        given |= {"host": self.target.netloc.decode("ascii"), "accept-encoding": "identity"}
        return client.build_request("POST", url, content=self.body, headers=given, extensions=extensions)


@cache
def _trust(_file: str | None, _folder: str | None) -> ssl.SSLContext:
    """Return whom to trust; reading the certificates takes longer than a message to a near server.

    The environment may name a file or folder of them: for each, another context.
    """
    import ssl

    return ssl.create_default_context()


async def _beginning(response: httpx.Response, deadline: float) -> str:
    """Return what of the body comes in time and fits; the status says already what became of it."""
    import httpx

    content = bytearray()
    with suppress(httpx.TransportError, TimeoutError):
        async with asyncio.timeout_at(deadline):
            async for chunk in response.aiter_raw():
                content += chunk
                if len(content) >= MOST_BYTES:
                    break
    return content[:MOST_BYTES].decode("utf-8", "replace")


async def _public_addresses(host: str, port: int) -> Sequence[str]:
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = list(dict.fromkeys(str(address[4][0]) for address in found))
    for address in addresses:
        if not is_public(address):
            raise AddressForbidden(host, address)
    return addresses


def is_public(address: str) -> bool:
    """Tell whether an IP address, and the one that it may carry within, belongs to the open internet.

    >>> is_public("93.184.215.14"), is_public("::ffff:10.0.0.1"), is_public("64:ff9b::7f00:1")
    (True, False, False)
    """
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(parsed, ipaddress.IPv6Address):
        carried = [parsed.ipv4_mapped, parsed.sixtofour, *(parsed.teredo or ())]
        if parsed in _NAT64:
            carried.append(ipaddress.IPv4Address(int(parsed) & 0xFFFFFFFF))
        within = [inner for inner in carried if inner is not None]
        if within:
            return all(is_public(str(inner)) for inner in within)
        if parsed not in _GLOBAL_UNICAST:
            return False
    return parsed.is_global and not parsed.is_multicast


def _reason(error: BaseException) -> str:
    """Return what the system said beneath the wrappings of the libraries."""
    said, inner = str(error), error.__cause__ or error.__context__
    while inner is not None:
        said = (inner.strerror if isinstance(inner, OSError) else None) or said
        inner = inner.__cause__ or inner.__context__
    return said


def _not_ours(record: logging.LogRecord) -> bool:
    return record.threadName != THREAD_NAME


def _keep_urls_out_of_logs() -> None:
    """Silence what the library logs of our requests: URLs, which may be secrets, and headers."""
    for name in ("httpx", *(f"httpcore.{part}" for part in _HTTPCORE_LOGGERS)):
        logging.getLogger(name).addFilter(_not_ours)


def not_installed(library: str) -> BadConfiguration:
    """Return what to say where a library is missing that only channels need."""
    fix = "pip install 'airflow-provider-evergreen[alerts]'"
    return BadConfiguration(f"{library} is not installed", fix=fix)


def _in_a_loop_of_its_own(work: Callable[[], Coroutine[Any, Any, Answer]]) -> Answer:
    """Run a coroutine; unlike `asyncio.run`, do not wait for a look-up that hangs in a thread."""
    loop = asyncio.new_event_loop()
    try:
        return loop.run_until_complete(work())
    finally:
        loop.close()
