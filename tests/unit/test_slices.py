"""What slices a column is cut into, and that each has the difference of its own rows."""

from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evergreen.amounts import Margin
from evergreen.evidence.judged_rows import JudgedRows
from evergreen.evidence.paired import difference
from evergreen.evidence.slices import judged_slices
from evergreen.gate_spec import Gate

ROWS = 2000
RANDOM = np.random.default_rng(1)
TRUTH = RANDOM.normal(0, 1, ROWS)
CHALLENGER = TRUTH + RANDOM.normal(0, 1, ROWS)
CHAMPION = TRUTH + RANDOM.normal(0, 1.2, ROWS)
JUDGED = JudgedRows(TRUTH, (), RANDOM.integers(0, 20, ROWS), "day", RANDOM.uniform(0.5, 2, ROWS))


def expected(chosen=slice(None), relative=0.0):
    return difference(
        gate().metric,
        JUDGED.only(chosen),
        CHALLENGER[chosen],
        CHAMPION[chosen],
        confidence=0.95,
        min_clusters=10,
        relative=relative,
    )


def gate(*slices, min_rows=100, **more):
    rule = {"min_rows": min_rows, **({"margin": more.pop("margin")} if "margin" in more else {})}
    return Gate.model_validate(
        {"metric": "squared_error", "slices": list(slices), "slice_rule": rule, **more}
    )


def cut(values, *, bins=None, min_rows=100, kind=None):
    """Return the slices of one column (first rows only) and the problems."""
    array = values if isinstance(values, pa.ChunkedArray) else pa.chunked_array([pa.array(values, kind)])
    chosen = np.arange(len(array))
    named = "c" if bins is None else {"column": "c", "bins": bins}
    models = CHALLENGER[chosen], CHAMPION[chosen]
    return judged_slices(gate(named, min_rows=min_rows), JUDGED.only(chosen), {"c": array}, *models)


def sizes(values, **how):
    slices, problems = cut(values, **how)
    assert problems == ()
    return {part.value: part.rows for part in slices}


@pytest.mark.parametrize("encoded", [False, True])
def test_each_value_of_text_is_a_slice_with_the_difference_of_its_rows(encoded):
    airports = RANDOM.choice(["LGA", "JFK", "EWR"], ROWS)
    chunks = [pa.array(part) for part in np.array_split(airports, 3)]
    column = pa.chunked_array([chunk.dictionary_encode() if encoded else chunk for chunk in chunks])
    slices, problems = cut(column)
    assert problems == ()
    assert [part.value for part in slices] == ["EWR", "JFK", "LGA"]
    for part in slices:
        own = airports == part.value
        assert part.rows == own.sum()
        assert part.difference == expected(own)
        assert (part.verdict, part.p_value) == (None, None)


def test_missing_is_a_value_of_its_own_and_text_cannot_be_taken_for_it():
    values = ["", "missing", None, "a"] * 150
    assert sizes(values) == {'""': 150, "a": 150, '"missing"': 150, "missing": 150}
    assert sizes([None] * 300, kind=pa.string()) == {"missing": 300}
    assert sizes([None] * 300) == {"missing": 300}


def test_booleans_and_numbers_of_few_values_are_slices_by_value():
    assert sizes([True, False, None] * 150) == {"False": 150, "True": 150, "missing": 150}
    assert sizes([10, 9, 2] * 150) == {"2": 150, "9": 150, "10": 150}
    assert sizes([1.5, float("nan"), None, 2.0] * 150) == {"1.5": 150, "2": 150, "missing": 300}


def test_numbers_of_many_values_are_cut_into_four_bins_of_equally_many_rows():
    assert sizes(range(1000)) == {
        "below 250": 250,
        "250 to 500": 250,
        "500 to 750": 250,
        "750 and more": 250,
    }
    with_missing = sizes([*range(800), *[None] * 200])
    assert with_missing == {
        "below 200": 200,
        "200 to 400": 200,
        "400 to 600": 200,
        "600 and more": 200,
        "missing": 200,
    }


def test_a_gate_may_say_how_many_bins():
    assert list(sizes(range(1000), bins=2)) == ["below 500", "500 and more"]
    assert sizes([1, 2, 3] * 200, bins=3) == {"below 2": 200, "2 to 3": 200, "3 and more": 200}


def test_ties_are_not_torn_apart():
    assert sizes([0] * 700 + list(range(1, 301))) == {"below 51": 750, "51 and more": 250}
    assert sizes([5] * 500, bins=4) == {"all values": 500}


def test_cuts_are_rounded_as_far_as_few_rows_move():
    found = sizes(np.random.default_rng(2).lognormal(6, 0.5, ROWS))
    assert all(len(edge) <= 5 for name in found for edge in name.split() if edge[0].isdigit())
    assert max(found.values()) - min(found.values()) <= 20
    tiny = sizes(1 + np.arange(1000) * 1e-9)
    assert max(tiny.values()) - min(tiny.values()) <= 20


@settings(max_examples=50, deadline=None)
@given(
    values=st.lists(
        st.one_of(st.none(), st.floats(allow_nan=True), st.sampled_from([0.0, 1.0])),
        min_size=60,
        max_size=300,
    ),
    bins=st.integers(2, 20),
)
def test_bins_hold_every_row_once_and_the_rows_their_names_say(values, bins):
    slices, problems = cut(values, bins=bins, min_rows=30, kind=pa.float64())
    assert problems == ()
    assert sum(part.rows for part in slices) == len(values)
    known = np.array([value for value in values if value is not None and value == value])
    for part in slices:
        match part.value.split():
            case ["below", edge]:
                assert part.rows == (known < float(edge)).sum()
            case [edge, "and", "more"]:
                assert part.rows == (known >= float(edge)).sum()


