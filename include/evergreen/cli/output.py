"""How the command line prints: results to standard output, talk to standard error, secrets nowhere."""

from __future__ import annotations

import json
import sys
from typing import Any

from evergreen.redaction import redact


def say(text: str) -> None:
    """Print a result."""
    print(redact(text))


def say_json(value: Any) -> None:
    """Print a result as JSON with sorted keys."""
    say(json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False))


def complain(text: str) -> None:
    """Print an error."""
    print(f"evergreen: {redact(text)}", file=sys.stderr)
