"""A letter as an HTML mail: styles inline, nothing fetched, readable on a dark ground, too."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from evergreen.alerts.letter_words import Words

if TYPE_CHECKING:
    import jinja2

_GOOD = ("#1d6b3a", "#e9f5ed")
_COLOURS = {
    "high": ("#a8261c", "#fceeec"),
    "medium": ("#7d5200", "#fdf4e0"),
    "low": ("#2b5a8c", "#eaf1f8"),
}


def mail_page(words: Words) -> str:
    """Return the page; the same words give the same text."""
    strong, ground = _GOOD if words.good else _COLOURS[words.severity]
    tone = "good" if words.good else words.severity
    preview = words.lead or next(iter(words.lines), words.kind)
    template = _environment().get_template("alert.html.jinja")
    return template.render(words=words, strong=strong, ground=ground, tone=tone, preview=preview)


@cache
def _environment() -> jinja2.Environment:
    import jinja2

    return jinja2.Environment(
        loader=jinja2.PackageLoader("evergreen", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
