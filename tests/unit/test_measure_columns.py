"""What is measured of each column of a window, and why some are not."""

from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pytest

from evergreen.drift.measure import days_of, measure_columns
from evergreen.durations import Duration
from evergreen.monitor_spec import Monitor
from evergreen.profiles.layout import Cells, Layout
from evergreen.profiles.profile import Profile

FARE = Cells(
    "fare",
    "number",
    "double",
    edges=(0.0, 10.0, 20.0, 30.0),
    centres=(0.0, 5.0, 15.0, 25.0, 30.0),
    scale=10.0,
)
TOWN = Cells("town", "category", "string", categories=("a", "b", "c"))
LAYOUT = Layout((FARE, TOWN))
MONDAY = date(2013, 1, 7)
# missing, -inf, below, three bins, above, +inf
USUAL_FARE = (5, 0, 0, 40, 30, 25, 0, 0)
# missing, a, b, c, other
USUAL_TOWN = (0, 50, 30, 20, 0)


def profile(fare=USUAL_FARE, town=USUAL_TOWN):
    """Return a day's counts; words in place of a column's are why it could not be counted."""
    columns = {"fare": fare, "town": town}
    problems = {name: one for name, one in columns.items() if isinstance(one, str)}
    counts = [
        np.zeros(len(cells)) if cells.column in problems else columns[cells.column]
        for cells in LAYOUT.cells
    ]
    return Profile(LAYOUT, 100, np.concatenate(counts).astype(np.int64), problems)


def days(count=28, start=MONDAY, **columns):
    return {start + timedelta(day): profile(**columns) for day in range(count)}


def monitor(**rules):
    return Monitor.model_validate({"schedule": "@daily", "window": "7 days", **rules})


def measured(past, now, rules=None, importance=None):
    found = measure_columns(LAYOUT, past, now, rules or monitor(), importance or {})
    return {one.column: one for one in found}


LATER = MONDAY + timedelta(28)


class TestMeasured:
    def test_a_window_like_the_baseline_lies_nowhere_else(self):
        found = measured(days(), days(7, LATER))

        assert found["fare"].value == pytest.approx(0, abs=1e-12)
        assert found["town"].value == pytest.approx(0, abs=1e-7)
        assert found["fare"].moved == 0
        assert found["town"].psi == 0

    def test_numbers_and_categories_are_measured_by_their_own_distance(self):
        rules = monitor(distances={"numbers": "kolmogorov_smirnov", "categories": "psi"})

        found = measured(days(), days(7, LATER), rules)

        assert (found["fare"].distance, found["town"].distance) == ("kolmogorov_smirnov", "psi")

    def test_the_owner_may_choose_distances_for_kinds_and_for_single_columns(self):
        rules = monitor(distances={"categories": "hellinger", "columns": {"fare": "wasserstein"}})

        found = measured(days(), days(7, LATER, fare=(5, 0, 0, 30, 30, 35, 0, 0)), rules)

        assert found["town"].distance == "hellinger"
        assert found["fare"].distance == "wasserstein"
        # A tenth of 95 rows went from 5 to 25: two standard deviations.
        assert found["fare"].value == pytest.approx(10 / 95 * 2)

    def test_moved_is_the_share_of_rows_that_lie_elsewhere(self):
        found = measured(days(), days(7, LATER, town=(0, 40, 30, 30, 0)))

        assert found["town"].moved == pytest.approx(0.1)

    def test_missing_values_are_no_drift(self):
        found = measured(days(), days(7, LATER, fare=(81, 0, 0, 8, 6, 5, 0, 0)))

        assert found["fare"].value == pytest.approx(0, abs=1e-12)
        assert found["fare"].window_rows == 7 * 19

    def test_infinite_values_lie_beyond_all_others(self):
        rules = monitor(distances={"numbers": "wasserstein"})

        found = measured(days(), days(7, LATER, fare=(5, 0, 0, 40, 30, 0, 0, 25)), rules)

        assert found["fare"].value == pytest.approx(25 / 95 * 0.5)

    def test_rows_and_importance_are_told(self):
        found = measured(days(), days(7, LATER), importance={"fare": 0.7})

        assert (found["fare"].baseline_rows, found["fare"].window_rows) == (28 * 95, 7 * 95)
        assert (found["fare"].importance, found["town"].importance) == (0.7, 0.0)

    def test_columns_come_in_the_layouts_order(self):
        found = measure_columns(LAYOUT, days(), days(7, LATER), monitor(), {})

        assert [one.column for one in found] == ["fare", "town"]

    def test_the_order_of_days_does_not_matter(self):
        rng = np.random.default_rng(0)
        past = {
            MONDAY + timedelta(day): profile(town=(0, *rng.multinomial(100, [0.5, 0.3, 0.2]), 0))
            for day in range(28)
        }

        mixed = dict(sorted(past.items(), key=lambda each: hash(each[0])))
        assert measured(past, days(7, LATER)) == measured(mixed, days(7, LATER))


