"""Rows kept in memory for the next who asks, up to a bound; those not asked for the longest go first."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

MOST_BYTES = 256 * 1024**2


class KeptRows:
    """Batches by key, `MOST_BYTES` of them at most."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most = most_bytes
        self._kept: OrderedDict[Hashable, tuple[pa.RecordBatch, ...]] = OrderedDict()
        self._bytes = 0

    def get(self, key: Hashable) -> tuple[pa.RecordBatch, ...] | None:
        """Return the batches of a key, or None where they are not kept, or no longer."""
        if key not in self._kept:
            return None
        self._kept.move_to_end(key)
        return self._kept[key]

    def put(self, key: Hashable, batches: tuple[pa.RecordBatch, ...]) -> None:
        """Keep the batches of a key; more than the bound in one are not kept at all."""
        self.drop(lambda known: known == key)
        self._kept[key] = batches
        self._bytes += _size(batches)
        while self._bytes > self._most:
            _, gone = self._kept.popitem(last=False)
            self._bytes -= _size(gone)

    def drop(self, which: Callable[[Hashable], bool]) -> None:
        """Forget the batches of these keys."""
        for key in [key for key in self._kept if which(key)]:
            self._bytes -= _size(self._kept.pop(key))


def _size(batches: tuple[pa.RecordBatch, ...]) -> int:
    return sum(batch.nbytes for batch in batches)
