"""Small files under the digest of their content, on this machine or on object storage.

A file lies at STORE/FOLDER/SHA256/NAME. It is written whole or not at all, and once: whoever comes
second verifies what is there. What is damaged is evidence, so it is reported and not written over.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from evergreen.artefacts import describe_bytes
from evergreen.errors import ArtefactDamaged
from evergreen.objects import Objects, put_if_absent
from evergreen.storage import local_path
from evergreen.storage_errors import store_answers
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
            ArtefactDamaged: what stands at its place is something else.
            BadConfiguration: the store refuses the login, the bucket or the name.
        """
        artefact = describe_bytes(name, content)
        stored = Stored(f"{self._uri}/{folder}/{artefact.sha256}/{name}", artefact)
        if not put_if_absent(stored.uri, content, self._options):
            self.get(stored)
        return stored

    def get(self, stored: Stored) -> bytes:
        """Return a stored file, verified.

        Raises:
            ArtefactDamaged: it is missing or not what was stored.
            StoreUnavailable: the store did not answer.
            BadConfiguration: the store refuses the login or the bucket.
        """
        content = self._content(stored.uri)
        if content is None:
            raise ArtefactDamaged(
                "the file is missing", where=stored.uri, fix="restore it from a backup"
            )
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

    def _content(self, uri: str) -> bytes | None:
        place = local_path(uri)
        with store_answers(uri):
            if place is not None:
                return place.read_bytes() if place.is_file() else None
            folder, _, name = uri.rpartition("/")
            return Objects(folder, self._options).read(name)
