"""The real Great Expectations judges a suite: the outcomes, and what it says and loads meanwhile."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from evergreen.adapters.gx_validator import GxValidator
from tests.contracts.validator import BETWEEN, NOT_NULL, expectation
from tests.integration.gx_bench import MEAN, judge, keyed, no_network, only, validator

__all__ = ["no_network", "validator"]


def test_an_outcome_says_how_many_values_failed_and_which(validator):
    hours = [12] * 10_000
    hours[5], hours[77], hours[4000] = 25, 31, 99
    outcome = only(
        validator, keyed(hour=hours), expectation(BETWEEN, column="hour", min_value=0, max_value=24)
    )
    assert outcome.observed == "3 of 10,000 values (0.03 %) outside [0, 24]: 25, 31, 99"
    assert outcome.failing_keys == ("5", "77", "4000")


def test_an_aggregate_is_judged_as_a_whole(validator):
    low = only(validator, keyed(x=[1.0, 2.0, 6.0]), expectation(MEAN, column="x", min_value=100))
    assert (low.passed, low.failing_rows, low.failing_keys) == (False, None, ())
    assert low.observed == "mean is 3; expected at least 100"
    assert only(
        validator, keyed(x=[1.0, 2.0, 6.0]), expectation(MEAN, column="x", min_value=1, max_value=4)
    ).passed


def test_a_failure_within_mostly_passes_and_is_not_quarantined(validator):
    rows = keyed(x=[1, 2, 3, 4, 5, 6, 7, 8, 9, None])
    report = judge(validator, rows, expectation(NOT_NULL, column="x", mostly=0.9))
    (outcome,) = report.outcomes
    assert report.passed
    assert (outcome.passed, outcome.failing_rows, outcome.failing_keys) == (True, 1, ("9",))
    assert (report.quarantined_rows, report.quarantine_uri) == (0, None)
    assert "(tolerated by <code>mostly</code>)" in Path(report.report_uri).read_text()


def test_quantiles_that_fail_are_a_failure(validator):
    ranges = {"quantiles": [0.5], "value_ranges": [[10, 20]]}
    kind = "expect_column_quantile_values_to_be_between"
    outcome = only(validator, keyed(x=[1, 2, 3]), expectation(kind, column="x", quantile_ranges=ranges))
    assert outcome.passed is False
    assert outcome.observed == "quantile values are 2 at 0.5; expected [10, 20] at 0.5"


def test_distinct_values_beyond_the_set_are_named(validator):
    kind = "expect_column_distinct_values_to_be_in_set"
    outcome = only(validator, keyed(x=["a", "b", "c"]), expectation(kind, column="x", value_set=["a"]))
    assert outcome.passed is False
    assert outcome.observed == "2 distinct values not expected: b, c; expected a"


def test_a_pair_of_columns_is_judged_with_both_values_on_the_page(validator):
    kind = "expect_column_pair_values_a_to_be_greater_than_b"
    rows = keyed(late=[5, 1], early=[2, 3])
    report = judge(validator, rows, expectation(kind, column_A="late", column_B="early"))
    assert report.outcomes[0].failing_keys == ("1",)
    assert report.outcomes[0].observed.endswith(": 1 / 3")


def test_a_column_that_must_exist_and_does_not_is_a_failure_of_the_data(validator):
    report = judge(validator, keyed(x=[1]), expectation("expect_column_to_exist", column="y"))
    assert not report.passed


def test_judging_logs_one_line_of_its_own_and_nothing_of_the_library(validator, caplog, capfd):
    with caplog.at_level("INFO"):
        judge(validator, keyed(x=[99]), expectation(BETWEEN, column="x", max_value=5))
    (line,) = caplog.messages
    assert line == (
        "m: Rejected: 1 of 1 expectations failed as an error. 1 rows judged, 1 of 1 failing rows kept"
    )
    assert capfd.readouterr() == ("", "")


def test_a_validator_does_not_print_its_credentials():
    assert "hunter2" not in repr(GxValidator("s3://bucket", {"secret": "hunter2"}))


def test_the_adapter_loads_great_expectations_only_when_it_judges():
    loaded = "import sys, evergreen.adapters.gx_validator; print('great_expectations' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
