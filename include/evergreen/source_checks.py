"""What must hold of the sources that a model file names, checked without opening any other file.

Like `checks.py`, whose list these checks join, they look at the raw document.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from evergreen.document import Document, KeyPath
from evergreen.errors import Problem
from evergreen.paths import contained
from evergreen.query import flaws
from evergreen.redaction import holds_password, redact

DATA_SOURCE = ("data", "source")
SCORE_SOURCE = ("score", "source")
MONITOR_SOURCE = ("monitor", "source", "source")
SOURCES: tuple[tuple[str, ...], ...] = (DATA_SOURCE, SCORE_SOURCE, MONITOR_SOURCE)
"""Where a model file names sources."""


def passwords(document: Document, path: Path) -> Iterator[Problem]:  # noqa: ARG001
    """Yield a problem for each database URL that holds a password."""
    for keys in SOURCES:
        url = document.find(*keys, "url", kind=str)
        if url is not None and holds_password(url):
            yield _password(document, (*keys, "url"), url)


def queries(document: Document, path: Path) -> Iterator[Problem]:  # noqa: ARG001
    """Yield what is wrong with queries that stand in the file itself."""
    for keys in SOURCES:
        query = document.find(*keys, "query", kind=str)
        for flaw in flaws(query) if query is not None else ():
            yield document.problem((*keys, "query"), flaw.what, got=flaw.got, fix=flaw.fix)


def file_patterns(document: Document, path: Path) -> Iterator[Problem]:
    """Yield a problem for each glob that leaves the model file's folder or holds a password."""
    for section in SOURCES:
        patterns: list[Any] = document.find(*section, "paths", kind=list) or []
        for position, pattern in enumerate(patterns):
            keys: KeyPath = (*section, "paths", position)
            if isinstance(pattern, str) and keys not in document.refused:
                yield from _pattern(document, path, keys, pattern)


def _pattern(document: Document, path: Path, keys: KeyPath, pattern: str) -> Iterator[Problem]:
    scheme, separator, _ = pattern.partition("://")
    if holds_password(pattern):
        yield _password(document, keys, pattern)
    elif "::" in pattern or (separator and scheme.lower() in {"file", "local"}):
        what = "files of this machine are named relative to the model file's folder"
        yield document.problem(keys, what, got=redact(pattern), fix="write data/*.parquet, say")
    elif not separator:
        try:
            contained(path.parent, pattern)
        except ValueError as exc:
            yield document.problem(keys, str(exc), fix="move the files below that folder")


def _password(document: Document, keys: KeyPath, url: str) -> Problem:
    return document.problem(
        keys,
        "a model file must not hold a password",
        got=redact(url),
        fix="keep it in an Airflow connection and name that under 'connection'",
    )
