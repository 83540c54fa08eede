"""A forest plot on a page: one interval below the other, right of the line is better.

Colours are those of Okabe and Ito (Color Universal Design, 2008), which people of any colour vision
tell apart; shapes and words say the same again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from evergreen.comparison import Comparison, Difference
from evergreen.evidence.numbers import improvement, short
from evergreen.evidence.page import Box, Page
from evergreen.text import plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDTH, EDGE, GUTTER = 12.0, 0.35, 0.55
LEFT_LABELS = 2.35
LEFT = WIDTH * 0.54 - EDGE
ROW = 0.3
BELOW_AXES = 0.62
ABOVE_AXES = 0.42
BELOW_TICKS = 18
TEXT, SMALL = 10.0, 9.0

BLUE, RED, GREY, GREEN, ORANGE, INK, DARK_GREY = (
    "#0072B2",
    "#D55E00",
    "#8C8C8C",
    "#00795A",
    "#B36B00",
    "#222222",
    "#5A5A5A",
)


@dataclass(frozen=True, slots=True)
class Row:
    """One difference, and how it is drawn."""

    label: str
    difference: Difference
    colour: str
    shape: str


def height_of_forest(rows: int) -> float:
    """Return how tall a forest of so many rows is, with its title and its axis, in inches."""
    return ABOVE_AXES + rows * ROW + 0.12 + BELOW_AXES


def forest(page: Page, top: float, rows: int, title: str) -> Axes:
    """Return axes for so many intervals, one below the other, with a line at no difference."""
    axes = page.axes(Box(EDGE + LEFT_LABELS, top + ABOVE_AXES, LEFT - LEFT_LABELS, rows * ROW + 0.12))
    page.text(
        EDGE, top + 0.05, page.fitted(plain(title), TEXT + 1, LEFT, "bold"), TEXT + 1, weight="bold"
    )
    axes.spines["left"].set_visible(False)
    axes.axvline(0, color=INK, linewidth=1)
    axes.set_ylim(rows - 0.4, -0.6)
    return axes


def draw(
    page: Page,
    axes: Axes,
    comparison: Comparison,
    rows: Sequence[Row],
    needed: float | None = None,
) -> None:
    """Draw a row per difference; `needed` is what the whole interval must be better than."""
    for place, row in enumerate(rows):
        over = row.difference
        if over.interval is None:
            _say_why(page, axes, place, over.problem or "no interval")
            continue
        gain = improvement(over.interval, higher_is_better=comparison.higher_is_better)
        axes.plot(
            [gain.low, gain.high], [place, place], color=row.colour, linewidth=2.2, solid_capstyle="butt"
        )
        axes.plot([gain.estimate], [place], row.shape, color=row.colour, markersize=7)
    low, high = _ends(rows, comparison, needed or 0.0)
    axes.set_xlim(low, high)
    if needed is not None:
        axes.axvline(needed, color=GREEN, linewidth=1.6, linestyle=(0, (4, 2)))
        axes.axvspan(needed, high, color=GREEN, alpha=0.07, linewidth=0)
    _label(axes, [row.label for row in rows])


def _label(axes: Axes, labels: Sequence[str]) -> None:
    axes.set_yticks(range(len(labels)))
    for label in axes.set_yticklabels(labels):
        label.set_parse_math(False)
        label.set_fontsize(SMALL)
    axes.tick_params(axis="y", length=0)
    axes.locator_params(axis="x", nbins=5)
    axes.xaxis.set_major_formatter(lambda value, _: short(value))
    for side, words in (("left", "← worse"), ("right", "better →")):
        axes.annotate(
            words,
            (0.0 if side == "left" else 1.0, 0.0),
            (0.0, -BELOW_TICKS),
            xycoords="axes fraction",
            textcoords="offset points",
            ha=side,
            va="top",
            fontsize=SMALL,
        )


def _say_why(page: Page, axes: Axes, place: int, why: str) -> None:
    axes.text(
        0.5,
        place,
        page.fitted(plain(why), SMALL, LEFT - LEFT_LABELS),
        transform=axes.get_yaxis_transform(),
        ha="center",
        va="center",
        fontsize=SMALL,
        color=DARK_GREY,
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 2},
        parse_math=False,
    )


def _ends(rows: Sequence[Row], comparison: Comparison, needed: float) -> tuple[float, float]:
    """Return the ends of the axis: no difference is always on it, with room to either side."""
    gains = [
        improvement(row.difference.interval, higher_is_better=comparison.higher_is_better)
        for row in rows
        if row.difference.interval
    ]
    ends = [0.0, needed, *(g.low for g in gains), *(g.high for g in gains)]
    room = 0.12 * ((max(ends) - min(ends)) or 1.0)
    return min(ends) - room, max(ends) + room


def legend(axes: Axes, styles: Mapping[str, Mapping[str, Any]]) -> None:
    """Say above the axes, to the right, what lines and shapes stand for."""
    from matplotlib.lines import Line2D

    axes.legend(
        handles=[Line2D([], [], label=label, **style) for label, style in styles.items()],
        loc="lower right",
        bbox_to_anchor=(1.0, 1.0),
        ncols=3,
        fontsize=SMALL,
        frameon=False,
        borderaxespad=0.1,
        handlelength=1.8,
        columnspacing=1.0,
    )
