"""Snapshots as Parquet files, on this machine or on object storage.

A snapshot lies at STORE/snapshots/MODEL/DIGEST: `part-0.parquet` with its rows, `manifest.json` with
what they are. DIGEST is a digest of the rows, so the same rows are the same snapshot.

- On a disk it is staged beside and appears whole, by one rename. Who loses a race takes the winner's.
- On object storage the rows are put first and the manifest last, each only where nothing stands yet. No
  listing is asked: what the ledger names is there, verified, or it is damage.
- What is published is verified before it is used again, and never overwritten: a damaged snapshot is
  evidence, so it is reported and left to a person to move away.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from evergreen.artefacts import describe, sync_folder, verify_file, write_atomically
from evergreen.canonical import canonical
from evergreen.errors import (
    ArtefactDamaged,
    DataUnusable,
    bounded,
)
from evergreen.failpoints import failpoint
from evergreen.names import name_problem
from evergreen.objects import Objects
from evergreen.results import Artefact, ColumnType, Snapshot
from evergreen.row_times import within
from evergreen.snapshot_file import SnapshotFile, digest_of_file, write_snapshot_file
from evergreen.spec import Data
from evergreen.staging import staging_in
from evergreen.storage import local_path
from evergreen.storage_errors import store_answers
from evergreen.window import Window

FORMAT = 1
PART = "part-0.parquet"
MANIFEST = "manifest.json"

_STAGING = ".staging"
_FIX_DAMAGED = "move it away and retry: the same rows are then written anew; or restore a backup"


class ParquetStore:
    """Keeps snapshots under a URI; a `ports.SnapshotStore`."""

    def __init__(self, uri: str, storage_options: Mapping[str, Any]) -> None:
        self._uri = uri.rstrip("/")
        self._options = storage_options
        self._folder = local_path(self._uri)

    def write(
        self, model: str, window: Window, batches: Iterable[pa.RecordBatch], data: Data
    ) -> Snapshot:
        """Publish the rows and return their snapshot; a retry, or the same rows, find what is there.

        Raises:
            DataUnusable: no rows, a missing column, mixed types, a key that is missing or stands twice.
            StoreUnavailable: the disk is full, or the store did not answer; nothing was published.
            BadConfiguration: the store refuses the login, the bucket or the name.
            ArtefactDamaged: what stands at the snapshot's place is not what was written there.
        """
        problem = name_problem(model)
        if problem:
            raise ValueError(problem)
        where = f"model {model}, window {window}"
        with _store_errors(f"{self._uri}/snapshots/{model}"), self._staging() as staging:
            file = write_snapshot_file(batches, data, staging / PART, where)
            if file is None:
                raise DataUnusable(
                    "the window holds no rows",
                    where=where,
                    fix="check the as-of and the windows, data.time_zone, and whether data came in",
                )
            write_atomically(staging / MANIFEST, _manifest(file, describe(file.path)))
            failpoint("ingest.staged")
            uri = f"{self._uri}/snapshots/{model}/{file.digest}"
            place = local_path(uri)
            if place is None:
                artefacts = self._put(staging, uri, file)
            else:
                artefacts = self._rename(staging, place, file)
            failpoint("ingest.published")
        columns = tuple(ColumnType(field.name, str(field.type)) for field in file.schema)
        return Snapshot(uri, file.digest, window, file.rows, columns, artefacts)

    def read(self, snapshot: Snapshot, window: Window, time_column: str) -> pa.Table:
        """Return the snapshot's rows of `window`, in its order; every file is verified first.

        Raises:
            ArtefactDamaged: a file is missing or is not what was written.
            StoreUnavailable: the store did not answer.
            BadConfiguration: the store refuses the login or the bucket.
            DataUnusable: the snapshot has no such time column.
        """
        names = [column.name for column in snapshot.columns]
        if time_column not in names:
            raise DataUnusable(
                f"the snapshot has no column {time_column!r}",
                where=snapshot.uri,
                allowed=", ".join(names),
            )
        if {artefact.name for artefact in snapshot.artefacts} != {PART, MANIFEST}:
            raise ArtefactDamaged(
                "these are not the files of a snapshot",
                where=snapshot.uri,
                got=", ".join(artefact.name for artefact in snapshot.artefacts),
                allowed=f"{PART}, {MANIFEST}",
            )
        files = {artefact.name: artefact for artefact in snapshot.artefacts}
        with self._opened(snapshot.uri, files[MANIFEST]):
            pass
        with self._opened(snapshot.uri, files[PART]) as file:
            return _rows(file, window, time_column, f"{snapshot.uri}/{PART}")

    @contextmanager
    def _opened(self, uri: str, artefact: Artefact) -> Iterator[IO[bytes]]:
        """Open a verified artefact: the bytes that were verified are those that are read."""
        where = f"{uri}/{artefact.name}"
        with _store_errors(where), tempfile.TemporaryDirectory() as folder:
            path = self._fetched(uri, artefact.name, Path(folder))
            if path is None:
                raise ArtefactDamaged(
                    "the file is missing", where=where, allowed=str(artefact), fix=_FIX_DAMAGED
                )
            with path.open("rb") as file:
                verify_file(file, artefact, where)
                yield file

    def _fetched(self, uri: str, name: str, folder: Path) -> Path | None:
        """Return where a published file lies on this machine, fetched into `folder` if need be."""
        place = local_path(uri)
        if place is not None:
            return place / name if (place / name).is_file() else None
        fetched = folder / f"found-{name}"
        return fetched if Objects(uri, self._options).fetch(name, fetched) else None

    def _staging(self) -> AbstractContextManager[Path]:
        """A folder for a snapshot in the making; on a disk it lies on the store's file system."""
        return staging_in(self._folder / "snapshots" / _STAGING if self._folder else None)

    def _rename(self, staging: Path, place: Path, file: SnapshotFile) -> tuple[Artefact, ...]:
        """Publish by renaming the staged folder; where the place is taken, verify what is there."""
        artefacts = _described(staging)
        place.parent.mkdir(parents=True, exist_ok=True)
        sync_folder(staging)
        try:
            staging.rename(place)
        except OSError:
            if not place.exists():
                raise
            return self._found(str(place), staging, file)
        sync_folder(place.parent)
        return artefacts

    def _put(self, staging: Path, uri: str, file: SnapshotFile) -> tuple[Artefact, ...]:
        """Publish by uploading, the manifest last; where an object stands, verify it."""
        objects = Objects(uri, self._options)
        # A look beforehand spares a retry an upload that is refused at its end.
        taken = objects.info(PART) is not None or not objects.put_if_absent(PART, staging / PART)
        failpoint(f"ingest.put.{PART}")
        if taken:  # perhaps by a writer that died before its manifest
            theirs = self._fetched(uri, PART, staging)
            if theirs is not None:
                write_atomically(staging / MANIFEST, _manifest(file, describe(theirs, PART)))
        taken = not objects.put_if_absent(MANIFEST, staging / MANIFEST) or taken
        failpoint(f"ingest.put.{MANIFEST}")
        return self._found(uri, staging, file) if taken else _described(staging)

    def _found(self, uri: str, staging: Path, file: SnapshotFile) -> tuple[Artefact, ...]:
        """Return what stands at the place of this content, if it is this content."""
        part, manifest = (self._fetched(uri, name, staging) for name in (PART, MANIFEST))
        if part is not None and manifest is not None:
            found = describe(part, PART), describe(manifest, MANIFEST)
            same_bytes = found[0] == describe(staging / PART)
            if manifest.read_bytes() == _manifest(file, found[0]) and (
                same_bytes or _content_digest(part) == file.digest
            ):
                return found
        raise ArtefactDamaged(
            "a snapshot of these rows was published here, and is not what it was",
            where=uri,
            allowed=f"{PART} with the content digest {file.digest}, and its {MANIFEST}",
            fix=_FIX_DAMAGED,
        )


