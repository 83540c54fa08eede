"""What the watch found, as a person would say it. Values in, sentences out."""

from __future__ import annotations

from collections.abc import Sequence

from evergreen.drift.distances import DISTANCES
from evergreen.evidence.numbers import counted, short
from evergreen.logged_rows import shown
from evergreen.monitor_spec import Level
from evergreen.rates import how_rarely
from evergreen.text import plain
from evergreen.watch_results import Answer, Drifted, Finding

LONGEST = 300
MOST_SENTENCES = 12
NOTABLE_RHYTHM = 0.1
NAMES: dict[Level, str] = {
    "health": "the data itself",
    "loss": "realised loss",
    "estimated_loss": "estimated loss",
    "prediction": "predictions",
    "features": "features",
}


def drifted(one: Drifted, bar: float, years: float, min_effect: float, answer: Answer) -> str:
    """Return what is to be said of a column's distance.

    `bar` is what chance alone exceeds once in so many `years`.
    """
    assert one.value is not None
    assert one.moved is not None
    rhythm = one.chance is not None and one.chance.natural > NOTABLE_RHYTHM
    as_they_differ = " and with the ups and downs that the baseline has of itself" if rhythm else ""
    moved = f"{short(100 * one.moved, 2)}% of rows lie elsewhere"
    if answer == "quiet" and one.value > bar:
        moved += f", less than the {short(100 * min_effect, 2)}% that matter (monitor.min_effect)"
    index = "" if one.distance == "psi" or one.psi is None else f" (PSI {short(one.psi, 2)})"
    return plain(
        f"{shown(one.column)}: {DISTANCES[one.distance].title} {short(one.value, 2)}; chance alone, at "
        f"{counted(one.window_rows, 'row')}{as_they_differ}, exceeds {short(bar, 2)} "
        f"{how_rarely(years)}; {moved}{index}",
        LONGEST,
    )


def unmeasured(column: str, why: str) -> str:
    """Return why a column was not judged."""
    return plain(f"{shown(column)} cannot be judged: {why}", LONGEST)


def verdict(
    answer: Answer,
    rows: int,
    alarms: Sequence[Finding],
    lacking: Sequence[tuple[Level, str]],
    notes: Sequence[str],
) -> tuple[str, ...]:
    """Return the verdict: its answer first, then every alarm, then what could not be judged."""
    lines = [_headline(answer, rows, alarms), *(f"{one.words}." for one in alarms)]
    lines += [f"Not judged: {NAMES[level]}: {why}." for level, why in lacking]
    lines += [f"{note[:1].upper()}{note[1:]}." for note in notes]
    told = [
        plain(line.removesuffix("..") + ("." if line.endswith("..") else ""), LONGEST) for line in lines
    ]
    left = len(told) - MOST_SENTENCES
    return (*told[:MOST_SENTENCES], f"And {left} more.") if left > 0 else tuple(told)


def _headline(answer: Answer, rows: int, alarms: Sequence[Finding]) -> str:
    seen = counted(rows, "row")
    if answer == "quiet":
        return f"Quiet: {seen}, and nothing that chance does not explain."
    if answer == "not enough data":
        return f"Not enough data: {seen} in the window."
    levels = list(dict.fromkeys(NAMES[one.level] for one in alarms))
    also = f"; also: {', '.join(levels[1:])}" if levels[1:] else ""
    return f"Alarm: {levels[0]}{also} ({seen})."
