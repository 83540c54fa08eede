"""What a column says, told by its Arrow type as text, and what it may turn into and still say it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

Kind = Literal["number", "flag", "text", "instant", "date", "time", "span", "null"]

_KINDS: Mapping[str, Kind] = {
    "int": "number",
    "uint": "number",
    "halffloat": "number",
    "float": "number",
    "double": "number",
    "decimal": "number",
    "bool": "flag",
    "string": "text",
    "large_string": "text",
    "timestamp": "instant",
    "date": "date",
    "time": "time",
    "duration": "span",
    "null": "null",
}
_READABLE_AS: Mapping[Kind, frozenset[Kind]] = {
    "number": frozenset({"number", "flag", "null"}),
    "flag": frozenset({"flag", "null"}),
    "text": frozenset({"text", "null"}),
    "instant": frozenset({"instant", "date", "null"}),
    "date": frozenset({"date", "null"}),
    "time": frozenset({"time", "null"}),
    "span": frozenset({"span", "null"}),
}


def kind_of(type_text: str) -> Kind | None:
    """Return what a column of this Arrow type says, or None where no model can use it.

    >>> kind_of("timestamp[us, tz=UTC]"), kind_of("dictionary<values=string, indices=int32, ordered=0>")
    ('instant', 'text')
    >>> kind_of("list<item: int64>") is None
    True
    """
    if type_text.startswith("dictionary<values="):
        return kind_of(type_text.removeprefix("dictionary<values=").partition(",")[0])
    head = type_text.partition("[")[0].partition("(")[0]
    return _KINDS.get(head.rstrip("0123456789"))


def readable_as(wanted: str, found: str) -> bool:
    """Tell whether a model that was trained on the Arrow type `wanted` can read a column of `found`.

    >>> readable_as("double", "bool"), readable_as("bool", "double")
    (True, False)
    """
    kind = kind_of(wanted)
    return kind is not None and kind_of(found) in _READABLE_AS.get(kind, frozenset())
