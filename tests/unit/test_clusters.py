"""Which rows may be alike, and how much each counts."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest

from evergreen.errors import DataUnusable
from evergreen.evidence.clusters import clusters_of, weights_of
from evergreen.gate_spec import Gate
from evergreen.spec import Data

START = datetime(2013, 3, 1, 6, tzinfo=UTC)


def data(**changes: object) -> Data:
    return Data.model_validate(
        {
            "source": {"type": "files", "paths": ["x.csv"], "format": "csv"},
            "time_column": "at",
            "key": "id",
            "label": {"column": "late"},
            "train_window": "2 months",
            "test_window": "1 month",
        }
        | changes
    )


def rule(cluster: object = "day") -> Gate:
    return Gate.model_validate({"metric": "log_loss", "cluster": cluster})


def rows(**columns: object) -> pa.Table:
    times = [START + timedelta(hours=hours) for hours in (0, 23, 24, 47, 72)]
    return pa.table({"at": pa.array(times, pa.timestamp("us", "UTC")), **columns})


def test_a_day_is_counted_from_the_test_windows_start():
    codes, name = clusters_of(rule(), data(), rows(), START)
    assert (list(codes), name) == ([0, 0, 1, 1, 2], "day")


def test_times_of_another_unit_give_the_same_days():
    table = rows()
    table = table.set_column(0, "at", table.column("at").cast(pa.timestamp("ns", "UTC")))
    assert list(clusters_of(rule(), data(), table, START)[0]) == [0, 0, 1, 1, 2]


def test_rows_may_each_stand_for_themselves():
    codes, name = clusters_of(rule("row"), data(), rows(), START)
    assert (list(codes), name) == ([0, 1, 2, 3, 4], "row")


@pytest.mark.parametrize("encoded", [False, True])
def test_rows_of_one_entity_are_one_cluster(encoded: bool):
    column = pa.chunked_array([["a", "b", "c"], ["a", "c"]])
    if encoded:
        column = column.dictionary_encode()
    codes, name = clusters_of(rule({"column": "who"}), data(), rows(who=column), START)
    assert (list(codes), name) == ([0, 1, 2, 0, 2], "who")


def test_a_few_rows_without_an_entity_share_a_cluster():
    who = [str(i % 8) for i in range(38)] + [None] * 2
    times = [START + timedelta(hours=hour) for hour in range(40)]
    table = pa.table({"at": pa.array(times, pa.timestamp("us", "UTC")), "who": who})
    codes, _ = clusters_of(rule({"column": "who"}), data(), table, START)
    assert list(codes) == [i % 8 for i in range(38)] + [8, 8]


@pytest.mark.parametrize("missing", [None, np.nan])
def test_many_rows_without_an_entity_are_refused(missing: float | None):
    with pytest.raises(DataUnusable, match=r"gate\.cluster, column 'who'.*got 1 of 5 rows.*at most 5%"):
        clusters_of(rule({"column": "who"}), data(), rows(who=[1.0, 2.0, missing, 1.0, 2.0]), START)


def test_a_missing_cluster_column_says_what_there_is():
    with pytest.raises(DataUnusable, match=r"gate\.cluster.*who"):
        clusters_of(rule({"column": "who"}), data(), rows(), START)


def test_weights_are_read_as_numbers():
    assert weights_of(data(), rows()) is None
    found = weights_of(data(weight="w"), rows(w=[1, 2, 0, 1, 1]))
    assert found is not None
    assert list(found) == [1.0, 2.0, 0.0, 1.0, 1.0]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([1.0, None, 1.0, 1.0, 1.0], "1 of 5 rows"),
        ([1.0, -1.0, 1.0, 1.0, np.inf], "2 of 5 rows"),
        ([0.0] * 5, "all weights are 0"),
        (["much"] * 5, "no numbers"),
    ],
)
def test_weights_that_cannot_weigh_are_refused(values: list[object], said: str):
    with pytest.raises(DataUnusable, match=said):
        weights_of(data(weight="w"), rows(w=values))


def test_weights_that_cannot_weigh_name_their_key_and_what_to_do():
    with pytest.raises(DataUnusable, match=r"data\.weight, column 'w'.*leave data\.weight out"):
        weights_of(data(weight="w"), rows(w=[-1.0] * 5))


def test_a_missing_weight_column_says_so():
    with pytest.raises(DataUnusable, match=r"data\.weight"):
        weights_of(data(weight="w"), rows())
