"""How much falls due when: the scheduler of the simulation, asked about schedules alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import datetime

from evergreen.cron import times


def load_per_minute(schedules: Iterable[str], after: datetime, until: datetime) -> Counter[datetime]:
    """Return how many runs fall due in each minute that has any.

    Give it the schedules of all model files (retrain, score and monitor), each as often as it occurs:
    `max(load.values())` is the herd, `load.most_common(10)` the worst minutes.

    >>> from datetime import UTC
    >>> month = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 31, tzinfo=UTC)
    >>> max(load_per_minute(["0 6 5 * *", "0 6 * * *"], *month).values())
    2
    """
    return Counter(
        at.replace(second=0, microsecond=0)
        for schedule in schedules
        for at in times(schedule, after, until)
    )
