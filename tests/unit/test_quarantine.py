"""Failing rows: each once, with every reason, in order, bounded, in bytes that tell their damage."""

from __future__ import annotations

import errno
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evergreen.errors import StoreUnavailable
from evergreen.quarantine import REASONS, Fault, Folder, collect, to_parquet

ROWS = pa.table({"key": list(range(30)), "x": [str(n) for n in range(30)]})
some_rows = st.lists(st.integers(0, 29), unique=True)


def fault(reason: str, *positions: int) -> Fault:
    return Fault(reason, np.array(positions, dtype=np.int64))


@given(st.lists(some_rows, max_size=5))
def test_each_failing_row_stands_once_with_the_reasons_that_name_it(failures):
    faults = [fault(f"reason {n}", *rows) for n, rows in enumerate(failures)]
    kept = collect(ROWS, faults)
    expected = {
        row: [f"reason {n}" for n, rows in enumerate(failures) if row in rows]
        for row in sorted(set().union(*failures))
    }
    assert (
        dict(zip(kept.rows["key"].to_pylist(), kept.rows[REASONS].to_pylist(), strict=True)) == expected
    )
    assert (kept.failing, kept.cut) == (len(expected), False)


def test_the_first_rows_are_kept_where_too_many_failed():
    kept = collect(ROWS, [fault("late", 9, 3, 7), fault("odd", 5)], most=2)
    assert kept.rows["key"].to_pylist() == [3, 5]
    assert (kept.failing, kept.cut) == (4, True)


def test_a_column_of_the_data_named_like_the_reasons_stays():
    rows = pa.table({"key": [1], REASONS: ["mine"]})
    assert collect(rows, [fault("late", 0)]).rows.to_pylist() == [
        {"key": 1, REASONS: "mine", f"{REASONS}_": ["late"]}
    ]


def test_equal_rows_give_equal_bytes_whatever_chunks_they_came_in():
    chunked = pa.concat_tables([ROWS.slice(0, 7), ROWS.slice(7)])
    faults = [fault("late", 1, 8, 20)]
    assert to_parquet(collect(ROWS, faults).rows) == to_parquet(collect(chunked, faults).rows)


def test_a_single_flipped_bit_is_never_read_as_data():
    content = to_parquet(collect(ROWS, [fault("late", *range(30))]).rows)
    whole = pq.read_table(pa.BufferReader(content), page_checksum_verification=True)
    silent = 0
    for place in range(4, len(content), 97):
        damaged = bytearray(content)
        damaged[place] ^= 1
        try:
            read = pq.read_table(pa.BufferReader(bytes(damaged)), page_checksum_verification=True)
        except (OSError, ValueError, pa.ArrowException):
            continue
        silent += not read.equals(whole)
    assert silent == 0


def test_a_full_disk_leaves_the_earlier_file_and_no_half_of_a_new_one(tmp_path, monkeypatch):
    folder = Folder(str(tmp_path), {}, "quarantine/m/a/b")
    uri = folder.write("rows.parquet", b"earlier")

    def full(handle):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(StoreUnavailable, match="No space left on device") as caught:
        folder.write("rows.parquet", b"later")
    assert caught.value.retryable
    assert [path.name for path in Path(uri).parent.iterdir()] == ["rows.parquet"]
    assert Path(uri).read_bytes() == b"earlier"


def test_a_path_that_leads_out_of_the_store_is_refused(tmp_path):
    with pytest.raises(ValueError, match="must stay inside"):
        Folder(str(tmp_path / "store"), {}, "quarantine/../../..").write("x", b"")
    assert list(tmp_path.iterdir()) == []


def test_a_store_given_as_a_file_url_is_written_on_the_disk(tmp_path):
    uri = Folder(f"file://{tmp_path}", {}, "quarantine/m").write("x", b"1")
    assert uri == f"file://{tmp_path}/quarantine/m/x"
    assert (tmp_path / "quarantine/m/x").read_bytes() == b"1"
