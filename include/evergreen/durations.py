"""Durations as a person writes them: "3 months", "7 days".

Months and years follow the calendar, so a duration is a count and a unit and never a number of
seconds.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal, get_args

from dateutil.relativedelta import relativedelta
from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

Unit = Literal["minutes", "hours", "days", "weeks", "months", "years"]
UNITS: tuple[str, ...] = get_args(Unit)
DURATION_RULE = 'a whole number and a unit, such as "3 months" or "7 days" (units: ' + (
    ", ".join(UNITS) + ")"
)

_DURATION = re.compile(r"^([0-9]{1,5}) (minute|hour|day|week|month|year)s?$")


@dataclass(frozen=True, slots=True)
class Duration:
    """A calendar duration; `str()` gives the text it was written as, in the plural form."""

    count: int
    unit: Unit

    @classmethod
    def parse(cls, text: object) -> Duration:
        """Read a duration.

        Raises:
            ValueError: for anything but a whole number and a unit.

        >>> str(Duration.parse("1 month"))
        '1 month'
        """
        if isinstance(text, Duration):
            return text
        match = _DURATION.fullmatch(text) if isinstance(text, str) else None
        if not match:
            raise ValueError(f"not a duration; write {DURATION_RULE}")
        return cls(int(match[1]), f"{match[2]}s")  # type: ignore[arg-type]

    @classmethod
    def find(cls, text: object) -> Duration | None:
        """Read a duration where one is written; None for anything else, which others complain of.

        >>> Duration.find("soon")
        """
        try:
            return cls.parse(text)
        except ValueError:
            return None

    def before(self, instant: datetime) -> datetime:
        """Return the instant this long before `instant`; the end of a month clips to its last day.

        Raises:
            ValueError, OverflowError: the instant lies outside the years 1 to 9999.
        """
        return instant - self._delta()

    def after(self, instant: datetime) -> datetime:
        """Return the instant this long after `instant`."""
        return instant + self._delta()

    def _delta(self) -> relativedelta:
        return relativedelta(**{self.unit: self.count})  # type: ignore[arg-type]

    def __str__(self) -> str:
        return f"{self.count} {self.unit[:-1] if self.count == 1 else self.unit}"


DurationField = Annotated[
    Duration,
    BeforeValidator(Duration.parse),
    PlainSerializer(str, return_type=str),
    WithJsonSchema({"title": "Duration", "type": "string", "pattern": _DURATION.pattern}),
]
