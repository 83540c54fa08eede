"""What every validator promises. A subclass gives the validator and how its quarantine is read."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pyarrow as pa
import pytest

from evergreen.errors import DataUnusable, StoreUnavailable
from evergreen.results import Snapshot, ValidationReport, from_json, to_json
from evergreen.spec import Suite
from evergreen.window import Window

MARCH = Window(datetime(2013, 3, 1, tzinfo=UTC), datetime(2013, 4, 1, tzinfo=UTC))
NOT_NULL = "expect_column_values_to_not_be_null"
BETWEEN = "expect_column_values_to_be_between"
ROW_COUNT = "expect_table_row_count_to_be_between"


def snapshot_of(rows: pa.Table, digest: str = "ab12" * 16) -> Snapshot:
    return Snapshot("store/snapshots/x", digest, MARCH, rows.num_rows, (), ())


def suite_of(*expectations: dict) -> Suite:
    return Suite.model_validate({"expectations": list(expectations)})


def expectation(kind: str, severity: str = "error", why: str | None = None, **kwargs: object) -> dict:
    return {"type": kind, "kwargs": kwargs, "severity": severity, "why": why}


def flights(count: int = 20) -> pa.Table:
    """Rows 3 and 5 have hours beyond a day; rows 5 and 7 lack an origin."""
    hours = [99 if n in {3, 5} else n % 24 for n in range(count)]
    origins = [None if n in {5, 7} else "JFK" for n in range(count)]
    return pa.table({"flight": [f"F{n}" for n in range(count)], "hour": hours, "origin": origins})


class ValidatorContract:
    @pytest.fixture
    def validator(self):
        raise NotImplementedError

    def quarantined(self, validator, uri: str) -> list[dict]:
        """Return the rows kept at a URI."""
        raise NotImplementedError

    def break_store(self, validator) -> None:
        """Let the store refuse every write."""
        raise NotImplementedError

    def validate(self, validator, suite, rows=None) -> ValidationReport:
        rows = flights() if rows is None else rows
        return validator.validate("delay", snapshot_of(rows), rows, suite, "flight")

    def test_rows_without_a_suite_pass(self, validator):
        report = self.validate(validator, None)
        assert report == ValidationReport(True, 20, (), 0, None, None)

    def test_rows_that_hold_every_expectation_pass_and_nothing_is_quarantined(self, validator):
        suite = suite_of(
            expectation(NOT_NULL, column="flight"),
            expectation(BETWEEN, column="hour", min_value=0, max_value=99),
        )
        report = self.validate(validator, suite)
        assert report.passed
        assert [outcome.passed for outcome in report.outcomes] == [True, True]
        assert (report.quarantined_rows, report.quarantine_uri) == (0, None)
        assert report.report_uri

    def test_a_failed_error_rejects_the_rows_and_names_their_keys(self, validator):
        rule = expectation(BETWEEN, why="hours of a day", column="hour", min_value=0, max_value=24)
        report = self.validate(validator, suite_of(rule))
        assert not report.passed
        (outcome,) = report.errors
        assert outcome.expectation == BETWEEN
        assert outcome.arguments == {"column": "hour", "min_value": 0, "max_value": 24}
        assert (outcome.failing_rows, outcome.failing_keys) == (2, ("F3", "F5"))
        assert outcome.why == "hours of a day"
        assert "2 of 20" in outcome.observed

    def test_a_failed_warning_is_reported_and_quarantined_but_the_rows_pass(self, validator):
        report = self.validate(validator, suite_of(expectation(NOT_NULL, "warning", column="origin")))
        assert report.passed
        assert [outcome.failing_keys for outcome in report.warnings] == [("F5", "F7")]
        assert report.quarantined_rows == 2

    def test_each_failing_row_is_quarantined_once_with_all_its_reasons(self, validator):
        suite = suite_of(
            expectation(NOT_NULL, "warning", column="origin"),
            expectation(BETWEEN, column="hour", min_value=0, max_value=24),
        )
        report = self.validate(validator, suite)
        kept = self.quarantined(validator, report.quarantine_uri)
        assert report.quarantined_rows == 3
        assert [row["flight"] for row in kept] == ["F3", "F5", "F7"]
        assert (kept[0]["hour"], kept[0]["origin"]) == (99, "JFK")
        both = kept[1]["evergreen_reasons"]
        assert len(both) == 2
        assert both[0].startswith(f"warning: {NOT_NULL}")
        assert both[1].startswith(f"error: {BETWEEN}")

    def test_an_expectation_about_the_table_has_no_failing_rows(self, validator):
        report = self.validate(validator, suite_of(expectation(ROW_COUNT, min_value=100)))
        (outcome,) = report.errors
        assert (outcome.failing_rows, outcome.failing_keys) == (None, ())
        assert (report.quarantined_rows, report.quarantine_uri) == (0, None)

    def test_outcomes_stand_in_the_order_of_the_suite(self, validator):
        suite = suite_of(
            expectation(ROW_COUNT, min_value=1),
            expectation(BETWEEN, column="hour", min_value=0),
            expectation(NOT_NULL, column="origin"),
            expectation(BETWEEN, column="hour", min_value=0),
            expectation(ROW_COUNT, min_value=2),
        )
        report = self.validate(validator, suite)
        assert [o.expectation for o in report.outcomes] == [e.type for e in suite.expectations]
        assert [o.arguments for o in report.outcomes] == [e.kwargs for e in suite.expectations]

    def test_at_most_ten_failing_keys_are_named(self, validator):
        report = self.validate(
            validator, suite_of(expectation(BETWEEN, column="hour", min_value=1000)), flights(50)
        )
        (outcome,) = report.errors
        assert (outcome.failing_rows, len(outcome.failing_keys)) == (50, 10)
        assert report.quarantined_rows == 50

    def test_a_retry_returns_the_same_report_and_keeps_the_same_rows(self, validator):
        suite = suite_of(expectation(BETWEEN, column="hour", min_value=0, max_value=24))
        first = self.validate(validator, suite)
        kept = self.quarantined(validator, first.quarantine_uri)
        assert self.validate(validator, suite) == first
        assert self.quarantined(validator, first.quarantine_uri) == kept

    def test_a_report_travels_as_json(self, validator):
        suite = suite_of(expectation(BETWEEN, column="hour", min_value=0, max_value=24))
        report = self.validate(validator, suite)
        assert from_json(ValidationReport, json.loads(json.dumps(to_json(report)))) == report

    def test_a_misspelt_expectation_is_an_error_with_a_suggestion(self, validator):
        suite = suite_of(expectation("expect_column_values_to_not_be_nul", column="origin"))
        with pytest.raises(DataUnusable, match=f"did you mean '{NOT_NULL}'"):
            self.validate(validator, suite)

    def test_a_misspelt_argument_is_an_error_that_lists_the_arguments(self, validator):
        suite = suite_of(expectation(BETWEEN, column="hour", min_valu=0))
        with pytest.raises(DataUnusable, match=r"no argument 'min_valu'.*max_value, min_value"):
            self.validate(validator, suite)

    def test_a_column_that_is_not_there_is_an_error_that_lists_the_columns(self, validator):
        with pytest.raises(DataUnusable, match=r"no column 'orign'.*flight, hour, origin"):
            self.validate(validator, suite_of(expectation(NOT_NULL, column="orign")))

    def test_rows_without_the_key_column_are_an_error(self, validator):
        with pytest.raises(DataUnusable, match="no key column 'flight'"):
            self.validate(
                validator,
                suite_of(expectation(NOT_NULL, column="hour")),
                flights().drop_columns(["flight"]),
            )

    def test_a_store_that_refuses_the_quarantine_is_an_error_that_may_be_retried(self, validator):
        self.break_store(validator)
        suite = suite_of(expectation(BETWEEN, column="hour", min_value=0, max_value=24))
        with pytest.raises(StoreUnavailable) as caught:
            self.validate(validator, suite)
        assert caught.value.retryable
