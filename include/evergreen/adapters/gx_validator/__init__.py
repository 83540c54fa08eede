"""Judges rows with Great Expectations: one pandas batch, an ephemeral context, nothing sent anywhere.

Great Expectations drops an expectation it does not know and reports a missing column as a failed
check; here both are errors, so that a typing mistake is never a verdict about the data.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from evergreen.adapters.gx_validator.frame import to_frame
from evergreen.adapters.gx_validator.suite import great_expectations, judge
from evergreen.artefacts import describe_bytes
from evergreen.canonical import digest_of
from evergreen.errors import DataUnusable, bounded
from evergreen.failpoints import failpoint
from evergreen.names import did_you_mean
from evergreen.observations import columns_of, json_value, observed_rows, observed_whole, shown
from evergreen.quarantine import Fault, Folder, collect, to_parquet
from evergreen.results import ExpectationOutcome, Snapshot, ValidationReport
from evergreen.spec import Expectation, Suite
from evergreen.validation_page import MOST_EXAMPLES, Example, Finding, Page, render, verdict

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

_LONGEST_ARGUMENTS = 200

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, repr=False)
class GxValidator:
    """Judges with Great Expectations; keeps failing rows and a report page below `store_uri`."""

    store_uri: str
    storage_options: Mapping[str, Any]

    def validate(
        self, model: str, snapshot: Snapshot, rows: pa.Table, suite: Suite | None, key: str
    ) -> ValidationReport:
        """Judge the rows; without a suite they pass. Safe to repeat: the same files are written.

        Failing rows of failed expectations, warnings included, are kept once each with their reasons.

        Raises:
            DataUnusable: no key column, an unknown expectation or argument, a column that is not
                there, or an expectation that cannot be computed on these rows; each is named.
            StoreUnavailable: quarantine or report could not be written.
        """
        if suite is None:
            return ValidationReport(True, rows.num_rows, (), 0, None, None)
        if key not in rows.column_names:
            raise DataUnusable(
                f"the data has no key column {key!r}",
                where=model,
                allowed=f"columns {', '.join(rows.column_names)}",
                fix=did_you_mean(key, rows.column_names),
            )
        gx = great_expectations()
        results = judge(gx, suite, _framed(rows, model), rows.schema, model)
        judged = list(zip(suite.expectations, results, strict=True))
        findings = tuple(_finding(expectation, result, rows, key) for expectation, result in judged)
        kept = collect(rows, _faults(findings, results))
        folder = self._folder(model, snapshot, suite, gx.__version__)
        quarantine_uri, artefacts = None, []
        if kept.failing:
            quarantined = to_parquet(kept.rows)
            quarantine_uri = folder.write("rows.parquet", quarantined)
            artefacts.append(describe_bytes("rows.parquet", quarantined))
        failpoint("validate.quarantined")
        page = Page(
            model=model,
            snapshot=snapshot,
            key=key,
            rows=rows.num_rows,
            findings=findings,
            rows_failing=kept.failing,
            rows_kept=kept.rows.num_rows,
            judge=f"Great Expectations {gx.__version__}",
        )
        report = render(page)
        report_uri = folder.write("report.html", report)
        artefacts.append(describe_bytes("report.html", report))
        failpoint("validate.reported")
        outcomes = tuple(finding.outcome for finding in findings)
        passed = all(outcome.passed or outcome.severity == "warning" for outcome in outcomes)
        _log.info(
            "%s: %s %s rows judged, %s of %s failing rows kept",
            model,
            verdict(outcomes),
            rows.num_rows,
            kept.rows.num_rows,
            kept.failing,
        )
        return ValidationReport(
            passed,
            rows.num_rows,
            outcomes,
            kept.rows.num_rows,
            quarantine_uri,
            report_uri,
            tuple(artefacts),
        )

    def _folder(self, model: str, snapshot: Snapshot, suite: Suite, version: str) -> Folder:
        """Return the folder of one judgement; another version may judge and word things otherwise."""
        digest = digest_of([json_value(suite.model_dump(mode="python")), version])
        relative = f"quarantine/{model}/{snapshot.digest}/{digest}"
        return Folder(self.store_uri, self.storage_options, relative)


def _framed(rows: pa.Table, model: str) -> pd.DataFrame:
    import pyarrow as pa

    names = rows.column_names
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataUnusable("the data has columns of one name", where=model, got=", ".join(twice))
    try:
        return to_frame(rows)
    except pa.ArrowException as exc:
        raise DataUnusable(
            f"the rows hold values that cannot be judged: {bounded(str(exc))}", where=model
        ) from exc


def _finding(expectation: Expectation, result: Any, rows: pa.Table, key: str) -> Finding:
    found, passed = result.result, bool(result.success)
    arguments = json_value(expectation.kwargs)
    positions = found.get("unexpected_index_list")
    columns = tuple(c for c in columns_of(expectation.kwargs) if c in rows.column_names)
    examples: tuple[Example, ...] = ()
    if positions is None:
        observed = observed_whole(expectation.type, arguments, found, passed)
    else:
        records = _records(rows, [key, *columns], positions[:MOST_EXAMPLES])
        values = [tuple(record[c] for c in columns) for record in records]
        examples = tuple(
            Example(shown(record[key]), tuple(map(shown, value)))
            for record, value in zip(records, values, strict=True)
        )
        joined = [v[0] if len(v) == 1 else " / ".join(map(shown, v)) for v in values]
        observed = observed_rows(expectation.type, arguments, found, joined)
    outcome = ExpectationOutcome(
        expectation=expectation.type,
        arguments=arguments,
        severity=expectation.severity,
        passed=passed,
        observed=observed,
        failing_rows=None if positions is None else len(positions),
        failing_keys=tuple(example.key for example in examples),
        why=expectation.why,
    )
    return Finding(outcome, columns, examples)


def _records(rows: pa.Table, columns: Sequence[str], positions: Sequence[int]) -> list[dict[str, Any]]:
    import pyarrow as pa

    taken = rows.select(list(dict.fromkeys(columns))).take(pa.array(positions, pa.int64()))
    records: list[dict[str, Any]] = taken.to_pylist()
    return records


def _faults(findings: Sequence[Finding], results: Sequence[Any]) -> list[Fault]:
    import numpy as np

    faults = []
    for finding, result in zip(findings, results, strict=True):
        outcome = finding.outcome
        positions = result.result.get("unexpected_index_list")
        if positions and not outcome.passed:
            arguments = bounded(json.dumps(outcome.arguments, ensure_ascii=False), _LONGEST_ARGUMENTS)
            reason = f"{outcome.severity}: {outcome.expectation} {arguments}"
            reason += f": {outcome.why}" if outcome.why else ""
            faults.append(Fault(reason, np.asarray(positions, dtype=np.int64)))
    return faults
