"""Cells fit the baseline's rows: bins of equal frequency, ties in one bin, tails in one cell."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from evergreen.profiles.count import count
from evergreen.profiles.lay_out import COVERED, lay_out
from evergreen.profiles.layout import Cells
from evergreen.results import ColumnType


def cells_of(values: object, bins: int = 20, most: int = 100) -> Cells:
    table = pa.table({"x": values})
    feature = ColumnType("x", str(table.schema.field("x").type))
    return lay_out(table, [feature], bins=bins, most_categories=most).cells[0]


def counts_of(values: object, cells: Cells) -> list[int]:
    table = pa.table({"x": values})
    layout = lay_out(table, [ColumnType("x", cells.type)])
    return count(table.to_batches(), type(layout)((cells,))).of("x").tolist()


def test_distinct_numbers_give_bins_of_equal_frequency_between_their_quantiles() -> None:
    values = np.random.default_rng(0).permutation(np.arange(1000.0))
    cells = cells_of(values)
    assert cells.edges == (*np.quantile(values, np.arange(20) / 20, method="higher"), 999.0)
    assert counts_of(values, cells) == [0, 0, 0, *[50] * 20, 0, 0]


def test_few_distinct_values_have_a_bin_each() -> None:
    values = [3] * 50 + [1] * 5 + [7] * 100
    cells = cells_of(values)
    assert cells.edges == (1.0, 3.0, 7.0, 7.0)
    assert counts_of(values, cells) == [0, 0, 0, 5, 50, 100, 0, 0]


@pytest.mark.parametrize("place", [0.0, 500.0, 999.0], ids=["least", "middle", "greatest"])
def test_a_value_that_most_rows_have_has_a_bin_to_itself(place: float) -> None:
    values = np.append(np.arange(1000.0), np.full(2000, place))
    cells = cells_of(values)
    assert max(counts_of(values, cells)) == 2001
    assert len(set(cells.edges[:-1])) == len(cells.edges) - 1


def test_a_constant_column_has_one_bin_that_holds_nothing_else() -> None:
    cells = cells_of([4.0] * 30)
    assert (cells.edges, cells.centres, cells.scale) == ((4.0, 4.0), (4.0, 4.0, 4.0), 0.0)
    assert counts_of([4.0, 3.0, 5.0], cells) == [0, 0, 1, 1, 1, 0]


@pytest.mark.parametrize("values", [[None, None], [np.nan, np.inf, -np.inf], []], ids=str)
def test_a_column_without_a_finite_value_has_no_bins_and_finite_ones_lie_above(values: list) -> None:
    cells = cells_of(pa.array(values, pa.float64()))
    assert (cells.edges, cells.centres) == ((), (0.0, 0.0))
    assert cells.names == ("missing", "-inf", "below", "above", "+inf")
    assert counts_of(pa.array([None, -np.inf, -5.0, 5.0, np.inf]), cells) == [1, 1, 0, 2, 1]


def test_infinities_and_missing_values_move_no_edge() -> None:
    values = np.arange(100.0)
    odd = np.concatenate([values, np.full(50, np.inf), np.full(30, -np.inf), np.full(20, np.nan)])
    assert cells_of(odd) == cells_of(values)


def test_few_rows_get_few_bins() -> None:
    assert len(cells_of([float(value) for value in range(17)]).edges) == 4


def test_a_cell_needs_more_rows_than_there_are_is_one_bin() -> None:
    assert cells_of([1.0, 2.0]).edges == (1.0, 2.0)


def test_centres_are_the_means_of_the_bins_and_scale_the_standard_deviation() -> None:
    values = np.random.default_rng(3).exponential(size=1000)
    cells = cells_of(values, bins=4)
    within = np.split(np.sort(values), [250, 500, 750])
    expected = [values.min(), *(part.mean() for part in within), values.max()]
    np.testing.assert_allclose(cells.centres, expected)
    assert cells.scale == pytest.approx(values.std())


@example([1.7976931348623157e308] * 3)
@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=40))
def test_every_number_lies_in_a_bin_and_centres_are_finite_and_in_order(values: list[float]) -> None:
    cells = cells_of(values, bins=5)
    missing, lowest, below, *within, above, highest = counts_of(values, cells)
    assert missing == lowest == below == above == highest == 0
    assert sum(within) == len(values)
    assert all(within)
    assert list(cells.edges) == sorted(cells.edges)
    assert (cells.edges[0], cells.edges[-1]) == (min(values), max(values))
    assert list(cells.centres) == sorted(cells.centres)
    assert len(cells.centres) == len(cells.edges) + 1
    assert np.isfinite([*cells.centres, cells.scale]).all()


@given(st.lists(st.sampled_from(["a", "b", "c", "d", None]), max_size=30), st.randoms())
def test_the_order_of_the_rows_changes_no_cell(values: list, random: object) -> None:
    shuffled = list(values)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert cells_of(pa.array(values, pa.string())) == cells_of(pa.array(shuffled, pa.string()))


def test_categories_stand_by_falling_weight_and_equals_by_name() -> None:
    cells = cells_of(["b", "c", "a", "c", None])
    assert (cells.kind, cells.categories, cells.whole) == ("category", ("c", "a", "b"), True)
    assert cells.names == ("missing", "c", "a", "b", "other")


def test_a_long_tail_of_categories_is_one_cell() -> None:
    values = ["a"] * 50 + ["b"] * 30 + ["c", "d"] * 10
    cells = cells_of(values, most=3)
    assert (cells.categories, cells.whole) == (("a", "b", "c"), False)
    assert counts_of(values, cells) == [0, 50, 30, 10, 10]


def test_text_that_is_nearly_unique_is_counted_by_its_length_in_characters() -> None:
    values = [f"é{number}" for number in range(100)]
    cells = cells_of(values)
    assert (cells.kind, cells.edges) == ("text", (2.0, 3.0, 3.0))
    assert counts_of([*values, None, "long"], cells) == [1, 0, 0, 10, 90, 1, 0]


def test_text_whose_frequent_values_cover_too_few_rows_is_counted_by_its_length() -> None:
    values = [f"{number:04d}" for number in range(1000)] * 3
    assert cells_of(values, most=int(1000 * COVERED) - 1).kind == "text"
    assert cells_of(values, most=int(1000 * COVERED)).kind == "category"


def test_text_without_a_value_has_no_category() -> None:
    cells = cells_of(pa.nulls(5, pa.string()))
    assert (cells.names, cells.whole) == (("missing", "other"), True)


def test_a_dictionary_column_is_laid_out_as_the_text_it_is() -> None:
    text = pa.array(["a", "b", "b", None])
    cells, encoded = cells_of(text), cells_of(text.dictionary_encode())
    assert (encoded.kind, encoded.categories) == (cells.kind, cells.categories)


def test_booleans_are_two_categories_even_where_one_never_occurred() -> None:
    assert cells_of([True, True]).names == ("missing", "false", "true", "other")


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        (pa.timestamp("us", "UTC"), (42, "Mon 00-04", "Sun 20-24")),
        (pa.date32(), (7, "Mon", "Sun")),
        (pa.time64("us"), (24, "00:00", "23:00")),
    ],
    ids=str,
)
def test_times_have_calendar_cells(kind: pa.DataType, names: tuple[int, str, str]) -> None:
    cells = cells_of(pa.array([0, 1], pa.int64() if kind.bit_width == 64 else pa.int32()).view(kind))
    assert (len(cells.calendar), cells.calendar[0], cells.calendar[-1]) == names


def test_a_time_is_counted_by_its_weekday_and_part_of_the_day_in_utc() -> None:
    at = [datetime(2026, 11, 23, 23, 59, tzinfo=UTC), datetime(1960, 2, 29, 4, 0, tzinfo=UTC)]
    cells = cells_of(pa.array(at, pa.timestamp("us", "UTC")))
    counts = dict(zip(cells.names, counts_of(pa.array(at), cells), strict=True))
    assert {name for name, number in counts.items() if number} == {"Mon 20-24", "Mon 04-08"}
