"""Model files that are zip files of a bad kind: bombs, lies about sizes, odd names, nested schemas."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import skops.io

from tests.hostile.schemas import node, packed, text, unpacked
from tests.stored_models import fitted

GIB = 2**30
HONEST = "an honest model"


def zips() -> Mapping[str, tuple[bytes, str]]:
    """Return each file with the reason it is refused for, or `HONEST`: it is no worse than one."""
    return {name: (make(), reason) for name, (make, reason) in _ZIPS.items()}


def _bomb(name: str) -> bytes:
    """Return an honest model with 256 MiB of blanks under a name, packed to a quarter MiB."""
    _, files = unpacked(_honest())
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        for other, content in files.items():
            file.writestr(other, content)
        with file.open(name, "w", force_zip64=True) as member:
            for _ in range(16):
                member.write(b" " * 2**24)
    return buffer.getvalue()


def _packed_by(method: int) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as file:
        file.writestr("schema.json", b" " * 10**7)
    return buffer.getvalue()


def _overlapping() -> bytes:
    """Return a zip whose thousand entries are all the same bytes of the file."""
    member = zipfile.ZipInfo("schema.json")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr(member, b" " * 100_000)
        file.filelist.extend([member] * 999)
        file._didModify = True  # type: ignore[attr-defined]
    return buffer.getvalue()


def _lying() -> bytes:
    """Return a zip whose directory says that a member is 3 GiB."""
    content = bytearray(_honest())
    at = content.rindex(b"PK\x01\x02")
    content[at + 24 : at + 28] = (3 * GIB).to_bytes(4, "little")
    return bytes(content)


def _locked() -> bytes:
    content = bytearray(_honest())
    at = content.rindex(b"PK\x01\x02")
    content[at + 8] |= 1
    return bytes(content)


def _array(shape: str) -> bytes:
    """Return a model one of whose arrays says it has this shape."""
    schema, files = unpacked(_honest())
    header = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}"
    padded = header.ljust(118 - 1) + "\n"
    name = sorted(name for name in files if name.endswith(".npy"))[0]
    files[name] = b"\x93NUMPY\x01\x00" + len(padded).to_bytes(2, "little") + padded.encode() + b"\0" * 64
    return packed(schema, files)


def _deep() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("schema.json", '{"protocol": 2, "content": ' + "[" * 100_000)
    return buffer.getvalue()


def _deep_nodes() -> bytes:
    schema: dict[str, Any] = text("x")
    for _ in range(400):
        schema = node("ListNode", "builtins.list", [schema])
    return packed(schema)


def _circle() -> bytes:
    inner = node("CachedNode", "builtins.list", __id__=1)
    return packed(node("ListNode", "builtins.list", [inner], __id__=1))


def _named(name: str) -> bytes:
    """Return an honest model with one more file under a name that leads elsewhere."""
    schema, files = unpacked(_honest())
    return packed(schema, {**files, name: b"x"}, schema["protocol"])


def _twice() -> bytes:
    """Return a zip with an honest schema first and one that calls after it."""
    buffer = io.BytesIO(_honest())
    evil = node("ConstructorFromReduceNode", "posix.getpid", node("TupleNode", "builtins.tuple", []))
    with zipfile.ZipFile(buffer, "a") as file:
        content = json.dumps({**evil, "protocol": 2}).encode()
        copy = zipfile.ZipInfo("schema.json")
        file._writecheck = lambda _: None  # type: ignore[attr-defined,method-assign]
        file.writestr(copy, content)
    return buffer.getvalue()


def _honest() -> bytes:
    content: bytes = skops.io.dumps(fitted())
    return content


def _object_array() -> bytes:
    schema, files = unpacked(_honest())
    buffer = io.BytesIO()
    np.save(buffer, np.array([{}], dtype=object))
    return packed(schema, dict.fromkeys(files, buffer.getvalue()))


_ZIPS: Mapping[str, tuple[Callable[[], bytes], str]] = {
    "a bomb as schema": (lambda: _bomb("schema.json"), "unpacks to more"),
    "a bomb beside": (lambda: _bomb("more.npy"), "unpacks to more"),
    "bzip2": (lambda: _packed_by(zipfile.ZIP_BZIP2), "unpacks to more"),
    "lzma": (lambda: _packed_by(zipfile.ZIP_LZMA), "unpacks to more"),
    "overlapping members": (_overlapping, "unpacks to more"),
    "a directory that lies": (_lying, "unpacks to more"),
    "a locked member": (_locked, "cannot be read"),
    "an array of a terabyte": (lambda: _array("(137438953472,)"), "cannot be read"),
    "an array of a negative size": (lambda: _array("(-1,)"), "cannot be read"),
    "an array whose shape is a call": (lambda: _array("(print(1),)"), "cannot be read"),
    "an array of objects": (_object_array, "cannot be read"),
    "a deep schema": (_deep, "cannot be read"),
    "deep nodes": (_deep_nodes, "cannot be read"),
    "a node in a circle": (_circle, "cannot be read"),
    "two schemas": (_twice, "not trusted|cannot be read"),
    "a name that leads out": (lambda: _named("../../out.npy"), HONEST),
    "an absolute name": (lambda: _named("/tmp/out.npy"), HONEST),
    "a name with a drive": (lambda: _named("C:\\out.npy"), HONEST),
}
