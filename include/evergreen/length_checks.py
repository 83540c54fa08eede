"""How long a duration of a file may be: more than nothing, and not so long that no date is as far off.

Like `checks.py`, whose list these checks join, they look at the raw document, so that each speaks even
where another key is wrong. Lengths of windows, which reach back, and of a retry's delay have checks of
their own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

from evergreen.document import Document, KeyPath
from evergreen.durations import Duration
from evergreen.errors import Problem

LONGEST = Duration(100, "years")

_LENGTHS: Mapping[tuple[str, ...], str | None] = {
    ("timeout",): "Airflow takes this for no limit at all",
    ("stale_after",): "every model is this old",
    ("release", "approval", "timeout"): "nobody can answer in no time",
    ("monitor", "retrain", "cooldown"): None,
    ("monitor", "retrain", "cost", "horizon"): None,
}
"""Durations that are counted from some time on, and why one may not be nothing; None: it may."""
_FROM = datetime(2024, 1, 1, tzinfo=UTC)


def lengths(document: Document, path: Path) -> Iterator[Problem]:  # noqa: ARG001
    """Yield a problem for each duration of a model file that is too long, or may not be nothing."""
    for keys, nothing in _LENGTHS.items():
        yield from _problem(document, keys, document.find(*keys, kind=str), nothing)


def lengths_of_escalation(document: Document, path: Path) -> Iterator[Problem]:  # noqa: ARG001
    """Yield a problem for each channel that would hear of an incident only after too long a time."""
    entries: list[object] = document.find("alerts", kind=list) or []
    for position, entry in enumerate(entries):
        keys: KeyPath = ("alerts", position, "unacknowledged_for")
        text = entry.get("unacknowledged_for") if isinstance(entry, dict) else None
        if keys not in document.refused:
            yield from _problem(document, keys, text, None)


def _problem(document: Document, keys: KeyPath, text: object, nothing: str | None) -> Iterator[Problem]:
    length = Duration.find(text)
    if length is None:
        return  # where it is written wrongly the spec says so
    what = nothing if length.count == 0 else "too long" if _too_long(length) else None
    if what is not None:
        allowed = f"at most {LONGEST}" if nothing is None else f"more than nothing, at most {LONGEST}"
        yield document.problem(keys, what, got=str(length), allowed=allowed)


def _too_long(length: Duration) -> bool:
    try:
        return length.after(_FROM) > LONGEST.after(_FROM)
    except (ValueError, OverflowError):
        return True
