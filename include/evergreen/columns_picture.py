"""Columns then and now: the share of rows in each cell of the baseline, in training and in the window.

A page of 800 pixels' width as PNG or SVG bytes, in the colours of the gate's page.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from evergreen.evidence.forest import BLUE, DARK_GREY, EDGE, GREY, INK, SMALL, TEXT
from evergreen.evidence.numbers import counted, short
from evergreen.evidence.page import Box, Page, height_of
from evergreen.logged_rows import shown
from evergreen.profiles.layout import ABOVE, BELOW, HIGHEST, LOWEST, MISSING, OTHER, Cells
from evergreen.text import plain
from evergreen.watch_picture import INNER, LEFT_OF_AXES, WIDTH, Format

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PANEL, BELOW_PANEL = 1.15, 0.45
MOST_PANELS = 6
MOST_CATEGORIES = 10
MOST_LABELS = 8
MOST_LINES = 2
FIRST_BIN = 3
BAR = 0.4
NAME = 0.55
"""The room that a cell's name has at least, in inches."""


@dataclass(frozen=True, eq=False)
class Change:
    """One column: its rows by cell in the baseline and in the window, and what is said of it."""

    cells: Cells
    before: np.ndarray
    after: np.ndarray
    words: str = ""


@dataclass(frozen=True, slots=True)
class _Bar:
    """A cell as it is drawn. `label` stands below it, `low` and `high` at its ends."""

    before: float
    after: float
    label: str = ""
    low: str = ""
    high: str = ""


def columns_picture(
    changes: Sequence[Change],
    title: str,
    kind: Format = "png",
    then: str = "the baseline's rows, in training",
) -> bytes:
    """Return the page; the first `MOST_PANELS` columns are drawn.

    Args:
        changes: The columns that matter, the foremost first; at least one.
        title: What is compared, such as the model's name and the window.
        kind: The picture's format.
        then: Which rows are those before.
    """
    page = Page(WIDTH)
    shown = changes[:MOST_PANELS]
    said = [page.wrapped(plain(change.words), SMALL, INNER, MOST_LINES) for change in shown]
    left_out = len(changes) - len(shown)
    top = EDGE + 0.42 + height_of(1, SMALL)
    heights = [0.42 + height_of(len(lines), SMALL) + PANEL + BELOW_PANEL for lines in said]
    page.set_height(top + sum(heights) + (height_of(1, SMALL) if left_out else 0.0) + 0.1)
    page.text(EDGE, EDGE, page.fitted(plain(title), 14, INNER, "bold"), 14, weight="bold", color=INK)
    _explain(page, then)
    for change, lines, height in zip(shown, said, heights, strict=True):
        _draw(page, change, lines, top)
        top += height
    if left_out:
        page.text(EDGE, top, f"Not drawn: {counted(left_out, 'more column')}.", SMALL, color=DARK_GREY)
    return page.png() if kind == "png" else page.svg()


def _explain(page: Page, then: str) -> None:
    left, top = EDGE, EDGE + 0.4
    for mark, words in ((GREY, then), (BLUE, "the window's rows")):
        page.text(left, top, "■", SMALL + 2, color=mark)
        page.text(left + 0.18, top + 0.01, words, SMALL, color=DARK_GREY)
        left += 0.18 + page.wide(words, SMALL) + 0.3


def _draw(page: Page, change: Change, lines: Sequence[str], top: float) -> None:
    rows = f"{int(change.before.sum()):,} → {int(change.after.sum()):,} rows"
    room = INNER - page.wide(rows, SMALL) - 0.2
    name = page.fitted(plain(shown(change.cells.column)), TEXT, room, "bold")
    page.text(EDGE, top + 0.16, name, TEXT, weight="bold", color=INK)
    page.text(EDGE + INNER - page.wide(rows, SMALL), top + 0.175, rows, SMALL, color=DARK_GREY)
    for place, line in enumerate(lines):
        page.text(EDGE, top + 0.38 + height_of(place, SMALL), line, SMALL, color=DARK_GREY)
    down = top + 0.42 + height_of(len(lines), SMALL)
    axes = page.axes(Box(EDGE + LEFT_OF_AXES, down, INNER - LEFT_OF_AXES, PANEL))
    bars = _bars(change)
    at = np.arange(len(bars))
    for side, colour, shares in (
        (-BAR / 2, GREY, [bar.before for bar in bars]),
        (BAR / 2, BLUE, [bar.after for bar in bars]),
    ):
        axes.bar(at + side, shares, BAR, color=colour)
    axes.set_xlim(-0.6, max(len(bars), 3) - 0.4)
    axes.set_ylim(0, 1.08 * (max(max(bar.before, bar.after) for bar in bars) or 1.0))
    axes.locator_params(axis="y", nbins=3)
    axes.yaxis.set_major_formatter(lambda share, _: f"{short(100 * share)}%")
    _label(page, axes, bars)


