"""Small files under the digest of their content, on this machine or on object storage.

A file lies at STORE/FOLDER/SHA256/NAME. It is written whole or not at all, and never changes: whoever
comes second finds the same bytes there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from evergreen.artefacts import describe_bytes, write_atomically
from evergreen.errors import ArtefactDamaged
from evergreen.storage import local_path, open_remote, store_answers
from evergreen.watch_results import Stored


class SmallFiles:
    """Keeps small files under a URI; a `watch_ports.FileStore`."""

    def __init__(self, uri: str, storage_options: Mapping[str, Any]) -> None:
        self._uri = uri.rstrip("/")
        self._options = storage_options

    def put(self, folder: str, name: str, content: bytes) -> Stored:
        """Store a file; the same content again is the same file.

        Raises:
            StoreUnavailable: the store did not take it; nothing half is left.
        """
        artefact = describe_bytes(name, content)
        uri = f"{self._uri}/{folder}/{artefact.sha256}/{name}"
        place = local_path(uri)
        with store_answers(uri):
            if place is not None:
                write_atomically(place, content)
            else:
                system, path = open_remote(uri, self._options, uri)
                system.pipe_file(path, content)
        return Stored(uri, artefact)

    def get(self, stored: Stored) -> bytes:
        """Return a stored file, verified.

        Raises:
            ArtefactDamaged: it is missing or not what was stored.
            StoreUnavailable: the store did not answer.
        """
        place = local_path(stored.uri)
        with store_answers(stored.uri):
            try:
                if place is not None:
                    content = place.read_bytes()
                else:
                    system, path = open_remote(stored.uri, self._options, stored.uri)
                    content = bytes(system.cat_file(path))
            except FileNotFoundError as exc:
                raise ArtefactDamaged(
                    "the file is missing", where=stored.uri, fix="restore it from a backup"
                ) from exc
        found = describe_bytes(stored.artefact.name, content)
        if found != stored.artefact:
            raise ArtefactDamaged(
                "the file is not what was stored",
                where=stored.uri,
                got=str(found),
                allowed=str(stored.artefact),
                fix="restore it from a backup",
            )
        return content
