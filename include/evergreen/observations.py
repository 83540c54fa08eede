"""Says in one bounded sentence what an expectation found. Pure: it imports no validation library.

A result is what Great Expectations gives for one expectation: row-level ones count elements, the
others carry an observed value.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from datetime import date, datetime
from typing import Any

from evergreen.errors import bounded
from evergreen.redaction import redact
from evergreen.text import plain

LONGEST_SENTENCE = 400
LONGEST_VALUE = 80
_LARGEST_EXACT = 2**53
_SHOWN_VALUES = 5
_SUBJECT = re.compile(r"^expect_(?:column|table)_(.+?)_to_(?:be|equal|contain|match)(?:_.*)?$")

_ROW_FAULTS: Mapping[str, str] = {
    "expect_column_values_to_not_be_null": "missing",
    "expect_column_values_to_be_null": "not missing",
    "expect_column_values_to_be_unique": "not unique",
    "expect_compound_columns_to_be_unique": "not unique together",
    "expect_column_values_to_match_regex": "not matching the pattern",
    "expect_column_values_to_not_match_regex": "matching the pattern",
    "expect_column_values_to_be_increasing": "not increasing",
    "expect_column_values_to_be_decreasing": "not decreasing",
    "expect_column_pair_values_to_be_equal": "not equal",
}


def observed_rows(
    expectation: str,
    arguments: Mapping[str, Any],
    result: Mapping[str, Any],
    values: Iterable[object],
) -> str:
    """Return what a row-level expectation found; `values` are examples of failing ones.

    >>> observed_rows("expect_column_values_to_be_between", {"min_value": 0, "max_value": 24},
    ...     {"element_count": 10000, "missing_count": 0, "unexpected_count": 3}, [25, 31, 99])
    '3 of 10,000 values (0.03 %) outside [0, 24]: 25, 31, 99'
    """
    failing = int(result.get("unexpected_count") or 0)
    missing = int(result.get("missing_count") or 0)
    elements = int(result.get("element_count") or 0)
    judged = elements - missing
    if not judged:
        return (
            "no rows to judge" if not elements else f"no values to judge: all {elements:,} are missing"
        )
    if not failing:
        sentence = f"all {judged:,} values pass"
    else:
        share = _percent(failing, judged)
        fault = _fault(expectation, arguments)
        sentence = f"{failing:,} of {judged:,} values ({share} %) {fault}{_listed(values)}"
    if missing:
        sentence += f"; {missing:,} missing values not judged"
    return bounded(sentence, LONGEST_SENTENCE)


def observed_whole(
    expectation: str, arguments: Mapping[str, Any], result: Mapping[str, Any], passed: bool
) -> str:
    """Return what an expectation about a column or the table as a whole found.

    >>> expectation, arguments = "expect_column_mean_to_be_between", {"min_value": 100}
    >>> observed_whole(expectation, arguments, {"observed_value": 5.5}, passed=False)
    'mean is 5.5; expected at least 100'
    """
    if expectation == "expect_column_to_exist":
        return "the column is there" if passed else "there is no such column at this place"
    match = _SUBJECT.match(expectation)
    subject = match[1].replace("_", " ") if match else "observed value"
    found = result.get("observed_value")
    parts = [f"{subject} {'are' if subject.endswith('s') else 'is'} {_words(found)}"]
    if found is None:
        parts = [_uncounted(subject, result)]
    expected = _expected(arguments)
    parts += [f"expected {expected}"] if expected else []
    mismatch = "" if passed else _mismatch(result)
    parts += [mismatch] if mismatch else []
    return bounded("; ".join(parts), LONGEST_SENTENCE)


def shown(value: object) -> str:
    r"""Return a value of the data as one short printable line without secrets.

    >>> shown(25.0), shown("a\nb"), shown(None), shown("")
    ('25', 'a b', 'null', "''")
    """
    plain_value = value.item() if hasattr(value, "item") else value
    if plain_value is None:
        return "null"
    if isinstance(plain_value, float) and math.isfinite(plain_value):
        return f"{plain_value:.15g}"
    if isinstance(plain_value, datetime):
        return plain_value.isoformat(sep=" ")
    return bounded(redact(plain(plain_value)), LONGEST_VALUE) or "''"


def json_value(value: object) -> Any:
    """Return `value` as plain JSON; what JSON cannot hold exactly becomes its text.

    >>> json_value({"a": (1, float("inf")), 2: {3}})
    {'a': [1, 'inf'], '2': [3]}
    """
    item = value.item() if hasattr(value, "item") else value
    if item is None or isinstance(item, (bool, str)):
        return item
    if isinstance(item, int):
        return item if abs(item) <= _LARGEST_EXACT else str(item)
    if isinstance(item, float):
        return item if math.isfinite(item) else str(item)
    if isinstance(item, Mapping):
        return {str(key): json_value(entry) for key, entry in item.items()}
    if isinstance(item, (set, frozenset)):
        return [json_value(entry) for entry in sorted(item, key=repr)]
    if isinstance(item, (list, tuple)):
        return [json_value(entry) for entry in item]
    return item.isoformat() if isinstance(item, (date, datetime)) else str(item)


def columns_of(arguments: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the columns that an expectation's arguments name, each once."""
    named = [arguments.get(name) for name in ("column", "column_A", "column_B")]
    several = arguments.get("column_list")
    named += several if isinstance(several, list) else []
    return tuple(dict.fromkeys(name for name in named if isinstance(name, str)))


