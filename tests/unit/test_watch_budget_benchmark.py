"""The budget benchmark's streams are what they say, and it notices where the watch judges otherwise."""

import numpy as np
import pytest

from tests.benchmarks.trials import generator
from tests.benchmarks.watch_budget import WINDOW, begins, judged, stream, windows
from tests.benchmarks.watch_budget_peers import rows_of
from tests.benchmarks.watch_budget_whole import must_agree
from tests.benchmarks.watch_counts import Rhythm, columns


@pytest.fixture(scope="module")
def quiet():
    return stream(20, 30, "rhythm 0.1", 0, 0)


@pytest.mark.parametrize(
    "column", columns(20, np.random.default_rng(0)), ids=lambda one: one.cells.column
)
def test_a_columns_shares_sum_to_one_on_any_day(column):
    shares = column.law(np.array([-0.5, 0.0, 0.7]))

    assert shares.shape == (3, len(column.cells) - 1)
    np.testing.assert_allclose(shares.sum(axis=1), 1)
    assert (shares >= 0).all()
    assert np.abs(shares[0] - shares[1]).sum() > 0.05


def test_without_rhythm_no_day_differs():
    assert not Rhythm(0.0).shifts(np.random.default_rng(0), 30).any()


def test_rhythm_is_of_weekdays_and_carries_over():
    rng = np.random.default_rng(0)
    apart = [Rhythm(0.1).shifts(rng, 3_500) for _ in range(5)]

    for shifts in apart:
        weekdays = shifts.reshape(-1, 7).mean(axis=0)
        rest = (shifts.reshape(-1, 7) - weekdays).ravel()
        assert weekdays.std() > 0.1 * rest.std()
        assert np.corrcoef(rest[1:], rest[:-1])[0, 1] == pytest.approx(0.6, abs=0.06)


def test_rows_for_the_peers_have_the_streams_counts(quiet):
    rng = np.random.default_rng(0)
    for column, days in zip(quiet.columns, quiet.before, strict=True):
        values = rows_of(column, days[:3], rng)

        assert len(values) == 90
        if column.cells.ordered:
            counted = np.histogram(values, np.asarray(column.cells.edges))[0]
            np.testing.assert_array_equal(counted, days[:3].sum(axis=0)[2:-2])
        else:
            names = list(column.cells.names[1:])
            counted = [int((values == name).sum()) for name in names]
            assert counted == days[:3].sum(axis=0).tolist()


def test_windows_are_the_last_seven_days(quiet):
    days = quiet.after[0]

    np.testing.assert_array_equal(windows(days)[2], days[2:9].sum(axis=0))
    assert len(windows(days)) == 90


def test_an_alarm_that_lasts_begins_once():
    alarmed = np.array([1, 1, 0, 1, 0, 0, 1, 1], dtype=bool)

    assert begins(alarmed) == 3


class TestTheWholeWay:
    def asked(self, quiet, bars, beyond):
        must_agree(quiet.columns, quiet.importance, quiet.before, quiet.after, bars, beyond, WINDOW)

    def test_agrees_with_what_was_counted(self, quiet):
        bars, beyond, _ = judged(quiet, 30)

        self.asked(quiet, bars, beyond)

    def test_would_find_other_thresholds(self, quiet):
        bars, beyond, _ = judged(quiet, 30)

        with pytest.raises(RuntimeError, match="thresholds are others"):
            self.asked(quiet, bars * 1.01, beyond)

    def test_would_find_other_alarms(self, quiet):
        bars, beyond, _ = judged(quiet, 30)

        with pytest.raises(RuntimeError, match="the verdict alarms for"):
            self.asked(quiet, bars, ~beyond)


def test_a_stream_is_always_the_same(quiet):
    again = stream(20, 30, "rhythm 0.1", 0, 0)

    assert all(np.array_equal(a, b) for a, b in zip(quiet.after, again.after, strict=True))
    assert generator("a").random() == generator("a").random()
