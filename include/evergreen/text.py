"""The one place that escapes: text of others shown as HTML, Markdown, in Slack or on a terminal line."""

from __future__ import annotations

import html as _html
import re
import unicodedata

_MARKDOWN = re.compile(
    r"[\\`*_{}\[\]()#+!|<>~&$=@]|-(?!\w)|(?<!\w)-|(?<=[0-9])\.(?=\s|$)|:(?=//)|(?<=www)\.", re.IGNORECASE
)

_SLACK = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})


def plain(value: object, longest: int = 2000) -> str:
    r"""Return `value` as one printable line: no control, ANSI or bidirectional characters.

    >>> plain("a\x1b[31mb\nc")
    'a[31mb c'
    """
    text = re.sub(r"\s", " ", str(value))
    text = "".join(c for c in text if unicodedata.category(c) not in {"Cc", "Cf", "Cs"})
    text = re.sub(" +", " ", text)
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def html(value: object) -> str:
    """Return `value` escaped for HTML text and attributes."""
    return _html.escape(plain(value), quote=True)


def markdown(value: object) -> str:
    r"""Return `value` escaped for Markdown: it renders as the characters it holds, links included.

    >>> print(markdown("[x](javascript:1)"))
    \[x\]\(javascript:1\)
    """
    return _MARKDOWN.sub(r"\\\g<0>", plain(value))


def slack(value: object) -> str:
    """Return `value` with the three characters escaped by which Slack's text mentions and links.

    Formatting of `*`, `_`, `~` and backticks has no escape there: send it with `mrkdwn` off.

    >>> slack("<!channel> a & b")
    '&lt;!channel&gt; a &amp; b'
    """
    return plain(value).translate(_SLACK)
