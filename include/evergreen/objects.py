"""Objects on object storage below one URI: published once, replaced by compare-and-set, fetched, listed.

- Published once: a conditional write (`If-None-Match: *`), in one request or as the last of an upload in
  parts. Of many writers one wins; the others are told, and look at what stands there.
- Replaced: only what was read is replaced (`If-Match`), where a file is small enough for one request.
- A listing is a hint: names of any other form than asked for are left out, and a name is only ever put
  together here, never taken over.

Raises what the store's library raises: `storage_errors.store_answers` says what that means.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

from tenacity import retry, retry_if_exception, stop_after_attempt, wait_random_exponential

from evergreen.artefacts import write_once
from evergreen.errors import BadConfiguration
from evergreen.storage import PART_BYTES, local_path, open_remote
from evergreen.storage_errors import conflicts, nothing_there, stands_already, store_answers, wordless

MOST_PARTS = 10_000

_ODD = re.compile(r"""[^\x21-\x7e]|[?#*\[\]{}%\\^`|<>"]|/\.{0,2}/|/\.{1,2}$""")
"""What stores, URLs and libraries understand differently: other signs, empty parts, dots alone."""

_undecided = retry(
    retry=retry_if_exception(conflicts),
    wait=wait_random_exponential(multiplier=0.1, max=2),
    stop=stop_after_attempt(6),
    reraise=True,
)


def put_if_absent(uri: str, content: bytes, options: Mapping[str, Any]) -> bool:
    """Publish bytes at a URI, on a disk or an object store, where nothing stands yet; else False.

    They are there whole or not at all. Who is told False looks at what stands there: it may be these
    very bytes, put by an earlier try whose answer was lost.

    Raises:
        StoreUnavailable: the store did not take them.
        BadConfiguration: it will not, until somebody mends the login, the bucket or the name.
    """
    place = local_path(uri)
    with store_answers(uri):
        if place is not None:
            return write_once(place, content)
        folder, _, name = uri.rpartition("/")
        return Objects(folder, options).put_if_absent(name, content)


class Objects:
    """The objects below a URI. Holds credentials: never printed."""

    def __init__(self, uri: str, options: Mapping[str, Any]) -> None:
        self.uri = uri.rstrip("/")
        self._options = options
        odd = _ODD.search("/" + self.uri.partition("://")[2])
        if odd:
            raise BadConfiguration(
                "a URI of objects holds what is not safe in their names",
                where=self.uri,
                got=odd.group(),
                allowed="letters, digits and - . _ / = + @ ~ ! $ & ' ( ) , ; :",
                fix="choose another bucket or prefix",
            )

    @_undecided
    def put_if_absent(self, name: str, content: bytes | Path) -> bool:
        """Publish bytes or a file where nothing stands yet; False where something does."""
        system, path = self._at(name)
        try:
            if isinstance(content, Path):
                system.put_file(str(content), path, mode="create", **_parts(system, content))
            else:
                system.pipe_file(path, content, mode="create")
        except Exception as exc:
            if stands_already(exc):
                return False
            raise
        return True

    @_undecided
    def replace(self, name: str, content: Path, tag: str | None) -> bool:
        """Put a file in the place of an object with this ETag; False where that is another by now.

        Without a tag it replaces whatever stands there.
        """
        system, path = self._at(name)
        try:
            condition = {"IfMatch": tag} if tag else {}
            system.put_file(str(content), path, **_parts(system, content), **condition)
        except Exception as exc:
            gone = isinstance(exc, FileNotFoundError) and nothing_there(exc)
            if tag and (stands_already(exc) or gone):
                return False
            raise
        return True

    def info(self, name: str) -> Mapping[str, Any] | None:
        """Return what the store says of an object, as fsspec names it; None where there is none."""
        system, path = self._at(name)
        try:
            with _in_words(system, path):
                found: Mapping[str, Any] = system.info(path)
        except FileNotFoundError as exc:
            if nothing_there(exc):
                return None
            raise
        return found if found.get("type") == "file" else None

    def read(self, name: str) -> bytes | None:
        """Return an object's bytes; None where there is none."""
        system, path = self._at(name)
        try:
            with _in_words(system, path):
                return bytes(system.cat_file(path))
        except FileNotFoundError as exc:
            if nothing_there(exc):
                return None
            raise

    def fetch(self, name: str, place: Path) -> bool:
        """Copy an object into a file of this machine; False where there is none."""
        system, path = self._at(name)
        try:
            system.get_file(path, str(place))
        except FileNotFoundError as exc:
            if nothing_there(exc):
                return False
            raise
        return True

    def open(self, name: str) -> Any | None:
        """Open an object to read parts of it; None where there is none. Close it."""
        system, path = self._at(name)
        try:
            with _in_words(system, path):
                return system.open(path, "rb")
        except FileNotFoundError as exc:
            if nothing_there(exc):
                return None
            raise

    def remove(self, name: str) -> None:
        """Let there be no such object."""
        system, path = self._at(name)
        try:
            system.rm_file(path)
        except FileNotFoundError as exc:
            if not nothing_there(exc):
                raise

    def names(self) -> list[str]:
        """Return what a listing says stands directly below the URI: a hint, of any form whatever."""
        system, path = open_remote(self.uri, self._options, self.uri)
        try:
            listed = system.ls(path, detail=False)
        except FileNotFoundError as exc:
            if nothing_there(exc):
                return []
            raise
        inside = path.rstrip("/") + "/"
        below = (name.strip("/").removeprefix(inside.lstrip("/")) for name in map(str, listed))
        return sorted(name for name in below if name and "/" not in name and name not in (".", ".."))

    def _at(self, name: str) -> tuple[Any, str]:
        pure = PurePosixPath(name)
        if pure.is_absolute() or str(pure) != name or ".." in pure.parts or not name.isprintable():
            raise ValueError(f"not the name of an object: {name[:200]!r}")
        uri = f"{self.uri}/{name}"
        return open_remote(uri, self._options, uri)


@contextmanager
def _in_words(system: Any, path: str) -> Iterator[None]:
    """Ask again by GET where HEAD was refused: its answer has no body, so it cannot say why."""
    try:
        yield
    except Exception as exc:
        if wordless(exc):
            system.cat_file(path, start=0, end=1)
        raise


def _parts(system: Any, content: Path) -> dict[str, int]:
    """Return how s3fs cuts a file into parts: there may be so many at most."""
    if "s3" not in system.protocol:
        return {}
    return {"chunksize": max(PART_BYTES, -(-content.stat().st_size // MOST_PARTS))}
