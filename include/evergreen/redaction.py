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
_URL_PASSWORD = re.compile(r"(?P<head>[a-zA-Z][a-zA-Z0-9+.-]*://[^/\s:@]*:)[^@\s/]+(?=@)")


def hide(secret: str) -> None:
    """Register a secret; its plain, URL-, JSON- and base64-encoded forms are masked from now on."""
    if len(secret) < SHORTEST_SECRET:
        return
    encoded = base64.b64encode(secret.encode()).decode()
    forms = {secret, quote(secret, safe=""), quote_plus(secret), json.dumps(secret)[1:-1]}
    forms |= {repr(secret)[1:-1], encoded, encoded.rstrip("=")}
    _secrets.update(dict.fromkeys(forms))


def redact(text: str) -> str:
    """Return `text` with every registered secret and every password within a URL masked.

    >>> redact("postgresql://bob:hunter22@db/x")
    'postgresql://bob:***@db/x'
    """
    for secret in sorted(_secrets, key=len, reverse=True):
        text = text.replace(secret, MASK)
    return _URL_PASSWORD.sub(rf"\g<head>{MASK}", text)
