"""The watch over time: every check's answer, and what was measured against its threshold.

A page of 800 pixels' width as PNG or SVG bytes, in the colours and shapes of the gate's page.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from evergreen.evidence.forest import BLUE, DARK_GREY, EDGE, GREY, INK, RED, SMALL, TEXT
from evergreen.evidence.numbers import counted, short
from evergreen.evidence.page import Box, Page, height_of
from evergreen.logged_rows import shown
from evergreen.monitor_spec import Level
from evergreen.text import plain
from evergreen.watch_results import Answer, Finding, Verdict

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDTH = 8.0
INNER = WIDTH - 2 * EDGE
LEFT_OF_AXES = 0.62
STRIP, PANEL, ABOVE_PANEL, BELOW_PANEL = 0.26, 1.0, 0.44, 0.85
MOMENT_ROWS, MOMENT_ROW = 2, 0.18
MOST_PANELS = 5
MOST_CHECKS = 200
LOG_FROM = 20
"""Values that reach more than so many times the threshold are drawn on a logarithmic scale."""
FEWEST_DAYS = 7.0
"""The least time that the axis spans."""

Format = Literal["png", "svg"]
NAMES: Mapping[Level, str] = {
    "health": "data health",
    "loss": "loss",
    "estimated_loss": "estimated loss, no labels seen",
    "prediction": "prediction",
    "features": "feature",
}
STYLES: Mapping[Answer, tuple[str, str]] = {
    "quiet": (BLUE, "o"),
    "alarm": (RED, "v"),
    "not enough data": (GREY, "x"),
}
"""Colour and shape of each answer."""
THRESHOLD: Mapping[str, Any] = {"color": INK, "linewidth": 1.2, "linestyle": (0, (4, 2))}
DONE: Mapping[str, Any] = {"color": INK, "linewidth": 1.0, "linestyle": (0, (1, 2))}


@dataclass(frozen=True, slots=True)
class Moment:
    """Something that was done: a retrain asked for, a version released."""

    at: datetime
    words: str


@dataclass(frozen=True, slots=True)
class _Subject:
    """What is one line over time; of data's health each kind is one."""

    level: Level
    name: str
    kind: str


def history_picture(
    verdicts: Sequence[Verdict], title: str, moments: Sequence[Moment] = (), kind: Format = "png"
) -> bytes:
    """Return the page.

    Args:
        verdicts: Checks by rising as-of, at least one; the last `MOST_CHECKS` are drawn.
        title: What was watched, such as the model's name.
        moments: What was done in between.
        kind: The picture's format.
    """
    checks = list(verdicts)[-MOST_CHECKS:]
    moments = [moment for moment in moments if moment.at >= checks[0].as_of]
    page = Page(WIDTH)
    said = page.wrapped(_said(checks), TEXT, INNER, 3)
    subjects = _foremost(checks)
    top = (
        EDGE + 0.36 + height_of(len(said), TEXT) + 0.25 + (MOMENT_ROWS * MOMENT_ROW if moments else 0.0)
    )
    page.set_height(top + STRIP + len(subjects) * (ABOVE_PANEL + PANEL) + BELOW_PANEL)

    page.text(EDGE, EDGE, page.fitted(plain(title), 14, INNER, "bold"), 14, weight="bold", color=INK)
    for place, line in enumerate(said):
        page.text(EDGE, EDGE + 0.36 + height_of(place, TEXT), line, TEXT, color=DARK_GREY)
    panels = [page.axes(Box(EDGE + LEFT_OF_AXES, top, INNER - LEFT_OF_AXES, STRIP))]
    _draw_answers(panels[0], checks)
    down = top + STRIP
    for subject in subjects:
        box = Box(EDGE + LEFT_OF_AXES, down + ABOVE_PANEL, INNER - LEFT_OF_AXES, PANEL)
        panels.append(page.axes(box))
        _draw_subject(page, panels[-1], down, subject, checks)
        down += ABOVE_PANEL + PANEL
    _share_time(panels, checks, moments)
    _name_moments(page, panels[0], top, moments)
    return page.png() if kind == "png" else page.svg()


