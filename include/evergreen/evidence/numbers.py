"""Numbers as a person reads them: rounded to what the evidence can tell, direction in words."""

from __future__ import annotations

import math

from evergreen.comparison import Interval

MOST_PLACES = 12


def places(amount: float, digits: int = 2) -> int:
    """Return how many decimal places show so many digits of an amount.

    >>> places(0.00234), places(1500.0), places(0.0)
    (4, 0, 2)
    """
    if amount == 0 or not math.isfinite(amount):
        return digits
    return min(max(0, digits - 1 - math.floor(math.log10(abs(amount)))), MOST_PLACES)


def short(amount: float, digits: int = 3) -> str:
    """Return an amount with so many digits, no more zeros than needed.

    >>> short(0.41234), short(184_321.0), short(0.5), short(-0.00012345)
    ('0.412', '184,321', '0.5', '-0.000123')
    """
    return trimmed(amount, places(amount, digits))


def trimmed(amount: float, decimals: int) -> str:
    """Return an amount with at most so many decimals, and no minus before a zero.

    >>> trimmed(0.50, 3), trimmed(-0.0001, 2), trimmed(120.0, 0)
    ('0.5', '0', '120')
    """
    text = f"{amount:,.{decimals}f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text == "-0" else text


def counted(number: int, one: str, many: str | None = None) -> str:
    """Return a count with its noun.

    >>> counted(1, "day"), counted(1900, "row"), counted(2, "harmed slice")
    ('1 day', '1,900 rows', '2 harmed slices')
    """
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def sized(number: float) -> str:
    """Return a number of bytes in decimal units.

    >>> sized(1_840_000), sized(288e6), sized(900)
    ('1.84 MB', '288 MB', '900 bytes')
    """
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if number >= scale:
            return f"{short(number / scale)} {unit}"
    return counted(int(number), "byte")


def lasting(milliseconds: float) -> str:
    """Return a time in the unit that suits it.

    >>> lasting(3.24), lasting(1412.0)
    ('3.24 ms', '1.41 s')
    """
    if milliseconds >= 1000:
        return f"{short(milliseconds / 1000)} s"
    return f"{short(milliseconds)} ms"


def spread(interval: Interval) -> int:
    """Return the decimal places that show two digits of an interval's reach."""
    reach = (interval.high - interval.low) / 2
    return places(reach or interval.estimate)


def between(interval: Interval) -> str:
    """Return an amount with its interval.

    >>> between(Interval(0.0134, 0.009, 0.0178, 0.95))
    '0.0134 (95% interval: 0.009 to 0.0178)'
    """
    shown = spread(interval)
    estimate, low, high = (
        trimmed(value, shown) for value in (interval.estimate, interval.low, interval.high)
    )
    return f"{estimate} ({_share(interval.confidence)} interval: {low} to {high})"


def improvement(interval: Interval, *, higher_is_better: bool) -> Interval:
    """Return the interval of a difference turned so that more is better."""
    if higher_is_better:
        return interval
    return Interval(-interval.estimate, -interval.high, -interval.low, interval.confidence)


def better_or_worse(interval: Interval, *, higher_is_better: bool) -> str:
    """Return a difference of metrics with its interval, direction in words.

    >>> better_or_worse(Interval(-0.0028, -0.0051, 0.0005, 0.95), higher_is_better=False)
    'better by 0.0028 (95% interval: 0.0005 worse to 0.0051 better)'
    """
    gain = improvement(interval, higher_is_better=higher_is_better)
    shown = spread(interval)
    estimate, low, high = (trimmed(value, shown) for value in (gain.estimate, gain.low, gain.high))
    head = "no different" if estimate == "0" else f"{_word(estimate)} by {estimate.lstrip('-')}"
    if _word(low) == _word(high):
        near, far = (low, high) if _word(low) == "better" else (high, low)
        reach = f"{near.lstrip('-')} to {far.lstrip('-')} {_word(low)}"
    else:
        reach = f"{low.lstrip('-')} {_word(low)} to {high.lstrip('-')} {_word(high)}"
    return f"{head} ({_share(interval.confidence)} interval: {reach})"


def _word(text: str) -> str:
    return "worse" if text.startswith("-") else "better"


def _share(confidence: float) -> str:
    return f"{confidence * 100:.10g}%"
