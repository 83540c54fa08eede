"""Amounts as a person writes them: margins ("0.002", "1%") and sizes ("50 MB")."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

_PERCENT = re.compile(r"^([0-9]{1,4}(?:\.[0-9]{1,6})?) ?%$")
_SIZE = re.compile(r"^([0-9]{1,6}(?:\.[0-9]{1,3})?) ?(kB|MB|GB)$")
_BYTES = {"kB": 10**3, "MB": 10**6, "GB": 10**9}
MARGIN_RULE = (
    "a number of the metric's unit, such as 0.002, or a share of the champion's, such as \"1%\""
)
SIZE_RULE = 'a number and a unit, such as "50 MB" (units: kB, MB, GB)'


@dataclass(frozen=True, slots=True)
class Margin:
    """A difference: `amount` in the metric's unit or, where `relative`, as a share (0.01 is 1%)."""

    amount: float
    relative: bool = False

    @classmethod
    def parse(cls, value: object) -> Margin:
        """Read a margin.

        Raises:
            ValueError: for anything but a number of at least 0 or a percentage.

        >>> Margin.parse("1%")
        Margin(amount=0.01, relative=True)
        """
        if isinstance(value, Margin):
            return value
        match = _PERCENT.fullmatch(value) if isinstance(value, str) else None
        if match:
            return cls(float(match[1]) / 100, relative=True)
        if (
            isinstance(value, bool)
            or not isinstance(value, int | float)
            or not 0 <= value < float("inf")
        ):
            raise ValueError(f"not a margin; write {MARGIN_RULE}")
        return cls(float(value))

    def written(self) -> float | str:
        """Return the margin as a model file has it."""
        return str(self) if self.relative else self.amount

    def __str__(self) -> str:
        if not self.relative:
            return f"{self.amount:.10g}"
        return f"{self.amount * 100:.6f}".rstrip("0").rstrip(".") + "%"


@dataclass(frozen=True, slots=True)
class Size:
    """A number of bytes; `str()` gives the text it was written as."""

    bytes: int
    text: str

    @classmethod
    def parse(cls, text: object) -> Size:
        """Read a size.

        Raises:
            ValueError: for anything but a number and a unit.

        >>> Size.parse("1.5 GB").bytes
        1500000000
        """
        if isinstance(text, Size):
            return text
        match = _SIZE.fullmatch(text) if isinstance(text, str) else None
        if not match:
            raise ValueError(f"not a size; write {SIZE_RULE}")
        return cls(round(float(match[1]) * _BYTES[match[2]]), f"{match[1]} {match[2]}")

    def __str__(self) -> str:
        return self.text


MarginField = Annotated[
    Margin,
    BeforeValidator(Margin.parse),
    PlainSerializer(Margin.written, return_type=float | str),
    WithJsonSchema(
        {
            "title": "Margin",
            "anyOf": [
                {"type": "number", "minimum": 0},
                {"title": "Percentage", "type": "string", "pattern": _PERCENT.pattern},
            ],
        }
    ),
]
SizeField = Annotated[
    Size,
    BeforeValidator(Size.parse),
    PlainSerializer(str, return_type=str),
    WithJsonSchema({"title": "Size", "type": "string", "pattern": _SIZE.pattern}),
]


class Share(float):
    """A share of a whole, from 0 to 1; `str()` gives the percentage.

    >>> str(Share(0.025))
    '2.5%'
    """

    def __str__(self) -> str:
        return str(Margin(float(self), relative=True))

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        """Let Pydantic take it for the number that it is."""
        return handler(float)


def parse_share(value: object) -> Share:
    """Read a share of a whole, written in percent.

    Raises:
        ValueError: for anything but a percentage from 0% to 100%.

    >>> parse_share("2.5%") == 0.025
    True
    """
    if isinstance(value, float) and 0 <= value <= 1:
        return Share(value)
    match = _PERCENT.fullmatch(value) if isinstance(value, str) else None
    if not match or float(match[1]) > 100:
        raise ValueError('not a share; write a percentage from 0% to 100%, such as "2%"')
    return Share(float(match[1]) / 100)


def _written_share(share: float) -> str:
    return str(Share(share))


ShareField = Annotated[
    float,
    BeforeValidator(parse_share),
    PlainSerializer(_written_share, return_type=str),
    WithJsonSchema({"title": "Share", "type": "string", "pattern": _PERCENT.pattern}),
]
