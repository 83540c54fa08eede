"""How often something may happen, as a person writes it: "1 per quarter", and "2 of 5" checks."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal, get_args

from dateutil.relativedelta import relativedelta
from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

Period = Literal["day", "week", "month", "quarter", "year"]
DAYS_A_YEAR = 365.25
RATE_RULE = 'a whole number and a period, such as "1 per quarter" (periods: ' + (
    ", ".join(get_args(Period)) + ")"
)
K_OF_N_RULE = 'how many of how many checks, such as "2 of 5"'
LONGEST_TIME_BETWEEN = 1000

_RATE = re.compile(r"^([1-9][0-9]{0,3}) per (day|week|month|quarter|year)$")
_K_OF_N = re.compile(r"^([1-9][0-9]?) of ([1-9][0-9]?)$")
_PER_YEAR: Mapping[Period, float] = {
    "day": DAYS_A_YEAR,
    "week": DAYS_A_YEAR / 7,
    "month": 12.0,
    "quarter": 4.0,
    "year": 1.0,
}
_BACK: Mapping[Period, relativedelta] = {
    "day": relativedelta(days=1),
    "week": relativedelta(weeks=1),
    "month": relativedelta(months=1),
    "quarter": relativedelta(months=3),
    "year": relativedelta(years=1),
}


@dataclass(frozen=True, slots=True)
class Rate:
    """So many times per period; at least once."""

    count: int
    period: Period

    @classmethod
    def parse(cls, text: object) -> Rate:
        """Read a rate.

        Raises:
            ValueError: for anything but a whole number of at least 1 and a period.

        >>> str(Rate.parse("2 per month")), Rate.parse("1 per quarter").per_year
        ('2 per month', 4.0)
        """
        if isinstance(text, Rate):
            return text
        match = _RATE.fullmatch(text) if isinstance(text, str) else None
        if not match:
            raise ValueError(f"not a rate; write {RATE_RULE}")
        return cls(int(match[1]), match[2])  # type: ignore[arg-type]

    @property
    def per_year(self) -> float:
        """How many times in a year of 365.25 days."""
        return self.count * _PER_YEAR[self.period]

    def period_before(self, instant: datetime) -> datetime:
        """Return when the period that ends at `instant` began."""
        return instant - _BACK[self.period]

    def __str__(self) -> str:
        return f"{self.count} per {self.period}"


@dataclass(frozen=True, slots=True)
class KOfN:
    """At least `k` of the last `n` checks."""

    k: int
    n: int

    @classmethod
    def parse(cls, text: object) -> KOfN:
        """Read how many of how many.

        Raises:
            ValueError: for anything but two whole numbers, the first at most the second.

        >>> KOfN.parse("2 of 5")
        KOfN(k=2, n=5)
        """
        if isinstance(text, KOfN):
            return text
        match = _K_OF_N.fullmatch(text) if isinstance(text, str) else None
        if not match or int(match[1]) > int(match[2]):
            raise ValueError(f"write {K_OF_N_RULE}")
        return cls(int(match[1]), int(match[2]))

    def __str__(self) -> str:
        return f"{self.k} of {self.n}"


def how_rarely(years: float) -> str:
    """Return a mean time between events in words.

    >>> how_rarely(11.2), how_rarely(0.25), how_rarely(0.01), how_rarely(5e6)
    ('once in 11 years', 'once in 3 months', 'once in 4 days', 'once in over 1,000 years')
    """
    if years > LONGEST_TIME_BETWEEN:
        return f"once in over {LONGEST_TIME_BETWEEN:,} years"
    for unit, size in (("year", 1.0), ("month", 1 / 12), ("day", 1 / DAYS_A_YEAR)):
        if years >= 1.5 * size:
            count = round(years / size)
            return f"once in {count:,} {unit}s"
    return "every day or so"


RateField = Annotated[
    Rate,
    BeforeValidator(Rate.parse),
    PlainSerializer(str, return_type=str),
    WithJsonSchema({"title": "Rate", "type": "string", "pattern": _RATE.pattern}),
]
KOfNField = Annotated[
    KOfN,
    BeforeValidator(KOfN.parse),
    PlainSerializer(str, return_type=str),
    WithJsonSchema({"title": "K of n", "type": "string", "pattern": _K_OF_N.pattern}),
]
