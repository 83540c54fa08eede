"""Where every time range of a run comes from: one as-of, and the windows that follow from it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from evergreen.durations import Duration

SCHEDULED_RUN_TYPES = frozenset({"scheduled", "backfill"})


@dataclass(frozen=True, slots=True)
class Window:
    """A half-open time range `[start, end)` in UTC."""

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        if self.start.utcoffset() is None or self.end.utcoffset() is None:
            raise ValueError("a window's ends must carry a time zone")
        if self.start > self.end:
            raise ValueError(f"a window cannot end before it starts: {self}")

    def __str__(self) -> str:
        return f"[{self.start:%Y-%m-%dT%H:%M}Z, {self.end:%Y-%m-%dT%H:%M}Z)"


@dataclass(frozen=True, slots=True)
class Windows:
    """The windows of one run.

    `train` ends the label's delay before `test` begins: what decides a train row's label lies before
    the test window, too. `test` ends where labels stop being known: at the as-of less the label's delay.
    """

    as_of: datetime
    train: Window
    test: Window

    @property
    def whole(self) -> Window:
        """The window that is read and kept as one snapshot."""
        return Window(self.train.start, self.test.end)


def windows_at(
    as_of: datetime, train_window: Duration, test_window: Duration, label_delay: Duration
) -> Windows:
    """Derive a run's windows from its as-of.

    The test window is the last `test_window` before the as-of, less the rows whose label is not yet
    known. The train window is the last `train_window` whose labels were known when the test window
    began.

    Raises:
        ValueError: where the label's delay leaves nothing of the test window, or the as-of has no zone.
    """
    if as_of.utcoffset() is None:
        raise ValueError("an as-of must carry a time zone")
    as_of = as_of.astimezone(UTC)
    split = test_window.before(as_of)
    labelled_until = label_delay.before(as_of)
    if labelled_until <= split:
        raise ValueError(
            f"a label delay of {label_delay} leaves no labelled row in a test window of {test_window}"
        )
    known_by_then = label_delay.before(split)
    train = Window(train_window.before(known_by_then), known_by_then)
    return Windows(as_of, train, Window(split, labelled_until))


def resolve_as_of(
    run_type: str,
    *,
    interval_end: datetime | None,
    asked_for: datetime | None,
    run_after: datetime,
) -> datetime:
    """Return the instant a run pretends it is, in UTC.

    Scheduled and backfill runs take the end of their data interval; every other run takes the as-of
    it was asked for, else the time it was to run after. Asset-triggered and manual runs have no
    trustworthy data interval in Airflow 3.
    """
    if run_type in SCHEDULED_RUN_TYPES and interval_end is not None:
        return interval_end.astimezone(UTC)
    return (asked_for or run_after).astimezone(UTC)


def parse_instant(text: str) -> datetime:
    """Read an ISO 8601 date or time; one without a zone is UTC.

    Raises:
        ValueError: for anything else.

    >>> parse_instant("2013-04-01").isoformat()
    '2013-04-01T00:00:00+00:00'
    """
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(
            f"not a date: {text!r}; write 2013-04-01 or 2013-04-01T06:00:00+00:00"
        ) from None
    return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)
