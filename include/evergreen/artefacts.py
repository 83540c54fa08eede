"""Digests of stored files, and writing a file so that it is there whole or not at all."""

from __future__ import annotations

import errno
import hashlib
import os
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from evergreen.canonical import digest_of
from evergreen.errors import ArtefactDamaged
from evergreen.results import Artefact

_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK)
"""What file systems say that know no links, such as those of memory cards and of mounted buckets."""


def describe(path: Path, name: str | None = None) -> Artefact:
    """Return the artefact that the file at `path` is; `name` defaults to the file's name."""
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return Artefact(name or path.name, sha256, path.stat().st_size)


def describe_bytes(name: str, content: bytes) -> Artefact:
    """Return the artefact that `content` is once it is stored under `name`."""
    return Artefact(name, hashlib.sha256(content).hexdigest(), len(content))


def describe_folder(folder: Path) -> tuple[Artefact, ...]:
    """Return the artefacts of every file below `folder`, sorted by name (with `/`)."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return tuple(describe(path, path.relative_to(folder).as_posix()) for path in files)


def folder_digest(artefacts: Iterable[Artefact]) -> str:
    """Return one SHA-256 over the names, digests and sizes of artefacts, whatever their order."""
    return digest_of(sorted([a.name, a.sha256, a.size] for a in artefacts))


def verify(folder: Path, artefacts: Iterable[Artefact]) -> None:
    """Check that `folder` holds exactly these artefacts.

    Raises:
        ArtefactDamaged: a file is missing, added, or differs from what was recorded.
    """
    expected = {artefact.name: artefact for artefact in artefacts}
    found = {artefact.name: artefact for artefact in describe_folder(folder)}
    for name in sorted(expected.keys() | found.keys()):
        if expected.get(name) != found.get(name):
            state = "missing" if name not in found else "unknown" if name not in expected else "altered"
            raise ArtefactDamaged(
                f"{state} file {name!r}: the folder is not what the ledger recorded",
                where=str(folder),
                got=found.get(name),
                allowed=str(expected.get(name)),
                fix="restore the files from a backup, or retrain",
            )


def verify_file(file: IO[bytes], artefact: Artefact, where: str) -> None:
    """Check that an open file is the artefact, and leave it at its beginning.

    Reading on from the same open file reads what was verified, even if another takes its name.

    Raises:
        ArtefactDamaged: its size or its bytes differ from what was recorded.
    """
    sha256 = hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]
    found = Artefact(artefact.name, sha256, file.tell())
    if found != artefact:
        raise ArtefactDamaged(
            f"altered file {artefact.name!r}: it is not what the ledger recorded",
            where=where,
            got=str(found),
            allowed=str(artefact),
            fix="restore the file from a backup, or retrain",
        )
    file.seek(0)


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that a reader sees the old content or the new, never a part of it.

    Raises:
        OSError: the disk is full or the folder cannot be written; the old content stands.
    """
    with _written(path, content) as temporary:
        temporary.replace(path)
    sync_folder(path.parent)


def write_once(path: Path, content: bytes) -> bool:
    """Write a file where nothing stands yet, whole or not at all; False where something does.

    Raises:
        OSError: the disk is full or the folder cannot be written; nothing is there.
    """
    with _written(path, content) as temporary:
        try:
            path.hardlink_to(temporary)
        except FileExistsError:
            return False
        except OSError as exc:
            if exc.errno not in _NO_LINKS:
                raise
            if path.exists():
                return False
            temporary.replace(path)
    sync_folder(path.parent)
    return True


@contextmanager
def _written(path: Path, content: bytes) -> Iterator[Path]:
    """Give a temporary file beside `path` with this content on the disk; it is removed at the end."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        with temporary.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Make renames within `folder` survive a power loss."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
