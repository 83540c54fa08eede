"""The one redactor: removes known secrets, by value, from everything that leaves.

Connections register their secrets with `hide` as they are resolved.
"""

from __future__ import annotations

import base64
import json
import re
from urllib.parse import quote, quote_plus

MASK = "***"
SHORTEST_SECRET = 4

_secrets: dict[str, None] = {}
_URL_PASSWORD = re.compile(
    r"(?P<head>[a-zA-Z][a-zA-Z0-9+.-]{0,60}://[^/\s:@\"'<>]{0,200}:)"
    r"(?![0-9]{1,5}/)[^\s\"'<>]{1,1000}(?=@)"
)
_SECRET_ARGUMENT = re.compile(
    r"(?i)(?P<head>[?&;](?:password|passwd|pwd|passphrase|secret|token|api_?key|access_?key|sslpassword)=)"
    r"[^\s&;\"'<>]+"
)
_KNOWN_SECRET = re.compile(
    r"(?P<head>https://hooks\.slack(?:-gov)?\.com/(?:services|triggers|workflows)/|xox[a-z]-|whsec_)"
    r"[A-Za-z0-9+/=._-]+"
)
"""Secrets that are known by their form: Slack's webhooks and tokens, signing secrets of webhooks."""


def hide(secret: str) -> None:
    """Register a secret; its plain, URL-, JSON- and base64-encoded forms are masked from now on."""
    if len(secret) < SHORTEST_SECRET:
        return
    one_line = " ".join(secret.split())
    encoded = base64.b64encode(secret.encode()).decode()
    forms = {secret, one_line, quote(secret, safe=""), quote_plus(secret), json.dumps(secret)[1:-1]}
    forms |= {repr(secret)[1:-1], encoded, encoded.rstrip("=")}
    _secrets.update(dict.fromkeys(form for form in forms if len(form) >= SHORTEST_SECRET))


def redact(text: str) -> str:
    """Return `text` with every registered secret, and every password within a URL, masked.

    >>> redact("postgresql://bob:hunter22@db/x")
    'postgresql://bob:***@db/x'
    """
    for secret in sorted(_secrets, key=len, reverse=True):
        text = text.replace(secret, MASK)
    text = _URL_PASSWORD.sub(rf"\g<head>{MASK}", text)
    text = _SECRET_ARGUMENT.sub(rf"\g<head>{MASK}", text)
    return _KNOWN_SECRET.sub(rf"\g<head>{MASK}", text)


def holds_password(url: str) -> bool:
    """Tell whether a URL carries a password, in its user part or among its arguments."""
    return bool(_URL_PASSWORD.search(url) or _SECRET_ARGUMENT.search(url))