def _listed(values: Iterable[object]) -> str:
    examples = list(dict.fromkeys(shown(value) for value in values if value is not None))
    more = ", …" if len(examples) > _SHOWN_VALUES else ""
    return f": {', '.join(examples[:_SHOWN_VALUES])}{more}" if examples else ""


def _uncounted(subject: str, result: Mapping[str, Any]) -> str:
    if "unexpected_count" in result:
        found = result.get("partial_unexpected_list") or ()
        return f"{result['unexpected_count']:,} {subject} not expected{_listed(found)}"
    if "missing_count" in result:
        lost = result.get("partial_missing_list") or ()
        return f"{result['missing_count']:,} {subject} not found{_listed(lost)}"
    return f"{subject} cannot be computed: no values"


def _percent(part: int, whole: int) -> str:
    percent = 100 * part / whole
    if part < whole and percent > 99.99:
        return ">99.99"
    if percent < 0.01:
        return "<0.01"
    return f"{percent:.2f}".rstrip("0").rstrip(".")


def _fault(expectation: str, arguments: Mapping[str, Any]) -> str:
    if expectation.endswith("_to_be_between"):
        return f"outside {_interval(arguments)}"
    if "value_set" in arguments:
        side = "among" if "_not_be_in_set" in expectation else "not among"
        return f"{side} {_words(arguments['value_set'])}"
    return _ROW_FAULTS.get(expectation, "not as expected")


def _interval(arguments: Mapping[str, Any]) -> str:
    low, high = arguments.get("min_value"), arguments.get("max_value")
    left = "(-∞" if low is None else f"{'(' if arguments.get('strict_min') else '['}{shown(low)}"
    right = "∞)" if high is None else f"{shown(high)}{')' if arguments.get('strict_max') else ']'}"
    return f"{left}, {right}"


def _expected(arguments: Mapping[str, Any]) -> str:
    low, high = arguments.get("min_value"), arguments.get("max_value")
    bounds = []
    if low is not None:
        bounds.append(f"{'above' if arguments.get('strict_min') else 'at least'} {shown(low)}")
    if high is not None:
        bounds.append(f"{'below' if arguments.get('strict_max') else 'at most'} {shown(high)}")
    if bounds:
        return " and ".join(bounds)
    ranges = arguments.get("quantile_ranges")
    if isinstance(ranges, Mapping):
        pairs = zip(ranges.get("quantiles") or (), ranges.get("value_ranges") or (), strict=False)
        return ", ".join(
            f"{_interval({'min_value': low, 'max_value': high})} at {_words(quantile)}"
            for quantile, (low, high) in pairs
        )
    for name in ("value", "value_set", "type_", "type_list", "column_set", "column_list"):
        if arguments.get(name) is not None:
            return _words(arguments[name])
    return ""


def _mismatch(result: Mapping[str, Any]) -> str:
    details = result.get("details")
    mismatched = details.get("mismatched") if isinstance(details, Mapping) else None
    if isinstance(mismatched, Mapping):
        return "; ".join(f"{plain(kind)}: {_words(names)}" for kind, names in sorted(mismatched.items()))
    if isinstance(mismatched, list) and mismatched:
        first = mismatched[0]
        differ = " differs" if len(mismatched) == 1 else "s differ"
        place = first.get("Expected Column Position")
        return (
            f"{len(mismatched)} column{differ}, the first at position {place}: "
            f"expected {shown(first.get('Expected'))}, found {shown(first.get('Found'))}"
        )
    return ""


def _words(value: object) -> str:
    if isinstance(value, Mapping) and {"quantiles", "values"} <= value.keys():
        pairs = zip(value["quantiles"], value["values"], strict=False)
        return ", ".join(f"{_words(found)} at {_words(q)}" for q, found in pairs)
    if isinstance(value, Mapping):
        return "; ".join(f"{plain(key)} {_words(entry)}" for key, entry in value.items())
    if isinstance(value, (list, tuple, set, frozenset)):
        entries = sorted(value, key=repr) if isinstance(value, (set, frozenset)) else list(value)
        more = ", …" if len(entries) > 2 * _SHOWN_VALUES else ""
        return ", ".join(_words(entry) for entry in entries[: 2 * _SHOWN_VALUES]) + more or "nothing"
    if isinstance(value, float) and math.isfinite(value):
        return f"{value:,.6g}"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return shown(value)
