"""When a schedule comes due, as Airflow takes it: cron expressions and @hourly … @yearly, in UTC."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache

from evergreen.rates import DAYS_A_YEAR

_QUARTERLY = "0 0 1 */3 *"  # what Airflow takes @quarterly for; croniter does not know the word
_FROM = datetime(2023, 1, 1, tzinfo=UTC)
_MOST = 1000


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
