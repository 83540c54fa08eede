"""Profiles are exact: however rows are cut, merged or encoded, they say what a count by hand says."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evergreen.profiles import count as counting
from evergreen.profiles.count import count, count_by_day
from evergreen.profiles.lay_out import lay_out
from evergreen.profiles.layout import Cells, Layout
from evergreen.profiles.profile import MOST_EXAMPLES, empty, merge, merged
from evergreen.results import ColumnType
from tests.profiled_rows import FEATURES, counted_by_hand, same, splits, tables


@st.composite
def laid_out(draw: st.DrawFn) -> Layout:
    bins, most = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    return lay_out(draw(tables()), FEATURES, bins=bins, most_categories=most)


@settings(max_examples=50)
@given(laid_out(), tables(), st.data())
def test_any_cut_of_the_rows_gives_the_count_by_hand(
    layout: Layout, table: pa.Table, data: st.DataObject
) -> None:
    found = count(data.draw(splits(table)), layout)
    assert found.counts.tolist() == counted_by_hand(table, layout)
    assert found.rows == table.num_rows
    assert found.problems == {}


@settings(max_examples=50)
@given(laid_out(), tables(), st.data())
def test_profiles_of_parts_merge_to_the_profile_of_all_in_any_order(
    layout: Layout, table: pa.Table, data: st.DataObject
) -> None:
    parts = [count([batch], layout) for batch in data.draw(splits(table))]
    whole = count(table.to_batches(), layout)
    shuffled = data.draw(st.permutations(parts))
    assert same(merged(shuffled, layout), whole)
    one_by_one = empty(layout)
    for part in shuffled:
        one_by_one = merge(part, one_by_one)
    assert same(one_by_one, whole)


@settings(max_examples=50)
@given(laid_out(), tables(), st.data())
def test_each_day_is_counted_as_if_its_rows_came_alone(
    layout: Layout, table: pa.Table, data: st.DataObject
) -> None:
    days = count_by_day(data.draw(splits(table)), layout, "at")
    dates = [at.date() for at in table.column("at").to_pylist()]
    assert list(days) == sorted(set(dates))
    for day, profile in days.items():
        rows = table.filter(pa.array([each == day for each in dates]))
        assert same(profile, count(rows.to_batches(), layout))
    assert same(merged(days.values(), layout), count(table.to_batches(), layout))


@settings(max_examples=20)
@given(laid_out(), tables(), st.data())
def test_long_runs_of_a_day_and_threads_change_no_count(
    layout: Layout, table: pa.Table, data: st.DataObject
) -> None:
    batches = data.draw(splits(table))
    by_code, whole = count_by_day(batches, layout, "at"), count(batches, layout)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(counting, "_LONG_RUN", 0)
        patch.setattr(counting, "_FEW_ROWS", 0)
        by_run, threaded = count_by_day(batches, layout, "at"), count(batches, layout)
    assert list(by_run) == list(by_code)
    assert all(same(by_run[day], by_code[day]) for day in by_run)
    assert same(threaded, whole)


def layout_of(**columns: Any) -> Layout:
    table = pa.table(columns)
    return lay_out(table, [ColumnType(field.name, str(field.type)) for field in table.schema])


def test_more_rows_than_fit_a_pass_are_counted_to_the_row() -> None:
    values = np.random.default_rng(1).normal(size=300_001)
    layout = layout_of(x=values[:5_000])
    found = count(pa.table({"x": values}).to_batches(), layout)
    edges = np.array(layout.cells[0].edges)
    within, _ = np.histogram(values, edges)
    expected = [0, 0, (values < edges[0]).sum(), *within, (values > edges[-1]).sum(), 0]
    assert found.of("x").tolist() == expected


def test_without_rows_there_is_an_empty_profile_and_no_day() -> None:
    layout = layout_of(x=[1.0, 2.0])
    nothing = pa.RecordBatch.from_pylist([], pa.schema([("at", pa.timestamp("us", "UTC"))]))
    for batches in ([], [nothing]):
        assert same(count(batches, layout), empty(layout))
        assert count_by_day(batches, layout, "at") == {}


def test_rows_without_a_time_are_of_no_day() -> None:
    at = pa.array([None, datetime(2013, 1, 1, tzinfo=UTC)], pa.timestamp("us", "UTC"))
    rows = pa.table({"at": at, "x": [1.0, 2.0]}).to_batches()
    (day,) = count_by_day(rows, layout_of(x=[1.0, 2.0]), "at").values()
    assert day.rows == 1
    assert count_by_day([rows[0].slice(0, 1)], layout_of(x=[1.0, 2.0]), "at") == {}


def test_a_lost_column_and_one_of_another_type_are_problems_and_the_others_are_counted() -> None:
    layout = layout_of(x=[1.0, 2.0], carrier=["a", "b"], distance=[1, 2])
    rows = pa.table({"x": ["one", "two"], "distance": [1, 2], "new": [True, False]})
    found = count(rows.to_batches(), layout)
    assert found.problems == {
        "carrier": "lost: the rows have no such column",
        "x": "changed its type from double to string",
    }
    assert found.of("x").sum() == found.of("carrier").sum() == 0
    assert found.of("distance").sum() == 2
    assert found.columns == (
        ColumnType("distance", "int64"),
        ColumnType("new", "bool"),
        ColumnType("x", "string"),
    )


def test_a_column_that_changes_on_the_way_is_not_counted_at_all_whatever_the_order() -> None:
    layout = layout_of(carrier=["a", "b"])
    good, bad = pa.record_batch({"carrier": ["a", "z"]}), pa.record_batch({"carrier": [1, 2]})
    for batches in ([good, bad], [bad, good]):
        found = count(batches, layout)
        assert found.counts.sum() == 0
        assert found.unseen == {}
        assert same(found, merged([count([each], layout) for each in batches], layout))


def test_two_columns_of_one_name_are_a_problem() -> None:
    batch = pa.RecordBatch.from_arrays([pa.array([1.0]), pa.array([2.0])], names=["x", "x"])
    assert count([batch], layout_of(x=[1.0, 2.0])).problems == {
        "x": "the rows have 2 columns of this name"
    }


@pytest.mark.parametrize(
    ("trained", "found"),
    [
        (pa.array([1.0, 0.0]), pa.array([True, False])),
        (pa.array([1.0, 0.0]), pa.array([1, 0], pa.int8())),
        (pa.array([1.0, 0.0]), pa.array([1, 0], pa.float32())),
        (pa.array([1.0, 0.0]), pa.array(np.array([1, 0], np.float16))),
        (pa.array([1.0, 0.0]), pa.array([1, 0], pa.decimal128(5, 2))),
        (pa.array([1.0, 0.0]), pa.array([1.0, 0.0]).dictionary_encode()),
        (pa.array(["b", "a"]), pa.array(["b", "a"], pa.large_string())),
        (pa.array(["b", "a"]), pa.array(["b", "a"], pa.large_string()).dictionary_encode()),
        (pa.array([timedelta(seconds=1), timedelta(0)]), pa.array([1, 0], pa.duration("s"))),
        (pa.array([timedelta(seconds=1), timedelta(0)]), pa.array([10**9, 0], pa.duration("ns"))),
        (pa.array([86_400, 0], pa.timestamp("s")), pa.array([1, 0], pa.date32())),
        (pa.array([86_400, 0], pa.timestamp("s")), pa.array([86_400_000, 0], pa.date64())),
        (
            pa.array([86_400, 0], pa.timestamp("s")),
            pa.array([86_400, 0], pa.timestamp("s", "Asia/Tokyo")),
        ),
        (pa.array([1, 0], pa.date32()), pa.array([86_400_000, 0], pa.date64())),
        (pa.array([3600, 0], pa.time32("s")), pa.array([3600 * 10**9, 0], pa.time64("ns"))),
    ],
    ids=lambda array: str(array.type),
)
def test_what_a_model_still_reads_is_counted_as_what_it_was_trained_on(
    trained: pa.Array, found: pa.Array
) -> None:
    layout = layout_of(x=pa.concat_arrays([trained] * 6))
    expected = count([pa.record_batch({"x": trained})], layout)
    profile = count([pa.record_batch({"x": found})], layout)
    assert profile.problems == {}
    assert profile.counts.tolist() == expected.counts.tolist()
    assert profile.of("x")[0] == 0


def test_a_column_that_is_null_by_type_is_missing_in_every_row() -> None:
    at = [datetime(2013, 1, 1, tzinfo=UTC)] * 2
    layout = layout_of(x=[1.0, 2.0], carrier=["a", "b"], flag=[True, False], at=at)
    rows = pa.table({cells.column: pa.nulls(3) for cells in layout.cells})
    found = count(rows.to_batches(), layout)
    assert found.problems == {}
    assert [found.of(cells.column)[0] for cells in layout.cells] == [3, 3, 3, 3]


@pytest.mark.parametrize("kind", [pa.int8(), pa.int32(), pa.uint32(), pa.uint64()], ids=str)
def test_dictionaries_with_unused_values_and_nulls_inside_count_only_what_rows_hold(
    kind: pa.DataType,
) -> None:
    layout = layout_of(carrier=["a", "b"] * 3)
    column = pa.DictionaryArray.from_arrays(
        pa.array([0, 2, None, 3, 0], kind), pa.array(["a", "never", "new", None])
    )
    whole = pa.DictionaryArray.from_arrays(pa.array([0] * 9, kind), column.dictionary)
    assert count([pa.record_batch({"carrier": whole})], layout).of("carrier").tolist() == [0, 9, 0, 0]
    found = count([pa.record_batch({"carrier": column})], layout)
    assert found.of("carrier").tolist() == [2, 2, 0, 1]
    assert found.unseen == {"carrier": ("new",)}


def test_a_million_categories_stay_ten_examples_the_first_in_byte_order() -> None:
    layout = layout_of(carrier=["a", "b"] * 3)
    numbers = np.random.default_rng(0).permutation(1_000_000)
    values = pa.array(numbers).cast(pa.string())
    first = tuple(sorted(map(str, range(1_000_000)))[:MOST_EXAMPLES])
    in_one = count([pa.record_batch({"carrier": values})], layout)
    encoded = pa.record_batch({"carrier": values.dictionary_encode()})
    in_parts = count([encoded.slice(start, 50_000) for start in range(0, 1_000_000, 50_000)], layout)
    for found in (in_one, in_parts):
        assert found.unseen["carrier"] == first
        assert found.of("carrier").tolist() == [0, 0, 0, 1_000_000]


def test_what_fails_while_a_batch_is_read_is_raised_as_it_is() -> None:
    batch = pa.record_batch({"x": np.zeros(50_000)})

    def batches():
        yield batch
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        count(batches(), layout_of(x=[1.0, 2.0]))


def test_profiles_of_different_layouts_do_not_merge() -> None:
    one, other = layout_of(x=[1.0, 2.0]), layout_of(x=[1.0, 3.0])
    filled = [count(pa.table({"x": [1.0]}).to_batches(), each) for each in (one, other)]
    with pytest.raises(ValueError, match="different layouts"):
        merged(filled, one)


def test_equal_layouts_made_apart_merge() -> None:
    parts = [count([pa.record_batch({"x": [1.0]})], layout_of(x=[1.0, 2.0])) for _ in range(2)]
    assert merge(*parts).rows == 2


def test_cells_name_their_bins_and_stand_in_the_order_of_the_layout() -> None:
    cells = Cells("x", "number", "double", edges=(0.0, 1.5, 2.0))
    assert cells.names == ("missing", "-inf", "below", "0 to 1.5", "1.5 to 2", "above", "+inf")
