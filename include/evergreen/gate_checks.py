"""What must hold between the keys of the gate, and between them and the rest of a model file.

Like `checks.py`, whose list these checks join, they look at the raw document, so that each speaks even
where another key is wrong.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any, get_args

from evergreen.document import Document, KeyPath, dotted
from evergreen.durations import Duration
from evergreen.errors import Problem
from evergreen.gate_spec import Gate, SliceRule
from evergreen.metric_spec import METRICS, RANKING, Task
from evergreen.window import windows_at

_AS_OFS = [datetime(year, month, 1, tzinfo=UTC) for year in (2023, 2024) for month in range(1, 13)]
_DAY = timedelta(days=1)
_RUNS_LOOKED_AT = 13
_CALIBRATION_BOUNDS = ("max_error", "min_slope", "max_slope")


def metric_task(document: Document) -> Task | None:
    """Return what kind of estimator the file's metric judges, or None where that is not said."""
    named = _metric_name(document)
    facts = METRICS.get(named or "")
    if facts is not None:
        return facts.task
    said = document.find("gate", "metric", "task", kind=str) if named == "own" else None
    return next((task for task in get_args(Task) if task == said), None)


def _metric_name(document: Document) -> str | None:
    section = document.find("gate", "metric", "type", kind=str)
    return document.find("gate", "metric", kind=str) or section


def columns_of_the_gate(document: Document, path: Path) -> Iterator[Problem]:  # noqa: ARG001
    """Yield a problem for each column that cannot play the part it is given, or plays it twice."""
    yield from _weight(document)
    known = {"gate.slices": set[str](), "gate.fairness.columns": set[str]()}
    for keys, column in _named_columns(document):
        part = dotted(tuple(key for key in keys if not isinstance(key, int) and key != "column"))
        if column in known.get(part, ()):
            what, fix = "this column is named twice", "name it once"
            yield document.problem(keys, what, got=repr(column), fix=fix)
            continue
        known.get(part, set()).add(column)
        if column == document.find("data", "label", "column", kind=str):
            fix = "name a column that is known when the model is asked"
            yield document.problem(keys, "this column is the label", got=repr(column), fix=fix)
        elif part in known and column in _no_groups(document):
            what = f"this column is {_no_groups(document)[column]}, which has no groups of rows"
            fix = "name a column of few values, such as a region"
            yield document.problem(keys, what, got=repr(column), fix=fix)
        elif part == "gate.slices" and column == document.find("gate", "cluster", "column", kind=str):
            what = "each slice of this column would be one cluster, and one cluster proves nothing"
            fix = "name another column, or cluster by day"
            yield document.problem(keys, what, got=repr(column), fix=fix)


def keys_that_do_nothing(document: Document, path: Path) -> Iterator[Problem]:  # noqa: ARG001
    """Yield a problem for each key that looks like a protection and protects nothing."""
    rule, usual = document.find("gate", "slice_rule", kind=dict) or {}, SliceRule().model_dump()
    chosen = any(value != usual.get(key) for key, value in rule.items())
    if chosen and not document.find("gate", "slices", kind=list):
        what = "there are no slices for this rule"
        fix = "name columns under gate.slices, or leave it out"
        yield document.problem(("gate", "slice_rule"), what, on_key=True, fix=fix)
    bounds = document.find("gate", "calibration", kind=dict) or {}
    if bounds.get("breach") is not None and all(bounds.get(key) is None for key in _CALIBRATION_BOUNDS):
        what = "there is no bound that could be breached"
        fix = f"give {', '.join(_CALIBRATION_BOUNDS)}, or leave it out"
        yield document.problem(("gate", "calibration", "breach"), what, on_key=True, fix=fix)


def fresh_days_after_a_refit(document: Document, path: Path) -> Iterator[Problem]:  # noqa: ARG001
    """Yield a problem where the champion, once refitted, has learnt from most of the next test rows."""
    schedule = document.find("schedule", kind=str)
    refit = document.find("train", "refit", kind=bool)
    by_day = document.find("gate", "cluster", kind=object) in (None, "day")
    wanted = document.find("gate", "min_clusters", kind=int) or Gate.model_fields["min_clusters"].default
    fewest = _fewest_days_between(schedule) if schedule and refit and by_day else None
    if fewest is not None and fewest < wanted:
        yield document.problem(
            ("train", "refit"),
            f"every comparison would be inconclusive: a refitted champion has learnt from all but the "
            f"{fewest} days since, and gate.min_clusters wants {wanted}",
            fix="retrain less often, leave train.refit out, or set gate.cluster to row or to a column",
        )


@cache
def _fewest_days_between(schedule: str) -> int | None:
    """Return the fewest days between two runs of a schedule, begun ones too; None for no schedule."""
    from croniter import croniter

    try:
        runs = croniter(schedule, _AS_OFS[0], ret_type=datetime)
        times: list[datetime] = [runs.get_next() for _ in range(_RUNS_LOOKED_AT)]
    except (ValueError, KeyError, IndexError, AttributeError, TypeError):
        return None
    return min(math.ceil((after - before) / _DAY) for before, after in pairwise(times))


def _no_groups(document: Document) -> Mapping[str, str]:
    found = {key: document.find("data", key, kind=str) for key in ("key", "time_column")}
    return {column: f"data.{key}" for key, column in found.items() if column is not None}