def _said(checks: Sequence[Verdict]) -> str:
    """Return how many checks there were and what the newest says."""
    newest = checks[-1]
    alarms = counted(sum(check.answer == "alarm" for check in checks), "alarm")
    spread = f"{checks[0].as_of:%Y-%m-%d} to {newest.as_of:%Y-%m-%d}"
    words = plain(" ".join(newest.words[:2])) or newest.answer
    return f"{counted(len(checks), 'check')} from {spread}, {alarms}. The newest: {words}"


def _foremost(checks: Sequence[Verdict]) -> list[_Subject]:
    """Return what to draw: what the newest check alarms of, then what alarmed most, then the rest."""
    order: dict[_Subject, tuple[float, ...]] = {}
    newest = {_subject(finding): place for place, finding in enumerate(checks[-1].findings)}
    for check in checks:
        for finding in check.findings:
            if finding.value is None:
                continue
            subject = _subject(finding)
            now = finding.answer == "alarm" and check is checks[-1]
            _, alarms, place = order.get(subject, (0.0, 0.0, 0.0))
            alarms -= finding.answer == "alarm"
            place = float(newest.get(subject, len(newest)))
            order[subject] = (-float(now), alarms if not now else 0.0, place)
    return sorted(order, key=lambda subject: (order[subject], subject.name))[:MOST_PANELS]


def _subject(finding: Finding) -> _Subject:
    kind = finding.measure if finding.level == "health" else ""
    return _Subject(finding.level, finding.subject, kind)


def _draw_answers(axes: Axes, checks: Sequence[Verdict]) -> None:
    """Draw a mark for each check, and above them what the marks stand for."""
    for answer, (colour, shape) in STYLES.items():
        at = [_day(check.as_of) for check in checks if check.answer == answer]
        label = f"{answer} ({len(at)})"
        axes.plot(at, [0.0] * len(at), shape, color=colour, markersize=7, label=label)
    axes.set_ylim(-1, 1)
    axes.set_yticks([0], labels=["checks"], fontsize=SMALL)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)


def _draw_subject(
    page: Page, axes: Axes, down: float, subject: _Subject, checks: Sequence[Verdict]
) -> None:
    found = [
        (check.as_of, finding)
        for check in checks
        for finding in check.findings
        if _subject(finding) == subject and finding.value is not None
    ]
    measured = plain(found[-1][1].measure).replace("_", " ")
    head = f"{plain(shown(subject.name))}"
    about = f"{measured}, {NAMES[subject.level]}"
    left = page.fitted(head, TEXT, INNER * 0.45, "bold")
    page.text(EDGE, down + 0.2, left, TEXT, weight="bold", color=INK)
    after = EDGE + page.wide(left, TEXT, "bold") + 0.15
    page.text(after, down + 0.215, page.fitted(about, SMALL, INNER * 0.45), SMALL, color=DARK_GREY)

    values = [finding.value or 0.0 for _, finding in found]
    limits = [(_day(at), f.threshold) for at, f in found if f.threshold is not None]
    floor = _scale(axes, values, [limit for _, limit in limits])
    line = {_day(check.as_of): math.nan for check in checks}
    line |= {_day(at): max(value, floor) for (at, _), value in zip(found, values, strict=True)}
    axes.plot(list(line), list(line.values()), color=BLUE, linewidth=1.4, zorder=2)
    for answer, (colour, shape) in STYLES.items():
        at = [_day(time) for time, finding in found if finding.answer == answer]
        size = 8 if answer == "alarm" else 4.5
        axes.plot(at, [line[day] for day in at], shape, color=colour, markersize=size, zorder=3)
    if limits:
        days, heights = zip(*limits, strict=True)
        axes.plot(days, heights, zorder=1, **THRESHOLD)
        if len(limits) == 1:
            axes.axhline(heights[0], zorder=1, **THRESHOLD)
        newest = f"threshold {short(heights[-1])}"
        left_of = EDGE + INNER - page.wide(newest, SMALL)
        page.text(left_of, down + 0.215, newest, SMALL, color=DARK_GREY)


