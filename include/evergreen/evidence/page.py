"""A page of matplotlib's whose parts are placed in inches from the top left, text measured before.

Matplotlib's objects only, no global state. Text is shown as it is written: `$` begins no formula.
"""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.text import Text

DOTS_PER_INCH = 100
POINTS_PER_INCH = 72
LINE = 1.42
"""The height of a line of text, in font sizes."""


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle in inches; `top` counts down from the page's upper edge."""

    left: float
    top: float
    width: float
    height: float


class Page:
    """A page of a width; its height is given once all that stands on it is known."""

    def __init__(self, width: float) -> None:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        self.width = width
        self.figure: Any = Figure(figsize=(width, 1.0), dpi=DOTS_PER_INCH, facecolor="white")
        canvas: Any = FigureCanvasAgg(self.figure)
        self._renderer = canvas.get_renderer()

    def set_height(self, inches: float) -> None:
        """Say how tall the page is; before anything is placed."""
        self.figure.set_size_inches(self.width, inches)

    def axes(self, box: Box) -> Axes:
        """Return axes whose frame is the box, with only the lines that carry meaning."""
        height = self.figure.get_figheight()
        placed: Axes = self.figure.add_axes(
            (
                box.left / self.width,
                1 - (box.top + box.height) / height,
                box.width / self.width,
                box.height / height,
            )
        )
        placed.spines[["top", "right"]].set_visible(False)
        placed.tick_params(labelsize=9)
        return placed

    def text(self, left: float, top: float, text: str, size: float, **style: Any) -> Text:
        """Write one line whose upper left corner is at a place."""
        written: Text = self.figure.text(
            left / self.width,
            1 - top / self.figure.get_figheight(),
            text,
            fontsize=size,
            va="top",
            parse_math=False,
            **style,
        )
        return written

    def wide(self, text: str, size: float, weight: str = "normal") -> float:
        """Return how wide a text is, in inches."""
        from matplotlib.font_manager import FontProperties

        font = FontProperties(size=size, weight=weight)
        with quiet_about_glyphs():
            width, _, _ = self._renderer.get_text_width_height_descent(text, font, ismath=False)
        return float(width) / DOTS_PER_INCH

    def fitted(self, text: str, size: float, inches: float, weight: str = "normal") -> str:
        """Return the text, cut with an ellipsis where it is wider than the place it has."""
        if self.wide(text, size, weight) <= inches:
            return text
        low, high = 0, len(text)
        while low < high:
            middle = (low + high + 1) // 2
            if self.wide(f"{text[:middle]}…", size, weight) <= inches:
                low = middle
            else:
                high = middle - 1
        return f"{text[:low].rstrip()}…"

    def wrapped(
        self, text: str, size: float, inches: float, most: int, weight: str = "normal"
    ) -> list[str]:
        """Return the text in at most so many lines of a width; the last is cut where it goes on."""
        lines: list[str] = []
        left = text.split()
        while left and len(lines) < most - 1:
            count = 1
            while count < len(left) and self.wide(" ".join(left[: count + 1]), size, weight) <= inches:
                count += 1
            line = " ".join(left[:count])
            shown = self.fitted(line, size, inches, weight)
            if shown == line:
                left = left[count:]
            else:  # one word, too long for a line: it goes on in the next
                shown = shown.removesuffix("…")
                left = [line[len(shown) :], *left[count:]]
            lines.append(shown)
        return [*lines, self.fitted(" ".join(left), size, inches, weight)] if left else lines

    def png(self) -> bytes:
        """Return the page as a PNG."""
        content = io.BytesIO()
        with quiet_about_glyphs():
            self.figure.savefig(content, format="png")
        return content.getvalue()

    def svg(self) -> bytes:
        """Return the page as an SVG that holds its glyphs; the same page is the same bytes."""
        from matplotlib import rc_context

        content = io.BytesIO()
        with quiet_about_glyphs(), rc_context({"svg.hashsalt": "evergreen"}):
            self.figure.savefig(content, format="svg", metadata={"Date": None})
        return content.getvalue()


def height_of(lines: int, size: float) -> float:
    """Return how tall so many lines are, in inches."""
    return lines * size * LINE / POINTS_PER_INCH


def quiet_about_glyphs() -> Any:
    """Return a context without warnings of characters the font lacks; boxes stand for them."""
    return warnings.catch_warnings(action="ignore", category=UserWarning)