def _manifest(file: SnapshotFile, part: Artefact) -> bytes:
    """Return what the snapshot is, in bytes that follow from its rows and its file alone."""
    return canonical(
        {
            "format": FORMAT,
            "digest": file.digest,
            "rows": file.rows,
            "columns": [{"name": field.name, "type": str(field.type)} for field in file.schema],
            "artefacts": [{"name": part.name, "sha256": part.sha256, "size": part.size}],
        }
    )


def _described(folder: Path) -> tuple[Artefact, ...]:
    return tuple(describe(folder / name) for name in (PART, MANIFEST))


def _content_digest(path: Path) -> str | None:
    try:
        return digest_of_file(path)
    except (OSError, pa.ArrowException, TypeError):
        return None


def _rows(file: IO[bytes], window: Window, time_column: str, where: str) -> pa.Table:
    """Return the rows of the window; only row groups that may hold some are read."""
    try:
        reader = pq.ParquetFile(file, page_checksum_verification=True)
        index = reader.schema_arrow.names.index(time_column)
        tables = [reader.schema_arrow.empty_table()]
        for number in range(reader.num_row_groups):
            times = reader.metadata.row_group(number).column(index).statistics
            if times.min < window.end and times.max >= window.start:
                group = reader.read_row_group(number)
                tables.append(group.filter(within(group.column(time_column), window)))
        return pa.concat_tables(tables)
    except (OSError, pa.ArrowException) as exc:
        if getattr(exc, "errno", None) is not None:
            raise
        raise ArtefactDamaged(
            "the rows cannot be read", where=where, got=bounded(str(exc), 300), fix=_FIX_DAMAGED
        ) from exc


def _store_errors(where: str) -> AbstractContextManager[None]:
    return store_answers(where, "the store did not take or give a file; nothing was published")
