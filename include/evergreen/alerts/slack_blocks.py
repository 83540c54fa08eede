"""A letter as Slack shows it: Block Kit whose texts Slack does not parse.

Text of others stands in `plain_text` and `rich_text` elements only, in which Slack makes neither links
nor mentions nor formatting of characters; the fallback text is escaped and sent with `mrkdwn` off.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from evergreen.alerts.letter_words import Words
from evergreen.text import slack

LONGEST_HEADER = 150
LONGEST_BLOCK = 3000
_LABEL = 100
"""Room for the words that stand above lines."""

Json = dict[str, Any]


def blocks_of(words: Words) -> list[Json]:
    """Return the blocks of a message: at most a dozen, each within Slack's bounds."""
    blocks: list[Json] = [{"type": "header", "text": _plain(words.title[:LONGEST_HEADER])}]
    if words.lead:
        blocks.append(_rich([_section([_text(words.lead, bold=True)])]))
    blocks += [_rich([_list(lines)]) for lines in _within_bounds(words.lines)]
    for values in _within_bounds(words.values):
        blocks.append(_rich([_section([_text("Values found in the data", bold=True)]), _list(values)]))
    blocks.append(_rich([_section(_facts(words))]))
    for what, command in words.commands:
        code = {"type": "rich_text_preformatted", "elements": [_text(command)]}
        blocks.append(_rich([_section([_text(what, bold=True)]), code]))
    return blocks


def fallback_of(words: Words, *, threaded: bool) -> str:
    """Return the text of notifications, escaped; `threaded` where it stands in its incident's thread."""
    re = "Re: " if words.continues and not threaded else ""
    said = f"{re}{words.title}"
    return slack(f"{said} ({words.lead})" if words.lead else said)


def _facts(words: Words) -> list[Json]:
    found: list[Json] = []
    for label, value in words.facts:
        found += [_text(f"{label} ", bold=True), _text(f"{value}\n")]
    if words.url:
        found.append({"type": "link", "url": words.url, "text": "Open the run"})
    return found


def _within_bounds(lines: Iterable[str]) -> Iterable[Sequence[str]]:
    """Yield the lines in runs that fit into one block."""
    run: list[str] = []
    for line in lines:
        if sum(map(len, run)) + len(line) > LONGEST_BLOCK - _LABEL:
            yield run
            run = []
        run.append(line)
    if run:
        yield run


def _plain(text: str) -> Json:
    return {"type": "plain_text", "text": text, "emoji": False}


def _rich(elements: list[Json]) -> Json:
    return {"type": "rich_text", "elements": elements}


def _section(elements: list[Json]) -> Json:
    return {"type": "rich_text_section", "elements": elements}


def _list(lines: Iterable[str]) -> Json:
    sections = [_section([_text(line)]) for line in lines]
    return {"type": "rich_text_list", "style": "bullet", "elements": sections}


def _text(text: str, *, bold: bool = False) -> Json:
    element: Json = {"type": "text", "text": text}
    return element | {"style": {"bold": True}} if bold else element
