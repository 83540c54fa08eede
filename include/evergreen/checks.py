"""What must hold between the keys of a model file, checked without opening any other file.

Each check looks at the raw document, so that it speaks even where another key is wrong.
"""

from __future__ import annotations

import re
import zoneinfo
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from evergreen.alert_checks import CHANNEL_CHECKS, approval_of_what_matters, stale_after_a_retrain
from evergreen.cron import spread, whose
from evergreen.document import Document
from evergreen.durations import Duration
from evergreen.errors import Problem
from evergreen.gate_checks import (
    columns_of_the_gate,
    costs_named_once,
    enough_days,
    fresh_days_after_a_refit,
    keys_that_do_nothing,
    what_only_classifiers_have,
)
from evergreen.length_checks import lengths, lengths_of_escalation
from evergreen.names import did_you_mean, name_problem
from evergreen.pod_checks import POD_CHECKS
from evergreen.source_checks import SOURCES, file_patterns, passwords, queries
from evergreen.source_spec import one_of
from evergreen.spec import MOST_TAGS
from evergreen.watch_checks import (
    columns_of_the_watch,
    distances_of_unordered_cells,
    something_to_watch,
    watch_windows,
)
from evergreen.window import windows_at

CRON_WORDS = ("@hourly", "@daily", "@weekly", "@monthly", "@quarterly", "@yearly")
MODEL_SUFFIXES = (".yaml", ".yml")
LONGEST_RETRY_DELAY = Duration(1, "days")

_ONE_OF_EACH: tuple[tuple[tuple[str, ...], str, str], ...] = (
    *((keys, "connection", "url") for keys in SOURCES),
    *((keys, "query", "query_file") for keys in SOURCES),
    (("train",), "estimator", "pipeline"),
    (("monitor", "source"), "prediction", "probabilities"),
)
SHORTEST_MONTH = 28
_SCHEDULES = (("schedule",), ("score", "schedule"), ("monitor", "schedule"))
_RANDOM_CRON = re.compile(r"(?:^|[\s,/-])[hRr](?:$|[\s,/(])")
_AS_OFS = [datetime(year, month, 1, tzinfo=UTC) for year in (2023, 2024) for month in range(1, 13)]


def check(document: Document, path: Path) -> list[Problem]:
    """Return every problem between the keys of the model file at `path`."""
    checks: tuple[Callable[[Document, Path], Iterator[Problem]], ...] = (
        _name,
        _tags,
        _one_of_each,
        _schedule,
        _time_zone,
        _windows,
        _retry_delay,
        lengths,
        lengths_of_escalation,
        _columns,
        passwords,
        queries,
        file_patterns,
        columns_of_the_gate,
        what_only_classifiers_have,
        costs_named_once,
        enough_days,
        fresh_days_after_a_refit,
        keys_that_do_nothing,
        watch_windows,
        something_to_watch,
        columns_of_the_watch,
        distances_of_unordered_cells,
        *CHANNEL_CHECKS,
        stale_after_a_retrain,
        approval_of_what_matters,
        *POD_CHECKS,
    )
    return [problem for one in checks for problem in one(document, path)]


def _name(document: Document, path: Path) -> Iterator[Problem]:
    name = document.find("name", kind=str)
    if name is not None and name != path.stem and name_problem(name) is None:
        fix = f"rename the file to {name}{path.suffix}, or the model to {path.stem}"
        yield document.problem(("name",), "differs from the file's stem", got=repr(name), fix=fix)
    for suffix in MODEL_SUFFIXES:
        twin = path.with_suffix(suffix)
        if suffix != path.suffix and twin.exists():
            what = "two model files with one name"
            yield document.problem(
                (), what, got=f"{path.name} and {twin.name}", fix="delete one of them"
            )


def _tags(document: Document, path: Path) -> Iterator[Problem]:  # noqa: ARG001
    tags = document.find("tags", kind=list) or []
    if len(tags) > MOST_TAGS:
        allowed = f"at most {MOST_TAGS} entries"
        yield document.problem(("tags",), "out of range", got=f"a list of {len(tags)}", allowed=allowed)


def _one_of_each(document: Document, path: Path) -> Iterator[Problem]:  # noqa: ARG001
    """Repeat what the spec's validators say: those are silent where a section has another error."""
    for keys, first, second in _ONE_OF_EACH:
        section = document.find(*keys, kind=dict)
        if section is None or section.get("type", "sql") != "sql":
            continue
        if (section.get(first) is None) == (section.get(second) is None):
            yield document.problem(keys, one_of(first, second), on_key=True)