def _scale(axes: Axes, values: Sequence[float], limits: Sequence[float]) -> float:
    """Give the axis its scale, and return the least that is drawn on it.

    Distances have their zero on it, a loss has not, and what goes far beyond its threshold is drawn on a
    logarithmic scale.
    """
    least, most = min((*values, *limits)), max((*values, *limits))
    room = 0.15 * ((most - min(least, 0.0)) or 1.0)
    floor = least
    if limits and min(limits) > 0 and most > LOG_FROM * max(limits):
        floor = max(least, min(limits) / LOG_FROM)
        axes.set_yscale("log")
        axes.set_ylim(floor / 1.5, most * 2)
        axes.minorticks_off()
    elif 0.5 * most < least < most:
        axes.set_ylim(least - 0.3 * (most - least), most + 0.3 * (most - least))
        axes.locator_params(axis="y", nbins=3)
    else:
        axes.set_ylim(min(least, 0.0) - room / 3, most + room)
        axes.locator_params(axis="y", nbins=3)
    axes.yaxis.set_major_formatter(lambda value, _: short(value))
    return floor


def _share_time(panels: Sequence[Axes], checks: Sequence[Verdict], moments: Sequence[Moment]) -> None:
    """Give all panels one axis of time, and name its days below the last."""
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    at = [_day(check.as_of) for check in checks] + [_day(moment.at) for moment in moments]
    span = max(max(at) - min(at), FEWEST_DAYS)
    room = 0.03 * span + (span - max(at) + min(at)) / 2
    for panel in panels:
        locator = AutoDateLocator(minticks=3, maxticks=8)  # type: ignore[no-untyped-call]
        panel.xaxis.set_major_locator(locator)
        formatter = ConciseDateFormatter(locator)  # type: ignore[no-untyped-call]
        panel.xaxis.set_major_formatter(formatter)
        panel.set_xlim(min(at) - room, max(at) + room)
        panel.tick_params(axis="x", labelbottom=panel is panels[-1], labelsize=SMALL)
        for moment in moments:
            panel.axvline(_day(moment.at), zorder=0, **DONE)
    panels[-1].xaxis.get_offset_text().set_fontsize(SMALL)
    _explain(panels[-1], done=bool(moments))


def _explain(axes: Axes, *, done: bool) -> None:
    """Say below the page what shapes and lines stand for."""
    from matplotlib.lines import Line2D

    marks = [
        Line2D([], [], color=colour, marker=shape, linestyle="none", label=answer)
        for answer, (colour, shape) in STYLES.items()
    ]
    lines = [Line2D([], [], label="threshold", **THRESHOLD)]
    if done:
        lines.append(Line2D([], [], label="what was done", **DONE))
    axes.legend(
        handles=[*marks, *lines],
        loc="upper left",
        bbox_to_anchor=(-0.02, -0.3),
        ncols=5,
        fontsize=SMALL,
        frameon=False,
        handlelength=1.8,
        columnspacing=1.2,
    )


def _name_moments(page: Page, strip: Axes, top: float, moments: Sequence[Moment]) -> None:
    """Say above the checks what was done; one that would run into the one before is left out."""
    low, high = strip.get_xlim()
    free = [EDGE] * MOMENT_ROWS
    for moment in sorted(moments, key=lambda moment: moment.at):
        words = page.fitted(plain(moment.words), SMALL, 2.5)
        wide = page.wide(words, SMALL)
        place = EDGE + LEFT_OF_AXES + (_day(moment.at) - low) / (high - low) * (INNER - LEFT_OF_AXES)
        left = min(max(EDGE, place - wide / 2), EDGE + INNER - wide)
        row = next((row for row in range(MOMENT_ROWS) if left >= free[row]), None)
        if row is not None:
            page.text(left, top - 0.02 - (row + 1) * MOMENT_ROW, words, SMALL, color=INK)
            free[row] = left + wide + 0.12


def _day(instant: datetime) -> float:
    from matplotlib.dates import date2num

    return float(date2num(instant))  # type: ignore[no-untyped-call]
