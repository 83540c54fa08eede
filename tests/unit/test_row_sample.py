"""A sample holds as many rows as may be, each as likely, in bounded memory."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from scipy.stats import chisquare

from evergreen.row_sample import sample


def batches(rows: int, size: int):
    for first in range(0, rows, size):
        yield pa.record_batch({"n": pa.array(range(first, min(first + size, rows)), pa.int64())})


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_few_rows_are_all_kept_in_their_order(size):
    assert sample(batches(40, size), 50).column("n").to_pylist() == list(range(40))


def test_no_batch_is_no_sample():
    assert sample([], 5) is None


def test_every_row_is_as_likely_wherever_it_stands():
    hits = np.zeros(10)
    for seed in range(300):
        kept = sample(batches(1000, 90), 50, seed).column("n").to_numpy()
        assert len(kept) == len(set(kept)) == 50
        hits += np.bincount(kept // 100, minlength=10)
    assert chisquare(hits).pvalue > 0.001


def test_the_same_rows_give_the_same_sample():
    assert sample(batches(500, 50), 20).equals(sample(batches(500, 50), 20))


def test_columns_may_widen_and_text_may_be_encoded():
    encoded = pa.array(["a", "b"]).dictionary_encode()
    parts = [
        pa.record_batch({"x": pa.array([1, 2], pa.int64()), "t": encoded}),
        pa.record_batch({"x": pa.array([0.5, None]), "t": pa.nulls(2)}),
        pa.record_batch({"x": pa.nulls(1), "t": pa.array(["c"])}),
    ]
    kept = sample(parts, 10)
    assert kept.to_pydict() == {"x": [1.0, 2.0, 0.5, None, None], "t": ["a", "b", None, None, "c"]}
