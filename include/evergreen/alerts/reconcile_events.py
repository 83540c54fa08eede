"""What a pass over all models tells people: what it put right, and what it cannot."""

from __future__ import annotations

from evergreen.alert_spec import EventName, Severity
from evergreen.alerts.context import Context, lines_of, shown
from evergreen.alerts.event import Event
from evergreen.ports import Entry
from evergreen.reconcile_results import Finding
from evergreen.results import from_json
from evergreen.watch_results import RequestClosed

WORTH_A_WORD = frozenset({"unfinished_release", "astray_target", "astray_champion"})
"""What is told though it was mended; of the rest the entries tell that it brings about."""
ENDED_BY_A_RELEASE = ("lost_version", "unknown_champion")
"""Causes of incidents that are over once another version serves, or a pass finds them so no more."""


def reconciled(entry: Entry, _: Context) -> Event:
    """Return what was mended, or what a person must see to.

    What is mended ends the incident of an earlier pass that could not mend it; what was told and is
    so no more ends its own.
    """
    finding = from_json(Finding, entry.body)
    if not finding.mends:
        return _stuck(entry, finding)
    told = finding.kind in WORTH_A_WORD
    over = finding.kind in (*ENDED_BY_A_RELEASE, "unmended")
    name: EventName = "reconciled" if told else "recovered"
    return Event(
        key=entry.key,
        name=name,
        model=entry.model,
        at=entry.at,
        severity="medium" if told else "low",
        headline=shown(f"{entry.model}: {finding.does}, for {finding.words}."),
        lines=lines_of(_how_to_go_on(finding)),
        closes=(_cause(finding) if over else f"stuck/{finding.kind}/{finding.refers_to}",),
        command=finding.command,
    )


def request_closed(entry: Entry, _: Context) -> Event:
    """Return that a request came to its end: it ends the incident of one that was stuck."""
    closed = from_json(RequestClosed, entry.body)
    return Event(
        key=entry.key,
        name="recovered",
        model=entry.model,
        at=entry.at,
        severity="low",
        headline=shown(f"{entry.model}: the request {closed.key} was closed: {closed.outcome}."),
        closes=(f"stuck/{closed.key}",),
        run_key=closed.run_key,
    )


def _stuck(entry: Entry, finding: Finding) -> Event:
    waits = finding.kind == "stuck_request"
    severity: Severity = "medium" if waits else "high"
    return Event(
        key=entry.key,
        name="stuck",
        model=entry.model,
        at=entry.at,
        severity=severity,
        headline=shown(f"{entry.model}: {finding.words}."),
        lines=lines_of([f"What to do: {finding.does}."]),
        cause=_cause(finding),
        signature=finding.refers_to,
        command=finding.command,
    )


def _cause(finding: Finding) -> str:
    whole = finding.kind in ENDED_BY_A_RELEASE
    return finding.kind if whole else f"stuck/{finding.refers_to}"


def _how_to_go_on(finding: Finding) -> list[str]:
    if finding.kind != "astray_champion":
        return []
    return [
        "The ledger decides who serves. Whoever wants another version makes it champion there, by "
        "evergreen rollback or by a retrain."
    ]
