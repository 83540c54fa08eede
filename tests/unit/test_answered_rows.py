"""Which logged answers a check takes: those of the champion, since its release and up to the as-of."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest

from evergreen.errors import DataUnusable
from evergreen.logged_rows import VERSION, probability
from tests.unit.losses_bench import A_DAY, AS_OF, CLASSES, Bed, bed, champion, logged, on_day, shares_of

__all__ = ["bed"]


def test_rows_of_other_versions_do_not_count_though_their_labels_are_known(bed: Bed) -> None:
    versions = pa.array([2 if row % 2 else 3 for row in range(10 * A_DAY)], pa.int64())
    bed.log.table = logged(**{VERSION: versions})
    series = bed.realised()
    assert {day.rows for day in series.days} == {A_DAY // 2}
    assert series.notes == ()


def test_rows_that_name_no_version_count_for_the_champion(bed: Bed) -> None:
    expected = bed.realised()
    bed.log.table = logged(version=None)
    assert bed.realised() == expected
    bed.log.table = logged(**{VERSION: pa.nulls(10 * A_DAY, pa.int64())})
    assert bed.realised() == expected


def test_rows_before_the_release_do_not_count(bed: Bed) -> None:
    later = replace(champion(), as_of=datetime(2013, 3, 4, 12, tzinfo=UTC))
    series = bed.realised(released=later)
    assert [(d.day.day, d.rows) for d in series.days][:2] == [(4, A_DAY // 2), (5, A_DAY)]


def test_rows_after_the_as_of_do_not_count(bed: Bed) -> None:
    as_of = datetime(2013, 3, 5, 12, tzinfo=UTC)
    realised, estimated, _ = bed.measure(as_of)
    assert realised is not None
    assert estimated is not None
    assert [(d.day.day, d.rows) for d in realised.days] == [(1, 20), (2, 20), (3, 20), (4, 10)]
    assert [(d.day.day, d.rows) for d in estimated.days] == [(4, 10), (5, 10)]
    assert max(window.end for window in bed.log.windows) == as_of


def test_only_the_last_days_are_read(bed: Bed) -> None:
    long_ago = replace(champion(), as_of=datetime(2011, 1, 1, tzinfo=UTC))
    bed.realised(released=long_ago)
    assert len(bed.log.windows) == 120
    assert min(window.start for window in bed.log.windows) == AS_OF - timedelta(days=120)


def test_the_source_is_asked_for_one_day_at_a_time_and_only_where_rows_were_answered(bed: Bed) -> None:
    bed.log.table = pa.concat_tables([on_day(2, bed.log.table), on_day(7, bed.log.table)])
    bed.realised()
    assert [window.start.day for window in bed.source.windows] == [2, 7]
    assert {window.end - window.start for window in bed.source.windows} == {timedelta(days=1)}


def test_no_logged_row_gives_series_without_days(bed: Bed) -> None:
    bed.log.table = bed.log.table.slice(0, 0)
    realised, estimated, problems = bed.measure()
    assert realised is not None
    assert estimated is not None
    assert (realised.days, realised.rows, realised.missing) == ((), 0, 0)
    assert (estimated.days, problems) == ((), ())


def test_logged_rows_without_a_finite_prediction_do_not_count(bed: Bed) -> None:
    shares = shares_of(bed.log.table)
    shares[0], shares[1] = np.nan, np.inf
    holed = {probability(name): pa.array(shares[:, place]) for place, name in enumerate(CLASSES)}
    bed.log.table = logged(**holed)
    series = bed.realised()
    assert series.days[0].rows == A_DAY - 2
    assert series.notes == ("2 logged rows without a finite prediction: left out",)


def test_a_log_without_the_key_is_named(bed: Bed) -> None:
    bed.log.table = bed.log.table.drop_columns(["id"])
    with pytest.raises(DataUnusable, match="lost: id"):
        bed.measure()
