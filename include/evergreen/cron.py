"""How often a cron expression comes due."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from evergreen.rates import DAYS_A_YEAR

_FROM = datetime(2023, 1, 1, tzinfo=UTC)
_MOST = 1000


def times_a_year(expression: str) -> float:
    """Return how many times a year it comes due, on average from 2023 on.

    >>> round(times_a_year("@daily")), round(times_a_year("0 6 * * 1")), round(times_a_year("0 6 1 * *"))
    (365, 52, 12)
    """
    from croniter import croniter

    times = croniter(expression, _FROM)
    horizon = _FROM + timedelta(days=8 * DAYS_A_YEAR)
    count, last = 0, _FROM
    while count < _MOST and last < horizon:
        count, last = count + 1, times.get_next(datetime)
    return count * DAYS_A_YEAR / ((last - _FROM) / timedelta(days=1))