class TestOddWindows:
    def test_a_lost_column_has_no_distance_and_says_why(self):
        lost = measured(days(), days(6, LATER) | {LATER: profile(town="lost")})

        assert lost["town"].value is None
        assert lost["town"].problem == "lost"
        assert lost["fare"].value is not None

    def test_a_window_in_which_all_is_missing_has_no_distance(self):
        found = measured(days(), days(7, LATER, fare=(100, 0, 0, 0, 0, 0, 0, 0)))

        assert found["fare"].problem == "all its values in the window are missing"
        assert found["fare"].chance is None

    @pytest.mark.parametrize("window", [{}, {LATER: replace(profile((0,) * 8, (0,) * 5), rows=0)}])
    def test_a_window_without_rows_has_no_distances(self, window):
        found = measured(days(), window)

        assert {one.problem for one in found.values()} == {"the window has no rows"}

    def test_a_window_of_one_row_is_measured(self):
        one_row = {LATER: replace(profile((0, 0, 0, 1, 0, 0, 0, 0), (0, 1, 0, 0, 0)), rows=1)}

        found = measured(days(), one_row)

        assert found["town"].moved == pytest.approx(0.5)
        assert found["town"].chance is not None

    def test_a_baseline_in_which_all_is_missing_says_so(self):
        found = measured(days(fare=(100, 0, 0, 0, 0, 0, 0, 0)), days(7, LATER))

        assert found["fare"].problem == "the baseline holds no value of it"

    def test_a_baseline_without_days_says_so(self):
        found = measured({}, days(7, LATER))

        assert {one.value for one in found.values()} == {None}

    def test_a_constant_column_that_stays_so_lies_nowhere_else(self):
        same = (0, 100, 0, 0, 0)

        found = measured(days(town=same), days(7, LATER, town=same))

        assert found["town"].value == pytest.approx(0, abs=1e-9)
        assert found["town"].chance.tail

    def test_a_constant_column_that_changes_lies_beyond_chance(self):
        found = measured(days(town=(0, 100, 0, 0, 0)), days(7, LATER, town=(0, 60, 40, 0, 0)))

        assert found["town"].value > found["town"].chance.tail[-1]

    @pytest.mark.parametrize("count", [1, 2, 5])
    def test_a_baseline_shorter_than_the_window_is_compared_with_all_the_same(self, count):
        found = measured(days(count), days(7, LATER))

        assert found["town"].chance is not None

    @pytest.mark.parametrize("name", ["anderson_darling", "kolmogorov_smirnov", "wasserstein"])
    def test_a_distance_of_numbers_asked_of_a_category_is_a_problem_and_no_crash(self, name):
        found = measured(days(), days(7, LATER), monitor(distances={"columns": {"town": name}}))

        assert found["town"].value is None
        assert found["town"].problem.startswith(f"{name} is a distance of numbers")
        assert "jensen_shannon" in found["town"].problem

    def test_an_ignored_column_is_measured_for_those_who_look(self):
        found = measured(days(), days(7, LATER), monitor(ignore=["town"]))

        assert found["town"].value is not None


class TestSeasons:
    WEEKEND = (0, 10, 10, 80, 0)

    def past(self):
        return {
            day: profile(town=self.WEEKEND) if day.weekday() >= 5 else one for day, one in days().items()
        }

    def test_a_weekend_differs_from_all_days_but_not_from_weekends(self):
        saturday = LATER + timedelta(5)
        window = days(2, saturday, town=self.WEEKEND)

        plain, seasonal = (
            measured(self.past(), window, monitor(season=season, window="2 days"))["town"]
            for season in ("none", "weekdays")
        )
        assert plain.moved > 0.3
        assert seasonal.moved == 0
        assert seasonal.baseline_rows == 8 * 100

    def test_where_the_baseline_lacks_the_weekdays_all_its_days_count(self):
        workdays = {day: one for day, one in days().items() if day.weekday() < 5}

        found = measured(workdays, days(2, LATER + timedelta(5)), monitor(season="weekdays"))

        assert found["town"].baseline_rows == len(workdays) * 100


@pytest.mark.parametrize(
    ("window", "expected"),
    [("7 days", 7), ("1 month", 31), ("6 hours", 1), ("36 hours", 2), ("2 weeks", 14)],
)
def test_a_window_spans_whole_days(window, expected):
    assert days_of(Duration.parse(window)) == expected
