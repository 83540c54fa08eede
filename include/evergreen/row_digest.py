"""The digest of rows: a fact about their values, not about how they were chunked or stored.

Per column three SHA-256 streams run over all rows: which values are there, the values (missing ones
as zero), and for text the lengths. The digest is the SHA-256 of the canonical JSON of the schema, the
number of rows and those. So it does not depend on batch sizes, on Arrow's offsets, on garbage under
nulls, or on Python's hash seed. Needs pyarrow; reads nothing.
"""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from evergreen.canonical import digest_of
from evergreen.column_types import BOOL, CANONICAL, DATE, FLOAT, INT, NULL, TEXT, TIME

FORMAT = 1

_STORED_AS = {BOOL: pa.uint8(), INT: INT, FLOAT: FLOAT, TIME: INT, DATE: pa.int32()}


class RowDigest:
    """Digests a stream of batches of one schema.

    >>> rows = pa.record_batch({"x": pa.array([1, None, 3])})
    >>> whole, parts = RowDigest(rows.schema), RowDigest(rows.schema)
    >>> whole.update(rows)
    >>> parts.update(rows.slice(0, 1))
    >>> parts.update(rows.slice(1))
    >>> whole.hexdigest() == parts.hexdigest()
    True
    """

    def __init__(self, schema: pa.Schema) -> None:
        for field in schema:
            if field.type not in CANONICAL:
                raise TypeError(f"column {field.name!r} has a type without a digest: {field.type}")
        self._schema = schema
        self._rows = 0
        self._columns = [_ColumnDigest(field.type) for field in schema]

    def update(self, batch: pa.RecordBatch) -> None:
        """Take the batch's rows in.

        Raises:
            TypeError: the batch has another schema.
        """
        if not batch.schema.equals(self._schema):
            raise TypeError(f"a batch of another schema: {batch.schema}")
        self._rows += len(batch)
        for column, array in zip(self._columns, batch.columns, strict=True):
            column.update(array)

    def hexdigest(self) -> str:
        """Return the digest of all rows so far, in hex."""
        columns = [
            [field.name, str(field.type), *column.hexdigests()]
            for field, column in zip(self._schema, self._columns, strict=True)
        ]
        return digest_of({"format": FORMAT, "rows": self._rows, "columns": columns})


class _ColumnDigest:
    def __init__(self, kind: pa.DataType) -> None:
        self._kind = kind
        self._present, self._values, self._lengths = (hashlib.sha256() for _ in range(3))

    def update(self, array: pa.Array) -> None:
        if self._kind == NULL or not len(array):
            return
        self._present.update(_bytes(array.is_valid().cast(pa.uint8())))
        if self._kind == TEXT:
            self._update_text(array.fill_null("") if array.null_count else array)
            return
        stored = array.cast(_STORED_AS[self._kind])
        values = _little_endian(stored.fill_null(0) if stored.null_count else stored)
        if self._kind == FLOAT and np.isnan(values).any():
            values = np.where(np.isnan(values), np.nan, values)
        self._values.update(np.ascontiguousarray(values).data)

    def _update_text(self, array: pa.Array) -> None:
        self._lengths.update(_bytes(pc.binary_length(array)))
        _, offsets, characters = array.buffers()
        if characters is None:
            return
        ends = np.frombuffer(offsets, "<i4", len(array) + 1, array.offset * 4)
        self._values.update(memoryview(characters)[ends[0] : ends[-1]])

    def hexdigests(self) -> tuple[str, str, str]:
        return self._present.hexdigest(), self._values.hexdigest(), self._lengths.hexdigest()


def _bytes(array: pa.Array) -> memoryview:
    return np.ascontiguousarray(_little_endian(array)).data


def _little_endian(array: pa.Array) -> npt.NDArray[np.generic]:
    values: npt.NDArray[np.generic] = array.to_numpy(zero_copy_only=True)
    return values.astype(values.dtype.newbyteorder("<"), copy=False)
