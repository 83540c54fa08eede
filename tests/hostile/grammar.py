"""Hostile values, and changes of valid files that keep most of their shape. Everything is seeded."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.unit.model_files import QUERY, SUITE, VALID

MOST_BYTES = 300_000
LONG = 8_000

VALUES: Sequence[str] = (
    # numbers
    "1e999",
    "-1e999",
    ".nan",
    ".inf",
    "9" * 5000,
    "-" + "9" * 5000,
    "0x" + "f" * 5000,
    "0o" + "7" * 5000,
    "1" * 400 + ".5",
    "1e-99999",
    "0.1e5000000000",
    "12:30:00",
    "190:20:30.15",
    "1_000",
    "0777",
    "1e3",
    "-0",
    "1.5 kB",
    "99999 years",
    "0 days",
    "1 of 99",
    "9999 per year",
    "100000%",
    # words of YAML 1.1, tags, anchors
    "no",
    "on",
    "~",
    "!!python/object/apply:os.system [ls]",
    "!!binary aGVsbG8=",
    "!!timestamp 2001-01-01",
    "!<tag:yaml.org,2002:python/name:os.system> x",
    "&a x",
    "*a",
    "[&a [*a]]",
    "{<<: {a: 1}}",
    "{a: 1, a: 2}",
    "{? [a, b] : c}",
    # what regular expressions of the model file may choke on
    "a_" * LONG + "!",
    "0" * LONG + " day",
    "1" * LONG + "%",
    " " * LONG + "x",
    '"' + "\\t" * LONG + '"',
    "'" + "a" * LONG + "@" * LONG + "'",
    "'" + "a@" * LONG + "'",
    "x://" + ":" * LONG + "@",
    "x" * LONG + "://a:b@c",
    "'" + "a://b:" * (LONG // 6) + "'",
    "'" + "?password=" * (LONG // 10) + "'",
    "'" + "xox" * LONG + "'",
    "A1" * LONG,
    "A" * LONG + "!",
    "-" * LONG,
    "." * LONG,
    "'" + "(" * LONG + "'",
    "expect_column_" + "to_be_" * LONG,
    "a." * LONG + "b",
    "sklearn." + "a" * LONG,
    "'" + "[" * LONG + "'",
    "'" + "**/" * LONG + "'",
    "'" + "*" * LONG + "'",
    "'" + "{a,b}" * LONG + "'",
    # schedules
    "'" + "*/1 " * 5 + "'",
    "'" + "0-59/1," * LONG + "* * * *'",
    "'" + "0," * LONG + "0 * * * *'",
    "'0 0 31 2 *'",
    "'0 0 29 2 1#5'",
    "'0 0 * * 0-6/0'",
    "'H(0-59) H * * *'",
    "'0 0 L * *'",
    "'1-999999999 * * * *'",
    "'* * * * * * *'",
    "'* * * * " + "mon," * LONG + "tue'",
    "'@" + "a" * LONG + "'",
    "'@reboot'",
    # SQL
    "'SELECT " + "(" * LONG + "'",
    "'SELECT " + "/*" * LONG + "'",
    "'SELECT " + "-- " * LONG + "'",
    "'SELECT " + ":start " * LONG + "'",
    "'SELECT " + "$a$" * LONG + "'",
    "'SELECT \"" + '""' * LONG + "'",
    "'SELECT " + "`" * LONG + "'",
    "'SELECT " + "1." * LONG + "'",
    "'SELECT " + "a" * LONG + "'",
    "'SELECT " + "CASE WHEN " * 5000 + "'",
    "'SELECT 1; DROP TABLE x'",
    "'WITH a AS (DELETE FROM x RETURNING *) SELECT * FROM a'",
    # paths, templates, characters
    "../../../etc/passwd",
    "/etc/passwd",
    "/dev/zero",
    "/proc/self/mem",
    "'a\\0b'",
    '"a\\0b"',
    '"\\ud800"',
    '"\\U0010ffff"',
    '"\\u202e\\u2066"',
    "'{{ 7*7 }}'",
    "'{% for x in y %}'",
    "'<script>alert(1)</script>'",
    "é" * LONG,
    "\U0001f600" * 5000,
    "'" + "e\u0301" * LONG + "'",
    # shapes
    "[" * 60 + "]" * 60,
    "{a: " * 60 + "}" * 60,
    "[" + "a, " * LONG + "]",
    "{" + ", ".join(f"k{i}: 1" for i in range(5000)) + "}",
    "|\n" + "  x\n" * 5000,
    ">-\n" + "  x\n\n" * 5000,
    "",
)

Change = Callable[[random.Random, list[str]], list[str]]


def seeds() -> dict[str, bytes]:
    """Return valid files, and every bad model file that there is a golden message for."""
    folders = (Path("dags/models"), Path("tests/golden/bad_models"))
    files = [path for folder in folders for path in sorted(folder.rglob("*")) if path.suffix in SUFFIXES]
    found = {str(path): path.read_bytes() for path in files}
    return {"valid": VALID.encode(), "suite": SUITE.encode(), "query": QUERY.encode(), **found}


SUFFIXES = {".yaml", ".yml", ".sql"}


def changed(content: bytes, seed: int, others: Sequence[bytes]) -> bytes:
    """Return the content with one to four changes; one in eight is of raw bytes."""
    rng = random.Random(seed)
    if rng.random() < 1 / 8:
        return _raw(rng, content)[:MOST_BYTES]
    lines = content.decode("utf-8", "surrogateescape").split("\n")
    for _ in range(rng.randint(1, 4)):
        if rng.random() < 0.1:
            other = rng.choice(others).decode("utf-8", "surrogateescape").split("\n")
            at, start = rng.randrange(len(lines) + 1), rng.randrange(len(other))
            lines[at:at] = other[start : start + rng.randint(1, 20)]
        lines = rng.choice(CHANGES)(rng, lines or [""])
    return "\n".join(lines).encode("utf-8", "surrogateescape")[:MOST_BYTES]


def _raw(rng: random.Random, content: bytes) -> bytes:
    data = bytearray(content or b"a")
    for _ in range(rng.randint(1, 8)):
        at = rng.randrange(len(data))
        data[at : at + rng.choice((0, 1, 1, 4, 100))] = rng.randbytes(rng.choice((0, 1, 1, 2, 50)))
        data = data or bytearray(b"\0")
    return bytes(data)


def _value(rng: random.Random, lines: list[str]) -> list[str]:
    """Put a hostile value in the place of one that follows a key or a dash."""
    at = rng.randrange(len(lines))
    replaced = re.sub(
        r"(: ?|- ).*$", lambda m: m[1].rstrip() + " " + rng.choice(VALUES), lines[at], count=1
    )
    return [*lines[:at], replaced, *lines[at + 1 :]]


def _within(rng: random.Random, lines: list[str]) -> list[str]:
    """Put a hostile value in the place of one word."""
    at = rng.randrange(len(lines))
    words = re.split(r"(\s+|[{}\[\],:])", lines[at])
    words[rng.randrange(len(words))] = rng.choice(VALUES)
    return [*lines[:at], "".join(words), *lines[at + 1 :]]


def _again(rng: random.Random, lines: list[str]) -> list[str]:
    at = rng.randrange(len(lines))
    return lines[:at] + [lines[at]] * rng.choice((2, 3, 1000)) + lines[at + 1 :]


def _without(rng: random.Random, lines: list[str]) -> list[str]:
    at = rng.randrange(len(lines))
    return lines[:at] + lines[at + rng.randint(1, 5) :]


def _indented(rng: random.Random, lines: list[str]) -> list[str]:
    at, by = rng.randrange(len(lines)), rng.choice(("  ", " ", "\t", "- ", "? ", " " * 40))
    return [*lines[:at], by + lines[at], *lines[at + 1 :]]


def _outdented(rng: random.Random, lines: list[str]) -> list[str]:
    at = rng.randrange(len(lines))
    return [*lines[:at], lines[at].lstrip(), *lines[at + 1 :]]


def _deeper(rng: random.Random, lines: list[str]) -> list[str]:
    at, depth = rng.randrange(len(lines)), rng.choice((2, 49, 60, 500))
    nest = ["  " * level + "a:" for level in range(depth)]
    return lines[:at] + nest + lines[at:]


def _swapped(rng: random.Random, lines: list[str]) -> list[str]:
    at, other = rng.randrange(len(lines)), rng.randrange(len(lines))
    lines = [*lines]
    lines[at], lines[other] = lines[other], lines[at]
    return lines


def _listed(rng: random.Random, lines: list[str]) -> list[str]:
    """Make a list, or a section, of a value."""
    at = rng.randrange(len(lines))
    shape = rng.choice((r"\1 [\2]", r"\1 {a: \2}", r"\1 [[\2], \2]", r"\1 {\2: \2}"))
    return [*lines[:at], re.sub(r"^(\s*[\w-]+:) (.*)$", shape, lines[at]), *lines[at + 1 :]]


def _cut(rng: random.Random, lines: list[str]) -> list[str]:
    text = "\n".join(lines)
    return text[: rng.randrange(len(text) + 1)].split("\n")


def _inserted(rng: random.Random, lines: list[str]) -> list[str]:
    at = rng.randrange(len(lines))
    odd = rng.choice(
        ("\0", "\ufeff", "\u2028", "\x85", "\x1b[31m", "\u202e", "---", "...", "%YAML 9.9", "#")
    )
    column = rng.randrange(len(lines[at]) + 1)
    return [*lines[:at], lines[at][:column] + odd + lines[at][column:], *lines[at + 1 :]]


CHANGES: Sequence[Change] = (
    _value,
    _value,
    _value,
    _within,
    _again,
    _without,
    _indented,
    _outdented,
    _deeper,
    _swapped,
    _listed,
    _cut,
    _inserted,
)
