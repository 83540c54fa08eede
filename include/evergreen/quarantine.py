"""Keeps the rows that failed an expectation, each once with its reasons, and the page that explains.

Everything of one judgement lies in one folder named by what was judged and by what:
`quarantine/MODEL/SNAPSHOT_DIGEST/SUITE_DIGEST`. A retry finds its bytes there. Nothing is written over:
should other bytes stand there, such as those of an earlier Evergreen, a file gets a folder of its own.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from evergreen.artefacts import describe_bytes
from evergreen.errors import ArtefactDamaged, StoreUnavailable
from evergreen.objects import Objects, put_if_absent
from evergreen.paths import contained
from evergreen.storage import local_path
from evergreen.storage_errors import store_answers

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

MOST_ROWS = 100_000
REASONS = "evergreen_reasons"


@dataclass(frozen=True, slots=True)
class Fault:
    """Why rows failed. `positions` are `(n_failing,)` row numbers from 0, in any order."""

    reason: str
    positions: npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Quarantined:
    """Failing rows as they are kept: at most `MOST_ROWS` of `failing`, in the order of the data."""

    rows: pa.Table
    failing: int

    @property
    def cut(self) -> bool:
        """Whether some failing rows were left out."""
        return len(self.rows) < self.failing


def collect(rows: pa.Table, faults: Sequence[Fault], most: int = MOST_ROWS) -> Quarantined:
    """Return the failing rows with all their columns and a list of reasons, each row once.

    The reasons stand in a column `evergreen_reasons`, with underscores added where the data has one
    of that name.
    """
    import numpy as np
    import pyarrow as pa

    none = np.zeros(0, dtype=np.int64)
    failing = np.unique(np.concatenate([none, *(fault.positions for fault in faults)]))
    kept = failing[:most]
    reasons: list[list[str]] = [[] for _ in kept]
    for fault in faults:
        for place in np.flatnonzero(np.isin(kept, fault.positions)):
            reasons[place].append(fault.reason)
    name = REASONS
    while name in rows.column_names:
        name += "_"
    column = pa.array(reasons, pa.list_(pa.string()))
    taken = rows.take(pa.array(kept)).append_column(name, column)
    return Quarantined(taken.replace_schema_metadata(None), len(failing))


def to_parquet(rows: pa.Table) -> bytes:
    """Return the rows as Parquet whose pages carry checksums; equal rows give equal bytes."""
    import pyarrow.parquet as pq

    buffer = io.BytesIO()
    pq.write_table(rows, buffer, compression="zstd", write_page_checksum=True)
    return buffer.getvalue()


@dataclass(frozen=True, slots=True, repr=False)
class Folder:
    """The folder of one judgement, on a disk or an object store. Holds credentials: never printed."""

    store_uri: str
    storage_options: Mapping[str, Any]
    relative: str

    def write(self, name: str, content: bytes) -> str:
        """Write a file once, whole or not at all, and return its URI. Safe to repeat.

        Raises:
            BadConfiguration: the store is of no kind known or installed here, or refuses the login.
            StoreUnavailable: the store did not take the write; earlier files stand.
            ArtefactDamaged: what stands at the place of these very bytes is something else.
        """
        digest = describe_bytes(name, content).sha256
        for relative in (f"{self.relative}/{name}", f"{self.relative}/{digest}/{name}"):
            uri = f"{self.store_uri.rstrip('/')}/{relative}"
            root = local_path(self.store_uri)
            place = uri if root is None else str(contained(root, relative))
            if put_if_absent(place, content, self.storage_options):
                return uri
            found = self._found(place)
            if found == content:
                return uri
            if found is None:
                raise StoreUnavailable(
                    "the store says that a file stands there, and has none",
                    where=uri,
                    fix="try again; where it stays so, look at what stands above it",
                )
        raise ArtefactDamaged(
            "a file of the quarantine is not what was written there",
            where=uri,
            allowed=digest,
            fix="move it away and retry, or restore a backup",
        )

    def _found(self, place: str) -> bytes | None:
        path = local_path(place)
        with store_answers(place):
            if path is not None:
                return path.read_bytes()
            folder, _, name = place.rpartition("/")
            return Objects(folder, self.storage_options).read(name)
