"""Hostile model files by name: whole files that a folder of models may hold beside honest ones."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.hostile.grammar import VALUES
from tests.unit.model_files import VALID
from tests.unit.test_document import HOSTILE

LINES = tuple(line for line in VALID.splitlines() if re.search(r": \S", line))


def contents() -> Mapping[str, bytes]:
    """Return contents that no model file may have, by a name that a file can bear."""
    found = {name: text if isinstance(text, bytes) else text.encode() for name, text in HOSTILE.items()}
    whole = {
        "ten megabytes": VALID.encode() + b"# " + b"x" * 10_000_000,
        "a NUL": VALID.encode() + b"\0",
        "UTF-16": VALID.encode("utf-16"),
        "UTF-16 without a mark": VALID.encode("utf-16-le"),
        "UTF-32": VALID.encode("utf-32"),
        "half a surrogate in UTF-8": VALID.encode() + b"# \xed\xa0\x80",
        "overlong UTF-8": VALID.encode() + b"# \xc0\xaf",
        "half a character": VALID.encode() + b"# \xf0\x9f\x98",
        "every key twice": (VALID + VALID).encode(),
        "a thousand documents": b"---\n" + (VALID + "---\n").encode() * 1000,
        "a thousand tags": VALID.replace("description:", "description: " + "!a " * 1000).encode(),
        "a list of thousands": (VALID + "tags:\n" + "  - x\n" * 19_000).encode(),
        "a list of hundreds": (VALID + "tags: [" + "x, " * 300 + "]\n").encode(),
        "an alias for everything": VALID.replace("data:", "x: &x {a: 1}\ndata: *x #").encode(),
        "nothing but a mark": b"\xef\xbb\xbf",
        "a billion laughs": _laughs(),
        "a quadratic blow-up": b"a: &a " + b"x" * 100_000 + b"\nb: [" + b"*a, " * 30_000 + b"]",
        "a circle of merges": b"a: &a\n  <<: *a\n  b: 1",
        "a machine's pickle": b"\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c\x02id\x85R.",
        "a zip": b"PK\x03\x04" + b"\0" * 1000,
        "HTML": b"<html><script>alert(1)</script></html>",
        "JSON lines": b'{"a": 1}\n{"a": 2}\n',
    }
    return {**found, **whole}


def _laughs() -> bytes:
    lines = ["a0: &a0 lol"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 10)]
    return "\n".join(lines).encode()


def values() -> Mapping[str, bytes]:
    """Return the valid file with every hostile value in the place of every value, one at a time."""
    return {
        f"{line.strip().partition(':')[0]} {number}": _put(line, value)
        for line in LINES
        for number, value in enumerate(VALUES)
    }


def _put(line: str, value: str) -> bytes:
    return VALID.replace(line, re.sub(r": .*$", lambda _: f": {value}", line), 1).encode()


def _folder(path: Path) -> None:
    path.mkdir()


def _pipe(path: Path) -> None:
    os.mkfifo(path)


def _link(target: str) -> Callable[[Path], None]:
    return lambda path: path.symlink_to(target)


def _unreadable(path: Path) -> None:
    path.write_text(VALID)
    path.chmod(0)


def _empty(path: Path) -> None:
    path.touch()


ODD_FILES: Mapping[str, Callable[[Path], None]] = {
    "folder": _folder,
    "pipe": _pipe,
    "empty": _empty,
    "link_to_a_device": _link("/dev/zero"),
    "link_to_a_password_file": _link("/etc/passwd"),
    "link_to_nothing": _link("nowhere.yaml"),
    "link_to_itself": _link("link_to_itself.yaml"),
    "link_to_memory": _link("/proc/self/mem"),
    "link_out": _link("../outside.yaml"),
}
"""Files that are none, by the stem of the model file whose name they take."""
