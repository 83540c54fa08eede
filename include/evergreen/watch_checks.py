"""What must hold between the keys of `score` and `monitor`, and between them and the rest of a file.

Like `checks.py`, whose list these checks join, they look at the raw document, so that each speaks even
where another key is wrong.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from evergreen.document import Document, KeyPath
from evergreen.durations import Duration
from evergreen.errors import Problem
from evergreen.gate_checks import metric_task

ORDERED_ONLY = frozenset({"anderson_darling", "kolmogorov_smirnov", "lepage", "wasserstein"})
"""Distances that mean something only where cells lie on a line."""

_WINDOWS: Mapping[tuple[str, ...], str] = {
    ("score", "window"): "the window is empty",
    ("monitor", "window"): "the window is empty",
    ("monitor", "health", "stale_after"): "no row is ever this young",
}
_AS_OF = datetime(2024, 1, 1, tzinfo=UTC)


def watch_windows(document: Document, path: Path) -> Iterator[Problem]:  # noqa: ARG001
    """Yield a problem for each window that holds nothing or begins before there were dates."""
    for keys, empty in _WINDOWS.items():
        length = Duration.find(document.find(*keys, kind=str))
        if length is None:
            continue  # where it is written wrongly the spec says so
        if length.count == 0:
            yield document.problem(keys, empty, got=str(length))
            continue
        try:
            length.before(_AS_OF)
        except (ValueError, OverflowError):
            what = "the window reaches back before the year 1"
            yield document.problem(keys, what, got=str(length), fix="shorten it")


def something_to_watch(document: Document, path: Path) -> Iterator[Problem]:  # noqa: ARG001
    """Yield a problem where a watch is asked for and nothing is logged that it could watch."""
    monitor = document.find("monitor", kind=dict)
    if monitor is None:
        return
    if document.find("score", kind=dict) is None and monitor.get("source") is None:
        yield document.problem(
            ("monitor",),
            "nothing is logged to watch",
            on_key=True,
            fix="add a section score, or name where you log predictions under monitor.source",
        )


def columns_of_the_watch(document: Document, path: Path) -> Iterator[Problem]:  # noqa: ARG001
    """Yield a problem for each column of `monitor` that cannot play the part it is given."""
    parts = _parts(document)
    ignored: list[Any] = document.find("monitor", "ignore", kind=list) or []
    for position, column in enumerate(ignored):
        keys: KeyPath = ("monitor", "ignore", position)
        if not isinstance(column, str) or keys in document.refused:
            continue
        yield from _no_feature(document, keys, column, parts)
        if column in ignored[:position]:
            what, fix = "this column is named twice", "name it once"
            yield document.problem(keys, what, got=repr(column), fix=fix)
    for column in document.find("monitor", "distances", "columns", kind=dict) or {}:
        keys = ("monitor", "distances", "columns", column)
        yield from _no_feature(document, keys, column, parts, on_key=True)
    yield from _predictions(document, parts)


def distances_of_unordered_cells(document: Document, path: Path) -> Iterator[Problem]:  # noqa: ARG001
    """Yield a problem where categories are to be measured by a distance that needs an order."""
    name = document.find("monitor", "distances", "categories", kind=str)
    if name in ORDERED_ONLY:
        yield document.problem(
            ("monitor", "distances", "categories"),
            "this distance needs an order, and categories have none",
            got=repr(name),
            fix="choose jensen_shannon, hellinger, l_infinity, chi_square or psi",
        )


def _predictions(document: Document, parts: Mapping[str, str]) -> Iterator[Problem]:
    section: KeyPath = ("monitor", "source")
    used = dict(parts)
    for keys, column in _mapped(document):
        if column in used:
            yield document.problem(
                keys,
                f"this column is {used[column]}",
                got=repr(column),
                fix="name the column that holds what the model answered",
            )
        used.setdefault(column, "named already")
    classes = document.find(*section, "probabilities", kind=dict)  # type: ignore[arg-type]
    if classes is not None and metric_task(document) == "regression":
        what = "a regression has no classes"
        fix = "name the column of its value under prediction"
        yield document.problem((*section, "probabilities"), what, on_key=True, fix=fix)


def _mapped(document: Document) -> Iterator[tuple[KeyPath, str]]:
    for key in ("prediction", "version"):
        column = document.find("monitor", "source", key, kind=str)
        if column is not None:
            yield ("monitor", "source", key), column
    classes = document.find("monitor", "source", "probabilities", kind=dict) or {}
    for name, column in classes.items():
        keys: KeyPath = ("monitor", "source", "probabilities", name)
        if isinstance(column, str) and keys not in document.refused:
            yield keys, column


def _no_feature(
    document: Document, keys: KeyPath, column: str, parts: Mapping[str, str], *, on_key: bool = False
) -> Iterator[Problem]:
    if column in parts:
        what = f"this column is {parts[column]}, which is no feature"
        fix = "leave it out: only features are watched for drift"
        yield document.problem(keys, what, on_key=on_key, got=repr(column), fix=fix)


def _parts(document: Document) -> dict[str, str]:
    """Return the columns that are no features, and what they are instead."""
    found = {}
    for keys, part in (
        (("data", "weight"), "the weight"),
        (("data", "label", "column"), "the label"),
        (("data", "time_column"), "the time"),
        (("data", "key"), "the key"),
    ):
        column = document.find(*keys, kind=str)
        if column is not None:
            found[column] = part
    return found
