"""H in a schedule: a number that follows from the model's name, the same everywhere and always."""

import doctest
import re
from collections import Counter

import pytest

from evergreen import cron
from evergreen.cron import spread
from evergreen.lint import lint
from evergreen.loading import load_spec
from tests.unit.model_files import write_model

NAMES = [f"model_{number}" for number in range(1000)]


def test_the_examples_hold():
    assert doctest.testmod(cron).failed == 0


@pytest.mark.parametrize(
    "schedule", ["0 6 1 * *", "@monthly", "0 6 * MAR THU", "*/5 * * * *", "0 0 1 */3 *"]
)
def test_a_schedule_without_h_is_left_as_it_stands(schedule):
    assert spread(schedule, "churn") == schedule


def test_a_thousand_models_are_spread_over_the_hours_they_may_begin_in():
    minutes = Counter(spread("H H(0-5) 1 * *", name) for name in NAMES)
    assert len(minutes) > 300
    assert max(minutes.values()) < 12
    hours = Counter(schedule.split()[1] for schedule in minutes.elements())
    assert set(hours) == set("012345")
    assert max(hours.values()) < 250


MONTHLY = 'schedule: "@monthly"'
MORE = """\
gate:
  metric: log_loss
score: {schedule: "H H * * *", window: 1 day}
monitor: {schedule: "H H * * *", window: 7 days}
"""


def test_the_file_s_schedules_become_plain_ones_that_differ(tmp_path):
    edits = (MONTHLY, "schedule: H H(0-5) 1 * *"), ("gate:\n  metric: log_loss\n", MORE)
    spec = load_spec(write_model(tmp_path, *edits))
    assert spec.schedule == spread("H H(0-5) 1 * *", spec.name)
    schedules = [spec.score.schedule, spec.monitor.schedule, spread("H H * * *", spec.name)]
    assert len(set(schedules)) == 3
    assert not any("H" in schedule for schedule in schedules)


@pytest.mark.parametrize(
    ("schedule", "why"),
    [
        ("R R 1 * *", "not a cron expression"),
        ("h 6 1 * *", "not a cron expression"),
        ("H(61-70) 6 1 * *", "not a cron expression"),
        ("H(5-1) 6 1 * *", "not a cron expression"),
        ("H/0 6 1 * *", "not a cron expression"),
        ("H H 1 *", "not a cron expression"),
        ("0 6 1 * * H", "not a cron expression"),
        ("0 6 1 * H H H", "not a cron expression"),
        ("HH 6 1 * *", "not a cron expression"),
        ("H H H * *", r"write H\(1-28\)"),
        ("H 6 30 2 *", "never comes due"),
    ],
)
def test_what_no_month_has_and_what_would_differ_each_time_is_refused(tmp_path, schedule, why):
    (problem,) = lint([write_model(tmp_path, (MONTHLY, f"schedule: {schedule}"))])
    assert re.search(why, str(problem))
    assert schedule in str(problem)


def test_a_day_that_the_month_of_this_very_model_lacks_is_refused(tmp_path):
    """Each name has a month of its own, so one model's schedule may hold where another's does not."""
    schedule = "0 0 30 H *"
    month = {name: spread(schedule, f"{name}/score").split()[3] for name in NAMES}
    in_february, other = (
        next(name for name in NAMES if (month[name] == "2") is february) for february in (True, False)
    )
    section = f"score: {{schedule: {schedule}, window: 1 day}}\ngate:\n"
    problems = {
        name: lint([write_model(tmp_path, ("gate:\n", section), name=name)])
        for name in (in_february, other)
    }
    assert problems[other] == []
    assert "'0 0 30 2 *' for this model, never comes due" in str(problems[in_february][0])


@pytest.mark.parametrize("day", ["H(25-31)", "H/31", "H(1-31)"])
def test_an_h_that_stands_for_a_day_that_short_months_lack_is_refused(tmp_path, day):
    schedule = f"0 0 {day} * *"
    found = {name: int(spread(schedule, f"{name}/score").split()[2]) for name in NAMES}
    section = f"score: {{schedule: {schedule}, window: 1 day}}\ngate:\n"
    for late in (True, False):
        name = next(name for name in NAMES if (found[name] > 28) is late)
        problems = lint([write_model(tmp_path, ("gate:\n", section), name=name)])
        assert [f"'0 0 {found[name]} * *'" in str(one) for one in problems] == [True] * late