def _schedule(document: Document, path: Path) -> Iterator[Problem]:  # noqa: ARG001
    for keys in _SCHEDULES:
        schedule = document.find(*keys, kind=str)
        if schedule is None or schedule in CRON_WORDS:
            continue
        why = _cron_problem(schedule, whose(document.find("name", kind=str), *keys[:-1]))
        if why:
            fields = "five fields (minute, hour, day, month, weekday) such as '0 6 1 * *'"
            allowed = f"{fields}, {', '.join(CRON_WORDS)}"
            hint = did_you_mean(schedule, CRON_WORDS) if schedule.startswith("@") else None
            yield document.problem(keys, why, got=repr(schedule), allowed=allowed, fix=hint)


def _cron_problem(expression: str, who: str) -> str | None:
    from croniter import CroniterBadDateError, croniter

    fields = expression.split()
    if len(expression) > 200 or len(fields) != 5 or _RANDOM_CRON.search(expression):
        return "not a cron expression"
    if fields[2] == "H":
        return "an H for the day may stand for the 31st, which few months have: write H(1-28)"
    try:
        plain = spread(expression, who)
        if plain != expression and _late_in_the_month(fields[2], plain.split()[2]):
            return f"{plain!r}, which this is for this model, skips short months: write H(1-28)"
        croniter(plain, _AS_OFS[0]).get_next()
    except CroniterBadDateError:
        numbers = "" if plain == expression else f", which is {plain!r} for this model,"
        return f"this cron expression{numbers} never comes due"
    except (ValueError, KeyError, IndexError, AttributeError, TypeError):
        return "not a cron expression"
    return None


def _late_in_the_month(written: str, days: str) -> bool:
    """Return whether an H stands for no day but such as some month lacks."""
    return "H" in written and all(int(day) > SHORTEST_MONTH for day in days.split(","))


def _time_zone(document: Document, path: Path) -> Iterator[Problem]:  # noqa: ARG001
    name = document.find("data", "time_zone", kind=str)
    if name is None:
        return
    try:
        zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        yield document.problem(
            ("data", "time_zone"),
            "no such time zone",
            got=repr(name),
            allowed="names of the IANA database, such as UTC or America/New_York",
            fix=did_you_mean(name, zoneinfo.available_timezones()),
        )


def _duration(document: Document, *keys: str) -> Duration | None:
    return Duration.find(document.find(*keys, kind=str))


def _windows(document: Document, path: Path) -> Iterator[Problem]:  # noqa: ARG001
    train = _duration(document, "data", "train_window")
    test = _duration(document, "data", "test_window")
    delay = _duration(document, "data", "label", "delay") or Duration(0, "days")
    lengths = {"train_window": train, "test_window": test}
    empty = [key for key, length in lengths.items() if length is not None and length.count == 0]
    for key in empty:
        yield document.problem(("data", key), "the window is empty", got=f"0 {lengths[key].unit}")  # type: ignore[union-attr]
    if train is None or test is None or empty:
        return
    flaw = _window_flaw(train, test, delay)
    if flaw == _TOO_EARLY:
        yield document.problem(("data",), flaw, fix="shorten them")
    elif flaw:
        yield document.problem(("data", "label", "delay"), flaw, fix="make the test window longer")


_TOO_EARLY = "the windows reach back before the year 1"


@cache
def _window_flaw(train: Duration, test: Duration, delay: Duration) -> str | None:
    """Return why windows of these lengths cannot be derived at some time of the year, or None.

    Kept for the next file: of a thousand models most share a few lengths.
    """
    for as_of in _AS_OFS:
        try:
            windows_at(as_of, train, test, delay)
        except OverflowError:
            return _TOO_EARLY
        except ValueError as exc:
            early = "year" in str(exc) and "range" in str(exc)
            return _TOO_EARLY if early else f"{exc} (as of {as_of:%B})"
    return None


def _retry_delay(document: Document, path: Path) -> Iterator[Problem]:  # noqa: ARG001
    delay = _duration(document, "retries", "delay")
    if delay is None:
        return
    start = _AS_OFS[0]
    try:
        too_long = delay.after(start) > LONGEST_RETRY_DELAY.after(start)
    except (ValueError, OverflowError):
        too_long = True
    if too_long:
        allowed = f"at most {LONGEST_RETRY_DELAY}"
        yield document.problem(("retries", "delay"), "too long a wait", got=str(delay), allowed=allowed)


def _columns(document: Document, path: Path) -> Iterator[Problem]:  # noqa: ARG001
    used: dict[str, str] = {}
    for keys in (("data", "time_column"), ("data", "key"), ("data", "label", "column")):
        column = document.find(*keys, kind=str)
        if column is None:
            continue
        first = used.setdefault(column, ".".join(keys))
        if first != ".".join(keys):
            what = f"the same column as {first}"
            yield document.problem(keys, what, got=repr(column), fix="name three different columns")
