"""When quiet hours end, on the clock on the wall: summer time and winter time included."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta

from evergreen.alert_spec import QuietHours


def quiet_until(hours: QuietHours, now: datetime) -> datetime:
    """Return when the quiet hours that hold `now` end, in UTC, or `now` where none do.

    Hours that begin and end at the same time are none. An end that the clock shows twice counts each
    time; one that it skips comes as much later as it is put forward.
    """
    local = now.astimezone(hours.zone)
    if not _holds(hours, local.time()):
        return now
    day = local.date()
    if hours.end <= local.time():
        day += timedelta(days=1)
    ends = (
        datetime.combine(day, hours.end, hours.zone).replace(fold=fold).astimezone(UTC)
        for fold in (0, 1)
    )
    return next((end for end in ends if end > now), now)


def _holds(hours: QuietHours, clock: time) -> bool:
    if hours.begin <= hours.end:
        return hours.begin <= clock < hours.end
    return clock >= hours.begin or clock < hours.end
