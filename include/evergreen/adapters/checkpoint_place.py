"""Checkpoints as small files in a folder or on object storage, each written once.

A checkpoint lies at PLACE/ERA/THOUSANDS/SEQ.json, numbers padded, so that names sort as time and the
newest is found by three short listings however many there are. Names are hints: what a file says counts.
"""

from __future__ import annotations

import errno
import logging
import os
import re
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

from evergreen.checkpoints import Checkpoint, checkpoint_from
from evergreen.errors import ArtefactDamaged, LedgerBehind
from evergreen.objects import Objects, put_if_absent
from evergreen.redaction import redact
from evergreen.storage import local_path
from evergreen.storage_errors import store_answers

log = logging.getLogger(__name__)

LONGEST_FILE = 1000
"""Bytes; a checkpoint has about 250."""

_WHAT = "the place of checkpoints did not take or give one"
_NUMBER = re.compile(r"\d{6,20}")
_NOT_OURS = {"ENOENT", "ENOTDIR", "EISDIR", "ELOOP", "EACCES", "EPERM", "ENXIO", "ENAMETOOLONG"}
"""How reading fails of what others put among our files; a disk that fails says something else."""


class CheckpointFiles:
    """Keeps checkpoints under a URI; a `witness_ports.CheckpointPlace`.

    `options` gives those of object storage, and is asked only where it is used. A URI of one file on
    this machine (saved from a mail, say) is read as checkpoints, one a line.
    """

    def __init__(self, uri: str, options: Callable[[], Mapping[str, Any]]) -> None:
        self._uri = uri.rstrip("/")
        self._options = cache(options)

    @property
    def uri(self) -> str:
        """Where it is, as people name it."""
        return redact(self._uri)

    def put(self, checkpoint: Checkpoint) -> bool:
        """Keep a checkpoint; False where it was kept already. Nothing is ever written over.

        Raises:
            LedgerBehind: another checkpoint of this era and `seq` is kept: of another ledger.
            StoreUnavailable: the place did not take it.
        """
        name, content = _name(checkpoint), f"{checkpoint.text()}\n".encode()
        if put_if_absent(f"{self._uri}/{name}", content, self._options()):
            return True
        with store_answers(self.uri, _WHAT):
            kept = self._read(name)
        if kept is None or (kept.ledger, kept.hash) != (checkpoint.ledger, checkpoint.hash):
            raise LedgerBehind(
                "the place keeps another checkpoint for this entry: of another ledger or past",
                where=f"{self.uri}/{name}",
                got=f"entry {checkpoint.seq} with hash {checkpoint.hash}",
                allowed="what cannot be read" if kept is None else f"hash {kept.hash}",
                fix="give each ledger a place of its own; run `evergreen audit` on this one",
            )
        return False

    def newest(self) -> Checkpoint | None:
        """Return the newest checkpoint that can be read, or None where there is none.

        Raises:
            ArtefactDamaged: there are files, and none of them can be read.
            StoreUnavailable: the place did not answer.
        """
        damaged = None
        for name, checkpoint in self.found():
            if checkpoint is not None:
                return checkpoint
            log.warning("not a checkpoint, passed over: %s/%s", self.uri, name)
            damaged = name
        if damaged is not None:
            raise ArtefactDamaged(
                "the place holds files, and no checkpoint", where=self.uri, got=damaged
            )
        return None

    def found(self) -> Iterator[tuple[str, Checkpoint | None]]:
        """Yield every kept file, the newest first, with its checkpoint; None: it is none.

        Raises:
            StoreUnavailable: the place did not answer.
        """
        place = local_path(self._uri)
        with store_answers(self.uri, _WHAT):
            if place is not None and place.is_file():
                yield from _lines(place)
                return
            for era in self._listed(""):
                for thousands in self._listed(era):
                    for file in self._listed(f"{era}/{thousands}"):
                        name = f"{era}/{thousands}/{file}"
                        found = self._read(name)
                        yield name, found if found is not None and _name(found) == name else None

    def _read(self, name: str) -> Checkpoint | None:
        """Return a file's checkpoint; None where it is none, or no file.

        So nothing that somebody puts there makes the place seem silent.
        """
        content = self._content(name)
        return None if content is None else _checkpoint(content)

    def _content(self, name: str) -> bytes | None:
        place = local_path(self._uri)
        if place is None:
            return self._object(name)
        with _passed_over(), open(place / name, "rb", opener=_at_once) as file:
            return file.read(LONGEST_FILE + 1) if stat.S_ISREG(os.fstat(file.fileno()).st_mode) else None
        return None

    def _object(self, name: str) -> bytes | None:
        objects = Objects(self._uri, self._options())
        info = objects.info(name)
        return None if info is None or info["size"] > LONGEST_FILE else objects.read(name)

    def _listed(self, folder: str) -> list[str]:
        """Return the names in a folder that can be ours, the greatest first."""
        place, names = local_path(self._uri), []
        if place is None:
            names = Objects(f"{self._uri}/{folder}", self._options()).names()
        else:
            with _passed_over() if folder else suppress(NotADirectoryError, FileNotFoundError):
                names = [path.name for path in (place / folder).iterdir()]
        return sorted(
            (one for one in names if _NUMBER.fullmatch(one.removesuffix(".json"))), reverse=True
        )


@contextmanager
def _passed_over() -> Iterator[None]:
    """Pass over what cannot be read as ours, whoever put it there."""
    try:
        yield
    except OSError as exc:
        if errno.errorcode.get(exc.errno or 0) not in _NOT_OURS:
            raise


def _at_once(path: str, flags: int) -> int:
    """Open without waiting, where it is a pipe, for somebody who writes into it."""
    return os.open(path, flags | os.O_NONBLOCK)


def _name(checkpoint: Checkpoint) -> str:
    return f"{checkpoint.era:06d}/{checkpoint.seq // 1000:013d}/{checkpoint.seq:016d}.json"


def _lines(path: Path) -> Iterator[tuple[str, Checkpoint | None]]:
    lines = [line for line in path.read_bytes().splitlines() if line.strip()]
    found = [(f"line {number}", _checkpoint(line)) for number, line in enumerate(lines, 1)]
    newest_first = sorted(
        found, key=lambda one: one[1].place_in_time if one[1] else (-1, -1), reverse=True
    )
    yield from newest_first or [("an empty file", None)]


def _checkpoint(content: bytes) -> Checkpoint | None:
    try:
        return checkpoint_from(content.decode()) if len(content) <= LONGEST_FILE else None
    except ValueError:
        return None
