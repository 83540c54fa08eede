"""Keys that stand twice are found exactly, whatever their type and however they are chunked."""

from __future__ import annotations

from collections import Counter
from datetime import date

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evergreen import duplicate_keys
from evergreen.column_types import TIME
from evergreen.duplicate_keys import find_duplicates


def find(keys: pa.Array, folder, size: int = 3):
    pieces = [keys.slice(start, size) for start in range(0, len(keys), size)]
    return find_duplicates(lambda: iter(pieces), folder)


@settings(deadline=None, max_examples=50)
@given(keys=st.lists(st.integers(-5, 5) | st.integers(-(2**63), 2**63 - 1), max_size=30))
def test_integer_keys_are_counted_exactly(tmp_path_factory, keys):
    expected = {key: count for key, count in Counter(keys).items() if count > 1}
    found = find(pa.array(keys, pa.int64()), tmp_path_factory.mktemp("keys"))
    assert len(found) == min(5, len(expected))
    assert all(expected[key] == count for key, count in found)


@pytest.mark.parametrize(
    ("keys", "found"),
    [
        (pa.array(["a", "b", "a", "", ""]), [("", 2), ("a", 2)]),
        (pa.array([1.5, 2.5, 1.5]), [(1.5, 2)]),
        (pa.array([0.0, -0.0]), [(0.0, 2)]),
        (pa.array([True, False, True]), [(True, 2)]),
        (pa.array([1, 2, 1], pa.date32()), [(date(1970, 1, 2), 2)]),
        (pa.array([1, 2, 3], TIME), []),
        (pa.array([], pa.int64()), []),
        (pa.array(["x"] * 1000), [("x", 1000)]),
    ],
)
def test_keys_of_every_type_are_compared(tmp_path, keys, found):
    assert find(keys, tmp_path) == found


def test_at_most_five_examples_the_most_frequent_first(tmp_path):
    keys = pa.array([*range(10), *range(10), 7])
    found = find(keys, tmp_path)
    assert len(found) == 5
    assert found[0] == (7, 3)


def test_equal_hashes_of_distinct_keys_are_no_duplicates(tmp_path, monkeypatch):
    monkeypatch.setattr(duplicate_keys, "_AT_A_TIME", 1)
    monkeypatch.setattr(
        duplicate_keys,
        "_hashes",
        lambda array: (array.to_numpy() // 4).astype(np.uint64) << np.uint64(58),
    )
    assert find(pa.array([0, 1, 2, 4, 5, 8]), tmp_path) == []
    assert find(pa.array([0, 1, 2, 4, 5, 8, 5]), tmp_path) == [(5, 2)]


def test_many_keys_are_found_across_batches_and_the_files_are_gone(tmp_path):
    keys = pa.array([f"key-{number}" for number in range(50_000)] + ["key-123"])
    assert find(keys, tmp_path, size=10_000) == [("key-123", 2)]
    assert list(tmp_path.iterdir()) == []
