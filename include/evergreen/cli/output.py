"""How the command line prints: results to standard output, talk to standard error, secrets nowhere."""

from __future__ import annotations

import json
import sys
from typing import Any

from rich.console import Console
from rich.table import Table

from evergreen.redaction import redact

WIDTH_OF_A_PIPE = 400
"""A pipe has no width of its own: whoever reads it wants whole lines."""


def say(text: str) -> None:
    """Print a result."""
    print(redact(text))


def say_table(table: Table) -> None:
    """Print a table of texts that hold no markup, as wide as the terminal."""
    width = None if sys.stdout.isatty() else WIDTH_OF_A_PIPE
    console = Console(width=width, markup=False, highlight=False)
    with console.capture() as captured:
        console.print(table)
    say("\n".join(line.rstrip() for line in captured.get().splitlines()))


def say_json(value: Any) -> None:
    """Print a result as JSON with sorted keys."""
    say(json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False))


def complain(text: str) -> None:
    """Print an error."""
    print(f"evergreen: {redact(text)}", file=sys.stderr)
