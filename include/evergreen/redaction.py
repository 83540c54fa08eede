"""The one redactor: removes known secrets, by value, from everything that leaves.

Connections register their secrets with `hide` as they are resolved.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator, Sequence, Set
from functools import partial
from urllib.parse import quote, quote_plus

from evergreen.text import html

MASK = "***"
CUT = "…"
"""What stands where a text was cut short (`errors.bounded`, `text.plain`)."""
SHORTEST_SECRET = 4

_secrets: dict[str, None] = {}
_ESCAPE = re.compile("%[0-9A-F]{2}")
_URL_PASSWORD = re.compile(
    r"(?P<head>[a-zA-Z][a-zA-Z0-9+.-]{0,60}://[^/\s:@\"'<>]{0,200}:)"
    r"(?![0-9]{1,5}/)[^\s\"'<>]{1,1000}(?=@)"
)
_SECRET_ARGUMENT = re.compile(
    r"(?i)(?P<head>[?&;](?:password|passwd|pwd|passphrase|secret|token|api_?key|access_?key|sslpassword"
    r"|account_?key|shared_?access_?(?:key|signature)|sig|x-amz-(?:signature|security-token))=)"
    r"[^\s&;\"'<>]+"
)
_KNOWN_SECRET = re.compile(
    r"(?P<head>https://hooks\.slack(?:-gov)?\.com/(?:services|triggers|workflows)/|xox[a-z]-|whsec_)"
    r"[A-Za-z0-9+/=._-]+"
)
"""Secrets that are known by their form: Slack's webhooks and tokens, signing secrets of webhooks."""


def hide(secret: str) -> None:
    """Register a secret; from now on it is masked in every form of `forms`."""
    if len(secret) >= SHORTEST_SECRET:
        _secrets.update(dict.fromkeys(form for form in forms(secret) if len(form) >= SHORTEST_SECRET))


def forms(secret: str) -> set[str]:
    """Return how a secret may be written: plain, within a URL, JSON, HTML, Python, base64 or hex.

    What is escaped may be escaped once more, as JSON in the text of an exception is.
    Base64 of a longer text that holds the secret has one of three forms, by where it begins in it.
    """
    content = secret.encode(errors="surrogateescape")
    quoted = {quote(content, safe=safe) for safe in ("", "/", " +")} | {quote_plus(content)}
    escapes = (json.dumps, partial(json.dumps, ensure_ascii=False), repr, ascii)
    written = {repr(content)[2:-1], *(escape(secret)[1:-1] for escape in escapes)}
    return {
        secret,
        " ".join(secret.split()),
        html(secret),
        *quoted,
        *(_ESCAPE.sub(lambda escape: escape[0].lower(), one) for one in quoted),
        *written,
        *(escape(one)[1:-1] for one in written for escape in escapes),
        content.hex(),
        content.hex().upper(),
        *_in_base64(content),
    }


def _in_base64(content: bytes) -> Iterator[str]:
    """Yield the characters that `content` alone decides, wherever it begins among three bytes."""
    for before in range(3):
        first, last = (8 * before + 5) // 6, 8 * (before + len(content)) // 6
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            yield encode(bytes(before) + content).decode()[first:last]


def redact(text: str) -> str:
    """Return `text` with every registered secret, and every password within a URL, masked.

    >>> redact("postgresql://bob:hunter22@db/x")
    'postgresql://bob:***@db/x'
    """
    secrets = sorted(_secrets, key=len, reverse=True)  # a copy: other threads may hide more meanwhile
    for secret in secrets:
        text = text.replace(secret, MASK)
    if CUT in text:
        text = _without_beginnings(text, secrets)
    text = _URL_PASSWORD.sub(rf"\g<head>{MASK}", text)
    text = _SECRET_ARGUMENT.sub(rf"\g<head>{MASK}", text)
    return _KNOWN_SECRET.sub(rf"\g<head>{MASK}", text)


def _without_beginnings(text: str, secrets: Sequence[str]) -> str:
    """Mask what is left of a secret where a text was cut within it; the longest secret comes first."""
    if not secrets:
        return text
    heads = {secret[:SHORTEST_SECRET] for secret in secrets}
    *cut, last = text.split(CUT)
    return CUT.join([*(_without_beginning(part, heads, secrets) for part in cut), last])


def _without_beginning(part: str, heads: Set[str], secrets: Sequence[str]) -> str:
    longest = len(secrets[0])
    for start in range(max(0, len(part) - longest), len(part) - SHORTEST_SECRET + 1):
        if part[start : start + SHORTEST_SECRET] in heads:
            left = part[start:]
            if any(secret.startswith(left) for secret in secrets):
                return part[:start] + MASK
    return part


def holds_password(url: str) -> bool:
    """Tell whether a URL carries a password, in its user part or among its arguments."""
    return bool(_URL_PASSWORD.search(url) or _SECRET_ARGUMENT.search(url))