def test_slices_of_few_rows_are_listed_largest_first_and_the_rest_counted():
    counts = [300, *[1 + i for i in range(57)]]
    values = [f"v{i:02d}" for i, count in enumerate(counts) for _ in range(count)]
    slices, _ = cut(values[:ROWS])
    assert slices[0].value == "v00"
    assert slices[0].difference is not None
    small = slices[1:]
    assert [part.rows for part in small[:50]] == list(range(57, 7, -1))
    assert (small[50].value, small[50].rows) == ("and 7 more values", sum(range(1, 8)))
    assert len(small) == 51
    assert {part.difference for part in small} == {None}


def test_a_slice_of_few_clusters_says_so():
    column = np.where(JUDGED.clusters < 4, "few", "many")
    slices, _ = cut(column)
    few = slices[0].difference
    assert few.interval is None
    assert "only 4 days, at least 10 are needed" in few.problem


@pytest.mark.parametrize(
    ("margin", "metric", "relative"),
    [("5%", "squared_error", 0.05), (0.05, "squared_error", 0.0), ("5%", "accuracy", -0.05)],
)
def test_a_relative_margin_is_allowed_for_in_the_direction_of_worse(margin, metric, relative):
    labels = np.where(TRUTH > 0, "yes", "no")
    rows = (
        JUDGED
        if metric == "squared_error"
        else JudgedRows(labels, ("no", "yes"), JUDGED.clusters, "day", JUDGED.weights)
    )
    models = (CHALLENGER, CHAMPION)
    if metric == "accuracy":
        models = tuple(np.column_stack([m < 0, m >= 0]).astype(float) for m in models)
    rule = gate("c", margin=margin).model_copy(update={"metric": gate(metric=metric).metric})
    column = pa.chunked_array([pa.array(["a"] * ROWS)])
    (part,), _ = judged_slices(rule, rows, {"c": column}, *models)
    assert part.difference == difference(
        rule.metric, rows, *models, confidence=0.95, min_clusters=10, relative=relative
    )


def test_the_gates_margin_holds_where_slices_have_none():
    column = pa.chunked_array([pa.array(["a"] * ROWS)])
    rule = gate("c").model_copy(update={"margin": Margin(0.05, relative=True)})
    (part,), _ = judged_slices(rule, JUDGED, {"c": column}, CHALLENGER, CHAMPION)
    assert part.difference == expected(relative=0.05)


def test_what_cannot_be_sliced_says_what_to_do():
    columns = {"c": pa.chunked_array([["a"] * ROWS])}
    slices, problems = judged_slices(gate("gone", "c"), JUDGED, columns, CHALLENGER, CHAMPION)
    assert [part.column for part in slices] == ["c"]
    assert problems == (
        "gate.slices names 'gone', which the data does not have: let the query return it, "
        "or leave it out.",
    )
    _, (many,) = cut([f"v{i}" for i in range(1001)])
    assert "1,001 distinct values, and at most 1,000" in many
    assert "choose a coarser column" in many
    _, (times,) = cut([datetime(2026, 1, 1, tzinfo=UTC)] * 200)
    assert "of type timestamp[us, tz=UTC]" in times
    assert "such as the weekday of a time" in times
    _, (text,) = cut(["a"] * 200, bins=3)
    assert "with bins, but it holds text" in text


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000))
def test_the_order_of_rows_changes_no_slice(seed):
    random = np.random.default_rng(seed)
    order = random.permutation(ROWS)
    columns = {"a": random.choice(["x", "y", "z"], ROWS), "b": random.normal(0, 1, ROWS)}
    arrow = {name: pa.chunked_array([pa.array(values)]) for name, values in columns.items()}
    mixed = {name: pa.chunked_array([pa.array(values[order])]) for name, values in columns.items()}
    first, _ = judged_slices(gate("a", "b"), JUDGED, arrow, CHALLENGER, CHAMPION)
    second, _ = judged_slices(
        gate("a", "b"), JUDGED.only(order), mixed, CHALLENGER[order], CHAMPION[order]
    )
    assert [(p.column, p.value, p.rows) for p in first] == [(p.column, p.value, p.rows) for p in second]
    for one, other in zip(first, second, strict=True):
        assert one.difference.interval.low == pytest.approx(other.difference.interval.low)
        assert one.difference.interval.high == pytest.approx(other.difference.interval.high)


def test_more_slices_than_the_ledger_should_keep_are_a_problem():
    large = Gate.model_validate(
        {"metric": "squared_error", "slices": ["c"], "slice_rule": {"min_rows": 30}}
    )
    many = 30 * 201
    rows = JudgedRows(np.zeros(many), (), np.arange(many) % 20, "day")
    column = pa.chunked_array([[f"v{row % 201}" for row in range(many)]])
    slices, problems = judged_slices(large, rows, {"c": column}, np.ones(many), np.zeros(many))
    assert slices == ()
    assert "of which 201 values are large enough to be judged; at most 200 are" in problems[0]


def test_without_a_champion_columns_are_looked_at_and_nothing_is_compared():
    column = pa.chunked_array([["a", "b"] * (ROWS // 2)])
    slices, problems = judged_slices(gate("c", "lost"), JUDGED, {"c": column}, CHALLENGER, None)
    assert slices == ()
    assert len(problems) == 1
    assert "'lost', which the data does not have" in problems[0]
