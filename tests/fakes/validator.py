"""A validator in memory that knows three expectations, for tests of what uses one."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from evergreen.errors import DataUnusable, StoreUnavailable
from evergreen.names import did_you_mean
from evergreen.results import ExpectationOutcome, Snapshot, ValidationReport
from evergreen.spec import Expectation, Suite

if TYPE_CHECKING:
    import pyarrow as pa

ROW_COUNT = "expect_table_row_count_to_be_between"
KNOWN = {
    "expect_column_values_to_not_be_null": {"column"},
    "expect_column_values_to_be_between": {"column", "min_value", "max_value"},
    ROW_COUNT: {"min_value", "max_value"},
}


class FakeValidator:
    """Keeps quarantined rows under their URI as dictionaries with `evergreen_reasons`."""

    def __init__(self) -> None:
        self.quarantine: dict[str, list[dict[str, Any]]] = {}
        self.unavailable = False
        self.judged = 0

    def validate(
        self, model: str, snapshot: Snapshot, rows: pa.Table, suite: Suite | None, key: str
    ) -> ValidationReport:
        self.judged += 1
        if suite is None:
            return ValidationReport(True, rows.num_rows, (), 0, None, None)
        if key not in rows.column_names:
            raise DataUnusable(f"the data has no key column {key!r}", where=model)
        records = rows.to_pylist()
        outcomes, reasons = [], {}
        for expectation in suite.expectations:
            outcome, failing = judge(expectation, records, rows.column_names, key)
            outcomes.append(outcome)
            for position in () if outcome.passed else failing:
                reasons.setdefault(position, []).append(f"{outcome.severity}: {outcome.expectation}")
        if self.unavailable:
            raise StoreUnavailable("the quarantine does not answer", where=model)
        uri = f"fake://quarantine/{model}/{snapshot.digest}" if reasons else None
        if uri:
            self.quarantine[uri] = [
                records[place] | {"evergreen_reasons": reasons[place]} for place in sorted(reasons)
            ]
        report = ValidationReport(
            passed=True,
            rows=rows.num_rows,
            outcomes=tuple(outcomes),
            quarantined_rows=len(reasons),
            quarantine_uri=uri,
            report_uri=f"fake://quarantine/{model}/{snapshot.digest}/report.html",
        )
        return replace(report, passed=not report.errors)


def judge(
    expectation: Expectation, records: list[dict[str, Any]], columns: list[str], key: str
) -> tuple[ExpectationOutcome, list[int]]:
    kwargs = expectation.kwargs
    if expectation.type not in KNOWN:
        raise DataUnusable("no such expectation", fix=did_you_mean(expectation.type, KNOWN))
    for name in kwargs.keys() - KNOWN[expectation.type]:
        allowed = ", ".join(sorted(KNOWN[expectation.type]))
        raise DataUnusable(f"the expectation takes no argument {name!r}", allowed=allowed)
    low, high = kwargs.get("min_value", float("-inf")), kwargs.get("max_value", float("inf"))
    failing: list[int] = []
    if expectation.type == ROW_COUNT:
        passed, observed = low <= len(records) <= high, f"row count is {len(records):,}"
    elif kwargs["column"] not in columns:
        raise DataUnusable(f"the data has no column {kwargs['column']!r}", allowed=", ".join(columns))
    else:
        values = [record[kwargs["column"]] for record in records]
        if expectation.type == "expect_column_values_to_not_be_null":
            failing = [place for place, value in enumerate(values) if value is None]
        else:
            failing = [p for p, v in enumerate(values) if v is not None and not low <= v <= high]
        passed, observed = not failing, f"{len(failing):,} of {len(values):,} values"
    outcome = ExpectationOutcome(
        expectation=expectation.type,
        arguments=kwargs,
        severity=expectation.severity,
        passed=passed,
        observed=observed,
        failing_rows=None if expectation.type == ROW_COUNT else len(failing),
        failing_keys=tuple(str(records[place][key]) for place in failing[:10]),
        why=expectation.why,
    )
    return outcome, failing
