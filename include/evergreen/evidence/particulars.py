"""What stands behind the checks and is not in their own words: slices, groups, calibration, serving."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from evergreen.comparison import Calibration, Comparison, Gap, Group, Serving, Slice, SliceVerdict
from evergreen.evidence.numbers import between, counted, improvement, lasting, short, sized
from evergreen.text import plain

MOST_NAMED = 5
LONGEST_NAME = 60


def listed(names: Sequence[str], most: int = MOST_NAMED) -> str:
    """Return names in a row, cut after the first few.

    >>> listed(["a", "b", "c"], most=2)
    'a, b and 1 more'
    """
    shown = ", ".join(plain(name, LONGEST_NAME) for name in names[:most])
    left = len(names) - most
    return f"{shown} and {left:,} more" if left > 0 else shown


def first_of(sentences: Iterable[str], what: str, most: int = MOST_NAMED) -> Iterator[str]:
    """Yield the first few sentences and how many more there are of what."""
    everything = list(sentences)
    yield from everything[:most]
    if len(everything) > most:
        yield f"And {counted(len(everything) - most, f'more {what}')}."


def name_of(part: Slice) -> str:
    """Return a slice's name.

    >>> name_of(Slice("origin", "JFK", 100, None))
    'origin = JFK'
    """
    return f"{plain(part.column, LONGEST_NAME)} = {plain(part.value, LONGEST_NAME)}"


def harm_of(part: Slice, *, higher_is_better: bool) -> float:
    """Return how much worse a slice became: negative where it became better or nothing is known."""
    interval = part.difference.interval if part.difference else None
    if interval is None:
        return float("-inf")
    return -improvement(interval, higher_is_better=higher_is_better).estimate


def slices(comparison: Comparison) -> Iterator[str]:
    """Yield how many slices came out how, and which could not be settled; the check names the harmed."""
    parts = comparison.evidence.slices
    of = {verdict: [part for part in parts if part.verdict == verdict] for verdict in SLICE_VERDICTS}
    counts = ", ".join(f"{len(of[verdict]):,} {verdict}" for verdict in SLICE_VERDICTS if of[verdict])
    if of["harmed"]:
        yield f"Of {counted(len(parts), 'slice')}: {counts}."
    for verdict, words in _UNSETTLED.items():
        if of[verdict]:
            yield f"{words}: {listed([name_of(part) for part in of[verdict]], 3)}."


SLICE_VERDICTS: tuple[SliceVerdict, ...] = ("harmed", "unharmed", "unproven", "too small")
_UNSETTLED: dict[SliceVerdict, str] = {
    "unproven": "Slices neither proven harmed nor unharmed",
    "too small": "Slices of too few rows to judge",
}


def fairness(comparison: Comparison) -> Iterator[str]:
    """Yield which groups were compared, how the champion does, and which groups are too small."""
    gaps = [gap for gap in comparison.evidence.gaps if gap.gap is not None]
    yield from first_of(map(_groups, gaps), "sensitive column")


def _groups(gap: Gap) -> str:
    groups = listed([_group(group) for group in gap.groups], 4)
    before = "" if gap.champion is None else f"; the champion's gap is {short(gap.champion.estimate)}"
    small = f"; too small to compare: {listed(gap.small, 3)}" if gap.small else ""
    return f"By {plain(gap.column, LONGEST_NAME)}: {groups}{before}{small}."


def _group(group: Group) -> str:
    value = "undefined" if group.value is None else short(group.value)
    return f"{plain(group.name, 30)} {value}"


def calibration(comparison: Comparison) -> Iterator[str]:
    """Yield how well the probabilities of both models match what happened."""
    ours, theirs = comparison.evidence.calibration, comparison.evidence.champion_calibration
    if ours is None:
        return
    before = "" if theirs is None else f"; the champion's by {_missed(theirs)}"
    yield f"On average the new model's probabilities miss what happens by {_missed(ours)}{before}."


def _missed(calibration: Calibration) -> str:
    slope = "" if calibration.slope is None else f", slope {calibration.slope.estimate:.2f}"
    return f"{between(calibration.error)}{slope}"


def serving(found: Serving) -> str:
    """Return what a model needs to serve, and whether it repeats what it answered in training."""
    exactly = found.largest_deviation == 0
    how = "exactly" if exactly else f"to within {found.largest_deviation:.2g}"
    return (
        f"{sized(found.size_bytes)} of files, loaded in {lasting(found.load_ms)}; "
        f"99 of 100 single rows within {lasting(found.p99_ms)}; "
        f"{short(found.rows_per_second)} rows a second; {sized(found.memory_bytes)} of memory; "
        f"{counted(found.reproduced_rows, 'answer')} of training repeated {how}"
    )
