"""Finds keys that stand twice, in memory that does not grow with the rows.

A 64-bit hash of every key goes to one of many files by its first bits; equal hashes end up in one
file, which fits in memory and is sorted. Keys under equal hashes are then compared themselves, so a
hash collision is never reported. Needs pyarrow; writes only below the folder it is given.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

EXAMPLES = 5

_FILE_BITS = 6
_AT_A_TIME = 1000
_Hashes = npt.NDArray[np.uint64]


def find_duplicates(keys: Callable[[], Iterable[pa.Array]], folder: Path) -> list[tuple[Any, int]]:
    """Return up to five keys that stand more than once, each with how often it stands.

    Args:
        keys: Gives the key column's arrays, none null; called again where there are candidates.
        folder: Holds the temporary files, 8 bytes a row.

    Raises:
        OSError: the disk is full.
    """
    candidates = _equal_hashes(keys(), folder)
    for start in range(0, len(candidates), _AT_A_TIME):
        found = _count(keys(), candidates[start : start + _AT_A_TIME])
        if found:
            return sorted(found, key=lambda pair: (-pair[1], str(pair[0])))[:EXAMPLES]
    return []


def _equal_hashes(keys: Iterable[pa.Array], folder: Path) -> _Hashes:
    with tempfile.TemporaryDirectory(dir=folder, prefix="keys-") as name, ExitStack() as stack:
        paths = [Path(name) / str(number) for number in range(2**_FILE_BITS)]
        files = [stack.enter_context(path.open("wb")) for path in paths]
        for array in keys:
            hashes = _hashes(array)
            of_file = (hashes >> np.uint64(64 - _FILE_BITS)).astype(np.uint8)
            ordered = hashes[np.argsort(of_file, kind="stable")]
            ends = np.cumsum(np.bincount(of_file, minlength=len(files)))
            for file, start, end in zip(files, [0, *ends[:-1]], ends, strict=True):
                file.write(ordered[start:end].data)
        stack.close()
        return np.concatenate([_repeated(np.fromfile(path, np.uint64)) for path in paths])


def _repeated(hashes: _Hashes) -> _Hashes:
    hashes.sort()
    return np.unique(hashes[1:][hashes[1:] == hashes[:-1]])


def _count(keys: Iterable[pa.Array], candidates: _Hashes) -> list[tuple[Any, int]]:
    counts: Counter[Any] = Counter()
    for array in keys:
        mask = np.isin(_hashes(array), candidates)
        if mask.any():
            counts.update(array.filter(pa.array(mask)).to_pylist())
    return [(key, count) for key, count in counts.items() if count > 1]


def _hashes(array: pa.Array) -> _Hashes:
    """Return 64-bit hashes of the keys; the files live within this process, so its seed may differ."""
    if pa.types.is_string(array.type):
        texts = array.to_numpy(zero_copy_only=False)
        return np.fromiter(map(hash, texts), np.int64, len(texts)).view(np.uint64)
    if pa.types.is_floating(array.type):
        array = pc.add(array, 0.0)  # -0.0 equals 0.0
    if pa.types.is_boolean(array.type):
        array = array.cast(pa.int64())
    if pa.types.is_date32(array.type):
        array = array.cast(pa.int32()).cast(pa.int64())
    values: _Hashes = array.view(pa.int64()).to_numpy().view(np.uint64)
    with np.errstate(over="ignore"):  # an odd factor and a shifted xor: distinct keys stay distinct
        mixed: _Hashes = (values ^ (values >> np.uint64(31))) * np.uint64(0x9E3779B97F4A7C15)
    return mixed ^ (mixed >> np.uint64(32))
