"""Renders a judgement as one HTML page that opens offline: no script, no link, nothing fetched.

Every value that reaches the page passes `evergreen.text.plain` and Jinja's escaping.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from evergreen.observations import json_value
from evergreen.redaction import redact
from evergreen.results import ExpectationOutcome, Snapshot
from evergreen.text import plain

if TYPE_CHECKING:
    import jinja2

LONGEST_TEXT = 600
MOST_EXAMPLES = 10


@dataclass(frozen=True, slots=True)
class Example:
    """A failing row: its key and the values that were judged, as text, one per judged column."""

    key: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Finding:
    """An expectation's outcome with examples of the rows that failed it."""

    outcome: ExpectationOutcome
    columns: tuple[str, ...] = ()
    examples: tuple[Example, ...] = ()


@dataclass(frozen=True, slots=True)
class Page:
    """What the page shows. `rows_failing` counts rows that failed at least one expectation."""

    model: str
    snapshot: Snapshot
    key: str
    rows: int
    findings: tuple[Finding, ...]
    rows_failing: int
    rows_kept: int
    judge: str


def render(page: Page) -> bytes:
    """Return the page as UTF-8 HTML; the same judgement gives the same bytes."""
    template = _environment().get_template("validation.html.jinja")
    text = template.render(
        page=page,
        rejected=any(_rank(finding) == 0 for finding in page.findings),
        verdict=verdict([finding.outcome for finding in page.findings]),
        counts=_counts(page.findings),
        findings=sorted(page.findings, key=_rank),
        arguments=_arguments,
    )
    return text.encode()


def verdict(outcomes: Sequence[ExpectationOutcome]) -> str:
    """Return the judgement in one sentence."""
    errors = sum(not o.passed and o.severity == "error" for o in outcomes)
    warnings = sum(not o.passed and o.severity == "warning" for o in outcomes)
    warned = f"{warnings} {'warning' if warnings == 1 else 'warnings'}"
    if errors:
        besides = f", with {warned} besides" if warnings else ""
        return f"Rejected: {errors} of {len(outcomes)} expectations failed as an error{besides}."
    if warnings:
        return f"Accepted with {warned}: nothing that rejects the data failed."
    held = (
        "the one expectation holds" if len(outcomes) == 1 else f"all {len(outcomes)} expectations hold"
    )
    return f"Accepted: {held}."


def _rank(finding: Finding) -> int:
    if finding.outcome.passed:
        return 2
    return 0 if finding.outcome.severity == "error" else 1


def _counts(findings: Sequence[Finding]) -> Mapping[str, int]:
    ranks = [_rank(finding) for finding in findings]
    return {"errors": ranks.count(0), "warnings": ranks.count(1), "passed": ranks.count(2)}


def _arguments(outcome: ExpectationOutcome) -> list[tuple[str, str]]:
    shown = []
    for name, value in outcome.arguments.items():
        if name != "column":
            text = value if isinstance(value, str) else json.dumps(json_value(value), ensure_ascii=False)
            shown.append((name, text))
    return shown


@cache
def _environment() -> jinja2.Environment:
    import jinja2

    def printable(value: Any) -> Any:
        return redact(plain(value, LONGEST_TEXT)) if isinstance(value, str) else value

    return jinja2.Environment(
        loader=jinja2.PackageLoader("evergreen", "templates"),
        autoescape=True,
        finalize=printable,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
