"""What is known beside an entry, and how text of others becomes lines of a message."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from evergreen.gate_spec import Tier
from evergreen.redaction import redact
from evergreen.text import plain

MOST_LINES = 12
LONGEST_LINE = 300


@dataclass(frozen=True, slots=True)
class Context:
    """What the run's pinned model file and its other entries say.

    `undecided`: the gate's answer was "inconclusive". `quoting` are pairs of a column and a value found
    in the data that the run's report may quote.
    """

    owner: str | None = None
    tier: Tier = "medium"
    triggered_by: str | None = None
    as_of: datetime | None = None
    undecided: bool = False
    quoting: tuple[tuple[str, str], ...] = ()

    def quotes(self, line: str) -> bool:
        """Return whether a line quotes a value found in the data."""
        return any(column in line and value in line for column, value in self.quoting)


def shown(text: object) -> str:
    """Return a text as one bounded line without secrets."""
    return plain(redact(str(text)), LONGEST_LINE)


def lines_of(texts: Iterable[object]) -> tuple[str, ...]:
    """Return texts as bounded lines; where there are too many, the last says how many are left out."""
    found = [shown(text) for text in texts]
    if len(found) <= MOST_LINES:
        return tuple(found)
    return (*found[: MOST_LINES - 1], f"and {len(found) - MOST_LINES + 1} more lines")
