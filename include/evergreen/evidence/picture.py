"""The gate's answer on one page, as PNG bytes.

The answer first; below it what it turns on, drawn so that right is better, and what was asked besides.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from evergreen.comparison import Calibration, Check, Comparison, Slice
from evergreen.evidence import particulars
from evergreen.evidence.forest import (
    BELOW_AXES,
    BLUE,
    DARK_GREY,
    EDGE,
    GREEN,
    GREY,
    GUTTER,
    INK,
    LEFT,
    LEFT_LABELS,
    ORANGE,
    RED,
    SMALL,
    TEXT,
    WIDTH,
    Row,
    draw,
    forest,
    height_of_forest,
    legend,
)
from evergreen.evidence.headline import champion_of
from evergreen.evidence.page import Box, Page, height_of
from evergreen.evidence.words import sentences
from evergreen.text import plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes

RIGHT_FROM = EDGE + LEFT + GUTTER
RIGHT = WIDTH - RIGHT_FROM - EDGE
CALIBRATION_HEIGHT, CALIBRATION_HEAD = 3.3, 0.85
MOST_SLICES = 20
MOST_LINES = 4

BANNER = {
    "promote": ("PROMOTE", GREEN),
    "keep": ("KEEP", BLUE),
    "inconclusive": ("INCONCLUSIVE", ORANGE),
}
MARKS = {
    "passed": ("✓", GREEN),
    "failed": ("✗", RED),
    "inconclusive": ("?", ORANGE),
    "reported": ("!", ORANGE),
}
SLICE_STYLES: Mapping[str | None, tuple[str, str]] = {
    "harmed": (RED, "v"),
    "unproven": (GREY, "D"),
    "unharmed": (BLUE, "o"),
}
"""Colour and shape of the slices that are drawn, the worst first."""


def picture(comparison: Comparison, title: str) -> bytes:
    """Return the page: the answer, the differences it turns on, slices, calibration and checks.

    Args:
        comparison: Any: with or without a champion, slices or probabilities.
        title: What was compared, such as the model's name and the as-of.
    """
    page = Page(WIDTH)
    lines = _headlines(page, comparison)
    checks = _checked(page, comparison)
    shown, left_out = _slices_shown(page, comparison)
    trivial = _against_constants(comparison)
    calibrated = comparison.evidence.calibration is not None

    top = EDGE + 0.5 + sum(height_of(1, size) for _, size, _ in lines) + 0.15
    left = height_of_forest(len(trivial)) + (
        height_of_forest(1) if comparison.evidence.over_champion else 0.0
    )
    if shown:
        left += height_of_forest(len(shown)) + height_of(len(left_out), SMALL)
    right = 0.45 + sum(height_of(len(words), SMALL) + 0.05 for _, words in checks)
    more = CALIBRATION_HEAD + CALIBRATION_HEIGHT + BELOW_AXES if calibrated else 0.0
    beside = max(left, right + more) <= max(left + more, right)
    page.set_height(top + min(max(left, right + more), max(left + more, right)) + EDGE)

    _head(page, comparison, title, lines)
    _draw_left(page, comparison, top, shown, left_out, trivial)
    _draw_checks(page, checks, top)
    if calibrated:
        from_left, width = (RIGHT_FROM, RIGHT) if beside else (EDGE, LEFT)
        down = top + (right if beside else left)
        axes = page.axes(Box(from_left + 0.5, down + CALIBRATION_HEAD, width - 0.5, CALIBRATION_HEIGHT))
        page.text(from_left, down + 0.05, "Calibration", TEXT + 1, weight="bold")
        _calibrations(axes, comparison)
    return page.png()


def _headlines(page: Page, comparison: Comparison) -> list[tuple[str, float, str]]:
    """Return the lines below the title, with their sizes and colours."""
    answer, judged_on, *_ = sentences(comparison)
    room = WIDTH - 2 * EDGE
    return [
        *((line, 13.0, INK) for line in page.wrapped(answer, 13, room, 3)),
        *((line, TEXT, DARK_GREY) for line in page.wrapped(judged_on, TEXT, room, 2)),
    ]


def _head(
    page: Page, comparison: Comparison, title: str, lines: Sequence[tuple[str, float, str]]
) -> None:
    word, colour = BANNER[comparison.decision]
    banner = page.text(
        EDGE + 0.08,
        EDGE,
        word,
        14,
        weight="bold",
        color="white",
        bbox={"facecolor": colour, "edgecolor": "none", "boxstyle": "square,pad=0.35"},
    )
    after = EDGE + page.wide(banner.get_text(), 14, "bold") + 0.45
    text = page.fitted(plain(title), 14, WIDTH - after - EDGE, "bold")
    page.text(after, EDGE, text, 14, weight="bold", color=INK)
    down = EDGE + 0.5
    for line, size, shade in lines:
        page.text(EDGE, down, line, size, color=shade)
        down += height_of(1, size)


def _draw_left(
    page: Page,
    comparison: Comparison,
    top: float,
    shown: Sequence[Slice],
    left_out: Sequence[str],
    trivial: Sequence[Row],
) -> None:
    champion = comparison.evidence.over_champion
    if champion:
        name = champion_of(comparison)
        axes = forest(page, top, 1, f"Paired difference in {comparison.metric} to {name}")
        row = Row("the new model", champion, BLUE, "o")
        draw(page, axes, comparison, [row], 0.0 - (comparison.limit or 0.0))
        limit = {"color": GREEN, "linestyle": (0, (4, 2)), "linewidth": 1.6}
        legend(axes, {"all of it must lie right of this": limit})
        top += height_of_forest(1)
    axes = forest(page, top, len(trivial), "Difference to always giving the same answer")
    draw(page, axes, comparison, trivial)
    top += height_of_forest(len(trivial))
    if shown:
        axes = forest(page, top, len(shown), "Slices (rows)")
        slices = [
            Row(_slice_label(page, part), part.difference, *SLICE_STYLES[part.verdict])
            for part in shown
            if part.difference and part.verdict in SLICE_STYLES
        ]
        draw(page, axes, comparison, slices)
        styles = {
            str(verdict): {"color": colour, "marker": shape, "linewidth": 2}
            for verdict, (colour, shape) in SLICE_STYLES.items()
            if any(part.verdict == verdict for part in shown)
        }
        legend(axes, styles)
        for number, line in enumerate(left_out):
            down = top + height_of_forest(len(shown)) + height_of(number, SMALL)
            page.text(EDGE, down, line, SMALL, color=DARK_GREY)


def _slice_label(page: Page, part: Slice) -> str:
    """Return column, value and rows; where there is no room for all, both names are cut."""
    column, value, rows = plain(part.column), plain(part.value), f"({part.rows:,})"
    label = f"{column} = {value} {rows}"
    if page.wide(label, SMALL) <= LEFT_LABELS - 0.12:
        return label
    room = (LEFT_LABELS - 0.12 - page.wide(f" =  {rows}", SMALL)) / 2
    return f"{page.fitted(column, SMALL, room)} = {page.fitted(value, SMALL, room)} {rows}"


def _against_constants(comparison: Comparison) -> list[Row]:
    evidence = comparison.evidence
    rows = [
        ("the new model", evidence.over_baseline, BLUE, "o"),
        ("to the last period's answer", evidence.over_last_period, BLUE, "o"),
        (champion_of(comparison), evidence.champion_over_baseline, ORANGE, "s"),
    ]
    return [Row(name, over, colour, shape) for name, over, colour, shape in rows if over is not None]


def _slices_shown(page: Page, comparison: Comparison) -> tuple[list[Slice], list[str]]:
    """Return the slices to draw, the worst first, and lines that tell of the others."""
    up = comparison.higher_is_better
    drawable = [part for part in comparison.evidence.slices if part.verdict in SLICE_STYLES]
    judged = sorted(
        (part for part in drawable if part.difference),
        key=lambda part: (
            list(SLICE_STYLES).index(part.verdict or ""),
            -particulars.harm_of(part, higher_is_better=up),
        ),
    )
    shown, left = judged[:MOST_SLICES], judged[MOST_SLICES:]
    small = [part for part in comparison.evidence.slices if part.verdict == "too small"]
    said = ""
    if left:
        harmed = sum(part.verdict == "harmed" for part in left)
        said = f"Not drawn: {len(left)} more, {harmed or 'none'} of them harmed. "
    if small:
        said += f"Too few rows: {particulars.listed([particulars.name_of(part) for part in small], 4)}."
    return shown, page.wrapped(said, SMALL, LEFT, 3)


def _calibrations(axes: Axes, comparison: Comparison) -> None:
    """Draw the reliability of both models: on the diagonal, what is predicted happens."""
    evidence = comparison.evidence
    axes.plot([0, 1], [0, 1], color=GREY, linestyle="--", linewidth=1)
    lines = (
        (champion_of(comparison), evidence.champion_calibration, ORANGE, "s"),
        ("the new model", evidence.calibration, BLUE, "o"),
    )
    for name, found, colour, shape in lines:
        if found is None:
            continue
        predicted = [part.predicted for part in found.bins]
        observed = [part.observed for part in found.bins]
        label = f"{name}: {_misses(found)}"
        axes.plot(predicted, observed, color=colour, marker=shape, markersize=5, label=label)
    axes.set(xlabel="predicted probability", ylabel="observed share")
    axes.xaxis.label.set_fontsize(SMALL)
    axes.yaxis.label.set_fontsize(SMALL)
    shown = axes.legend(
        loc="lower left",
        bbox_to_anchor=(0.0, 1.0),
        fontsize=SMALL,
        frameon=False,
        borderaxespad=0.1,
    )
    for text in shown.get_texts():
        text.set_parse_math(False)


def _misses(found: Calibration) -> str:
    slope = "" if found.slope is None else f", slope {found.slope.estimate:.2f}"
    return f"misses by {found.error.estimate:.2g}{slope}"


def _checked(page: Page, comparison: Comparison) -> list[tuple[tuple[str, str], list[str]]]:
    """Return a mark and wrapped lines for each check."""
    failed_first = {"failed": 0, "inconclusive": 1, "reported": 2, "passed": 3}
    checks: list[Check] = sorted(comparison.checks, key=lambda check: failed_first[check.verdict])
    texts = [(MARKS[check.verdict], plain(check.words)) for check in checks]
    return [(mark, page.wrapped(text, SMALL, RIGHT - 0.3, MOST_LINES)) for mark, text in texts]


def _draw_checks(page: Page, checks: Sequence[tuple[tuple[str, str], list[str]]], top: float) -> None:
    """Write the checks below each other."""
    page.text(RIGHT_FROM, top + 0.05, "What was asked", TEXT + 1, weight="bold")
    down = top + 0.35
    for (mark, colour), lines in checks:
        page.text(RIGHT_FROM, down, mark, SMALL + 2, color=colour, weight="bold")
        for line in lines:
            page.text(RIGHT_FROM + 0.3, down, line, SMALL, color=INK)
            down += height_of(1, SMALL)
        down += 0.05