def _weight(document: Document) -> Iterator[Problem]:
    weight = document.find("data", "weight", kind=str)
    for keys in (("data", "time_column"), ("data", "key"), ("data", "label", "column")):
        if weight is not None and weight == document.find(*keys, kind=str):
            what = f"the same column as {dotted(keys)}"
            fix = "name a column of numbers, 0 or more, or leave it out: then all rows count alike"
            yield document.problem(("data", "weight"), what, got=repr(weight), fix=fix)


def _named_columns(document: Document) -> Iterator[tuple[KeyPath, str]]:
    """Yield every column that the gate groups rows by or reads a time from, with its place."""
    cluster = document.find("gate", "cluster", "column", kind=str)
    if cluster is not None:
        yield ("gate", "cluster", "column"), cluster
    for keys in (("slices",), ("fairness", "columns"), ("leaks", "computed_at")):
        listed: list[Any] = document.find("gate", *keys, kind=list) or []
        for position, entry in enumerate(listed):
            at: KeyPath = ("gate", *keys, position)
            column = entry.get("column") if isinstance(entry, dict) else entry
            if isinstance(column, str) and at not in document.refused:
                yield (*at, "column") if isinstance(entry, dict) else at, column


def what_only_classifiers_have(document: Document, path: Path) -> Iterator[Problem]:  # noqa: ARG001
    """Yield a problem for each demand that the metric or its task cannot meet."""
    fairness = document.find("gate", "fairness", "metric", kind=str)
    favourable = document.find("gate", "fairness", "favourable", kind=object)
    if fairness == "group_loss" and favourable is not None:
        what = "group_loss knows no favourable class"
        yield document.problem(("gate", "fairness", "favourable"), what, on_key=True, fix="leave it out")
    named = _metric_name(document)
    if fairness == "group_loss" and named in RANKING:
        what = f"{named} is no mean over rows, so no group has a loss of its own"
        fix = "choose another gate.metric, such as log_loss, or compare decisions"
        yield document.problem(("gate", "fairness", "metric"), what, got=repr(fairness), fix=fix)
    if metric_task(document) != "regression":
        return
    if fairness in {"demographic_parity", "equalized_odds", "equal_opportunity"}:
        yield document.problem(
            ("gate", "fairness", "metric"),
            "this compares decisions, and a regressor makes none",
            got=repr(fairness),
            allowed="group_loss",
        )
    calibration = document.find("gate", "calibration", kind=dict) or {}
    for bound in _CALIBRATION_BOUNDS:
        if calibration.get(bound) is not None:
            what = "calibration is of probabilities, and a regressor gives none"
            keys = ("gate", "calibration", bound)
            yield document.problem(keys, what, on_key=True, fix="leave it out")


def costs_named_once(document: Document, path: Path) -> Iterator[Problem]:  # noqa: ARG001
    """Yield a problem for each pair of truth and decision that has a cost already."""
    listed: list[Any] = document.find("gate", "metric", "costs", kind=list) or []
    seen: set[tuple[str, str]] = set()
    for position, entry in enumerate(listed):
        if not isinstance(entry, Mapping) or entry.get("truth") is None or entry.get("decided") is None:
            continue
        pair = (str(entry["truth"]), str(entry["decided"]))
        if pair in seen:
            keys = ("gate", "metric", "costs", position)
            got = f"truth {pair[0]!r}, decided {pair[1]!r}"
            yield document.problem(keys, "the cost of this pair stands twice", got=got, fix="keep one")
        seen.add(pair)


def enough_days(document: Document, path: Path) -> Iterator[Problem]:  # noqa: ARG001
    """Yield a problem where the test window holds fewer days than anything is proven on."""
    if (document.find("gate", "cluster", kind=object) or "day") != "day":
        return
    wanted = document.find("gate", "min_clusters", kind=object)
    if wanted is None:
        wanted = Gate.model_fields["min_clusters"].default
    train, test = (document.find("data", key, kind=str) for key in ("train_window", "test_window"))
    delay = document.find("data", "label", "delay", kind=str) or "0 days"
    if train is None or test is None or not isinstance(wanted, int):
        return
    try:
        fewest, most = _days(*map(Duration.parse, (train, test, delay)))
    except (ValueError, OverflowError):
        return  # told by the check of the windows
    if fewest >= wanted:
        return
    when = "every comparison" if most < wanted else "the comparisons of some months"
    held = f"{fewest} days" if fewest == most else f"{fewest} to {most} days"
    yield document.problem(
        ("data", "test_window"),
        f"{when} would be inconclusive: the test window (less the label's delay) holds {held} and "
        f"gate.min_clusters wants {wanted}",
        got=repr(test),
        fix="lengthen data.test_window, or set gate.cluster to row or to a column, or lower "
        "gate.min_clusters",
    )


@cache
def _days(train: Duration, test: Duration, delay: Duration) -> tuple[int, int]:
    """Return the fewest and the most days, begun ones too, that a test window holds over the year."""
    windows = [windows_at(as_of, train, test, delay).test for as_of in _AS_OFS]
    days = [math.ceil((window.end - window.start) / _DAY) for window in windows]
    return min(days), max(days)
