"""A digest is a fact about rows: not about chunks, offsets, garbage under nulls or hash seeds."""

from __future__ import annotations

import hashlib
import itertools
import json
import struct

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evergreen.column_types import TIME
from evergreen.row_digest import RowDigest


def digest(*batches: pa.RecordBatch) -> str:
    running = RowDigest(batches[0].schema)
    for batch in batches:
        running.update(batch)
    return running.hexdigest()


def column(values, kind) -> pa.RecordBatch:
    return pa.record_batch({"x": pa.array(values, kind)})


KINDS = {
    pa.int64(): st.integers(-(2**63), 2**63 - 1),
    pa.float64(): st.floats(allow_nan=False),
    pa.string(): st.text(max_size=5),
    pa.bool_(): st.booleans(),
    pa.date32(): st.integers(-(10**4), 10**4),
    TIME: st.integers(0, 10**15),
}


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_any_cutting_of_the_same_rows_gives_the_same_digest(data):
    kind = data.draw(st.sampled_from(list(KINDS)))
    whole = column(data.draw(st.lists(st.none() | KINDS[kind], max_size=30)), kind)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=4)))
    bounds = [0, *cuts, len(whole)]
    parts = [whole.slice(low, high - low) for low, high in itertools.pairwise(bounds)]
    assert digest(whole) == digest(*parts)


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_different_values_give_different_digests(data):
    kind = data.draw(st.sampled_from(list(KINDS)))
    values = st.lists(st.none() | KINDS[kind], max_size=6)
    left, right = data.draw(values), data.draw(values)
    left_rows, right_rows = column(left, kind), column(right, kind)
    same = list(map(repr, left)) == list(map(repr, right))
    assert (digest(left_rows) == digest(right_rows)) == same


@pytest.mark.parametrize(
    ("left", "right", "kind"),
    [
        (["ab", "c"], ["a", "bc"], pa.string()),
        (["", None], [None, ""], pa.string()),
        ([0, None], [None, 0], pa.int64()),
        ([0.0], [-0.0], pa.float64()),
        ([1, 2], [2, 1], pa.int64()),
    ],
)
def test_what_is_easily_confused_differs(left, right, kind):
    assert digest(column(left, kind)) != digest(column(right, kind))


def test_names_types_and_order_of_columns_count():
    arrays = {"a": pa.array([1]), "b": pa.array([1])}
    batches = [
        pa.record_batch(arrays),
        pa.record_batch({"b": arrays["b"], "a": arrays["a"]}),
        pa.record_batch({"a": arrays["a"], "c": arrays["b"]}),
        pa.record_batch({"a": arrays["a"], "b": pa.array([1.0])}),
        pa.record_batch({"a": arrays["a"], "b": pa.array(["1"])}),
    ]
    assert len({digest(batch) for batch in batches}) == 5


def test_garbage_under_a_null_does_not_count():
    validity = pa.py_buffer(bytes([0b101]))
    clean, dirty = (
        pa.Array.from_buffers(pa.int64(), 3, [validity, pa.py_buffer(np.array(values, "<i8"))])
        for values in ([1, 0, 3], [1, 99, 3])
    )
    assert digest(pa.record_batch({"x": clean})) == digest(pa.record_batch({"x": dirty}))


def test_bits_of_a_nan_do_not_count():
    bits = np.array([0x7FF8000000000000, 0x7FF8000000000001, 0xFFF8000000000000], np.uint64)
    digests = {digest(pa.record_batch({"x": pa.array([b.view(np.float64)])})) for b in bits}
    assert len(digests) == 1


def test_an_unknown_type_or_another_schema_is_refused():
    with pytest.raises(TypeError, match="'x'"):
        RowDigest(pa.schema([("x", pa.int32())]))
    with pytest.raises(TypeError, match="another schema"):
        digest(column([1], pa.int64()), column(["a"], pa.string()))


def test_the_digest_is_what_its_definition_says():
    def sha(content: bytes) -> str:
        return hashlib.sha256(content).hexdigest()

    rows = pa.record_batch({"id": pa.array([1, 2]), "text": pa.array(["a", None])})
    ids = ["id", "int64", sha(b"\1\1"), sha(struct.pack("<qq", 1, 2)), sha(b"")]
    texts = ["text", "string", sha(b"\1\0"), sha(b"a"), sha(struct.pack("<ii", 1, 0))]
    canonical = json.dumps(
        {"columns": [ids, texts], "format": 1, "rows": 2}, separators=(",", ":"), sort_keys=True
    )
    assert digest(rows) == sha(canonical.encode())
