"""What a model file's SQL query binds, and whether it is one SELECT.

What counts as bound is SQLAlchemy's rule, which also looks into quoted text and comments; the tokens
of sqlparse tell those apart. No database and no SQLAlchemy is needed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from evergreen.names import did_you_mean

BOUND = ("start", "end")
LONGEST_QUERY = 64 * 1024
MOST_FLAWS = 50

_BIND = re.compile(r"(?<![:\w\\]):(\w+)(?![:\w])")
_CAST_BIND = re.compile(r"(?<![:\w\\]):(start|end)::(\w*)")
_BEGINNINGS = frozenset({"SELECT", "WITH", "("})


@dataclass(frozen=True, slots=True)
class Flaw:
    """One thing wrong with a query; `offset` counts characters from its beginning."""

    offset: int
    what: str
    got: str | None = None
    fix: str | None = None


@dataclass(frozen=True, slots=True)
class _Token:
    offset: int
    text: str
    quoted: bool
    comment: bool


def flaws(query: str) -> list[Flaw]:
    """Return what is wrong with a query, in its order; an empty list where nothing is.

    At most `MOST_FLAWS` are returned.
    """
    if len(query) > LONGEST_QUERY:
        got = f"{len(query)} characters"
        return [
            Flaw(0, "the query is too long", got, f"keep it below {LONGEST_QUERY}; a view can hold more")
        ]
    tokens = list(_tokens(query))
    found = sorted([*_shape(tokens), *_binds(query, tokens)], key=lambda flaw: flaw.offset)
    return found[:MOST_FLAWS]


def _tokens(query: str) -> Iterator[_Token]:
    from sqlparse import tokens as kinds
    from sqlparse.lexer import tokenize

    offset = 0
    for kind, text in tokenize(query):  # type: ignore[no-untyped-call]
        comment = kind in kinds.Comment
        in_quotes = kind in kinds.Literal.String or text[:1] in ("'", '"', "`")
        dollars = kind in kinds.Literal and text.startswith("$") and text.endswith("$")
        yield _Token(offset, text, in_quotes or dollars, comment)
        offset += len(text)


def _shape(tokens: list[_Token]) -> Iterator[Flaw]:
    said = [token for token in tokens if token.text.strip() and not token.comment]
    if not said:
        yield Flaw(0, "the query is empty", fix="write one SELECT that binds :start and :end")
        return
    if said[0].text.upper() not in _BEGINNINGS:
        yield Flaw(said[0].offset, "not a query", said[0].text[:40], "begin with SELECT or WITH")
    ended = False
    for token in said:
        if ended and token.text != ";":
            yield Flaw(token.offset, "a second statement", token.text[:40], "keep one SELECT")
            return
        ended = ended or (token.text == ";" and not token.quoted)


def _binds(query: str, tokens: list[_Token]) -> Iterator[Flaw]:
    hidden = [(t.offset, t.offset + len(t.text)) for t in tokens if t.quoted or t.comment]
    bound: set[str] = set()
    position = 0
    for match in _BIND.finditer(query):
        while position < len(hidden) and hidden[position][1] <= match.start():
            position += 1
        if position < len(hidden) and hidden[position][0] <= match.start():
            fix = rf"write \{match[0][:41]}, or drop it"
            yield Flaw(match.start(), "a ':' within quotes or a comment would be bound", match[0], fix)
            continue
        bound.add(match[1])
        if match[1] not in BOUND:
            fix = did_you_mean(match[1], BOUND) or "the query may bind :start and :end only"
            yield Flaw(match.start(), "nothing is known to bind here", match[0], fix)
    for match in _CAST_BIND.finditer(query):
        bound.add(match[1])
        fix = f"write CAST(:{match[1]} AS {match[2] or 'type'})"
        yield Flaw(match.start(), "nothing binds before '::'", match[0], fix)
    for name in BOUND:
        if name not in bound and tokens:
            yield Flaw(
                0,
                f"the query does not bind :{name}",
                fix=f"add a condition on the time column with :{name}",
            )
