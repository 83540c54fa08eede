"""Folders for files in the making, beside the place where they will appear by one rename."""

from __future__ import annotations

import shutil
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

STALE_SECONDS = 24 * 3600


@contextmanager
def staging_in(parent: Path | None) -> Iterator[Path]:
    """Give a new folder below `parent`, or else a temporary one; it is removed at the end.

    What killed writers left behind there goes, too, once nothing was written to it for a day.
    """
    if parent is None:
        with tempfile.TemporaryDirectory(prefix="evergreen-") as name:
            yield Path(name)
        return
    _remove_stale(parent)
    folder = parent / uuid.uuid4().hex
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _remove_stale(parent: Path) -> None:
    for folder in parent.glob("*"):
        with suppress(FileNotFoundError):  # its writer is just done with it
            newest = max(path.stat().st_mtime for path in (folder, *folder.rglob("*")))
            if newest < time.time() - STALE_SECONDS:
                shutil.rmtree(folder, ignore_errors=True)