def _label(page: Page, axes: Axes, bars: Sequence[_Bar]) -> None:
    room = (INNER - LEFT_OF_AXES) / max(len(bars), 3) * 0.97
    marks = [(place - 0.5, bar.low) for place, bar in enumerate(bars) if bar.low]
    marks += [(place + 0.5, bar.high) for place, bar in enumerate(bars) if bar.high]
    marks += [
        (place, page.fitted(bar.label, SMALL, max(room, NAME)))
        for place, bar in enumerate(bars)
        if bar.label
    ]
    marks.sort()
    axes.set_xticks([at for at, _ in marks])
    for label in axes.set_xticklabels([text for _, text in marks]):
        label.set_parse_math(False)
        label.set_fontsize(SMALL)


def _bars(change: Change) -> list[_Bar]:
    """Return what is drawn of a column: all cells that are worth a bar."""
    before, after = _shares(change.before), _shares(change.after)
    cells = change.cells
    if cells.ordered:
        return _bins(cells, before, after)
    if cells.kind == "instant":
        return _calendar(cells, before, after)
    return _categories(cells, before, after)


def _shares(counts: np.ndarray) -> np.ndarray:
    total = counts.sum()
    return counts / total if total else np.zeros(len(counts))


def _bins(cells: Cells, before: np.ndarray, after: np.ndarray) -> list[_Bar]:
    """Return the bins, with the ends of some named, between those of the other cells that hold rows."""
    bins = max(len(cells.edges) - 1, 0)
    step = max(1, -(-bins // MOST_LABELS))
    apart = [_Bar(0.0, 0.0)] if bins > MOST_LABELS else []
    special = {
        name: _Bar(before[place], after[place], label=name)
        for place, name in enumerate(cells.names)
        if not FIRST_BIN <= place < FIRST_BIN + bins and (before[place] or after[place])
    }
    left = [special[name] for name in (MISSING, LOWEST, BELOW) if name in special]
    right = [special[name] for name in (ABOVE, HIGHEST) if name in special]
    last = cells.edges[-2:] if bins % step == 0 else ()
    high = short(last[1]) if len(set(last)) == 2 else ""
    within = [
        _Bar(
            before[FIRST_BIN + number],
            after[FIRST_BIN + number],
            low=short(cells.edges[number]) if number % step == 0 else "",
            high=high if number == bins - 1 else "",
        )
        for number in range(bins)
    ]
    bars = [*left, *(apart if left else []), *within, *(apart if right else []), *right]
    return bars or [_Bar(0.0, 0.0)]


def _calendar(cells: Cells, before: np.ndarray, after: np.ndarray) -> list[_Bar]:
    """Return calendar cells, each day's first named, or every third hour."""
    step = {42: 6, 24: 3}.get(len(cells.calendar), 1)
    missing = [_Bar(before[0], after[0], label=cells.names[0])] if before[0] or after[0] else []
    return [
        *missing,
        *(
            _Bar(before[place + 1], after[place + 1], low=name.split()[0] if place % step == 0 else "")
            for place, name in enumerate(cells.calendar)
        ),
    ]


def _categories(cells: Cells, before: np.ndarray, after: np.ndarray) -> list[_Bar]:
    """Return the cells whose shares changed most, in their order, and all others as one."""
    moved = np.abs(after - before)
    there = np.flatnonzero(before + after)
    ranked = sorted(there, key=lambda place: (place not in (0, len(cells) - 1), -moved[place]))
    left = ranked[MOST_CATEGORIES:]
    bars = [
        _Bar(before[place], after[place], label=_named(cells, int(place)))
        for place in sorted(ranked[:MOST_CATEGORIES])
    ]
    if left:
        rest = f"{len(left)} more"
        bars.append(_Bar(float(before[left].sum()), float(after[left].sum()), label=rest))
    return bars or [_Bar(0.0, 0.0)]


def _named(cells: Cells, place: int) -> str:
    name = cells.names[place]
    if place == len(cells) - 1 and name == OTHER:
        return "unseen" if cells.whole else "all others"
    return plain(name) or "(empty)"
