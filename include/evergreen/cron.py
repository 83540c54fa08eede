"""When a schedule comes due, as Airflow takes it: cron expressions and @hourly … @yearly, in UTC.

A model file may write `H` for a number that follows from the model's name, so that a thousand models do
not all begin at six o'clock. The notation is Jenkins'.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache

from evergreen.rates import DAYS_A_YEAR

_QUARTERLY = "0 0 1 */3 *"  # what Airflow takes @quarterly for; croniter does not know the word
_FROM = datetime(2023, 1, 1, tzinfo=UTC)
_MOST = 1000
_FIELDS = 5
_SPREAD = re.compile(r"(?:^|[\s,])H(?=$|[\s,/(])")


def spread(schedule: str, who: str) -> str:
    """Return a schedule in which each `H` is a number that follows from a name.

    Args:
        schedule: Cron expression. `H` in a field is any of its values, `H(0-5)` any of these, `H/15`
            every fifteenth from one on.
        who: Whose schedule it is; the same name gives the same numbers, everywhere and always.

    Raises:
        ValueError: not a cron expression.

    >>> spread("H H(0-5) 1 * *", "churn"), spread("H H(0-5) 1 * *", "fraud")
    ('57 1 1 * *', '0 3 1 * *')
    >>> spread("0 6 * * THU", "churn")
    '0 6 * * THU'
    """
    if not _SPREAD.search(schedule):
        return schedule
    fields = schedule.split()
    if len(fields) != _FIELDS:
        raise ValueError(f"a cron expression has {_FIELDS} fields, not {len(fields)}")
    return " ".join(
        _numbers(place, field, who) if _SPREAD.search(field) else field
        for place, field in enumerate(fields)
    )


def whose(name: object, *section: str) -> str:
    """Return the `who` of `spread` for a model's own schedule, or for that of a section of its file."""
    return "/".join((str(name), *section))


def _numbers(place: int, field: str, who: str) -> str:
    """Return the numbers of one field, which do not depend on those of another."""
    from croniter import croniter

    alone = ["*"] * _FIELDS
    alone[place] = field
    # croniter takes a checksum of this, in which names of one length would give fields that go together.
    seed = hashlib.sha256(f"{who}/{place}".encode()).digest()
    chosen = croniter.expand(" ".join(alone), hash_id=seed)[0][place]
    return ",".join(map(str, chosen))


def times(schedule: str, after: datetime, until: datetime) -> Iterator[datetime]:
    """Yield when a schedule comes due after an instant, up to and including another.

    >>> [f"{at:%m-%d}" for at in times("@quarterly", _FROM, datetime(2023, 7, 1, tzinfo=UTC))]
    ['04-01', '07-01']
    """
    from croniter import croniter

    due = croniter(_QUARTERLY if schedule == "@quarterly" else schedule, after)
    while (at := due.get_next(datetime)) <= until:
        yield at


@cache
def times_a_year(schedule: str) -> float:
    """Return how many times a year it comes due, on average over up to eight years from 2023 on.

    >>> [round(times_a_year(one)) for one in ("@daily", "0 6 * * 1", "@quarterly")]
    [365, 52, 4]
    """
    count, last = 0, _FROM
    for at in times(schedule, _FROM, _FROM + timedelta(days=8 * DAYS_A_YEAR)):
        count, last = count + 1, at
        if count == _MOST:
            break
    return count * DAYS_A_YEAR / ((last - _FROM) / timedelta(days=1))
