"""What a retrain and a scoring tell people: how they ended, and why they began."""

from __future__ import annotations

from collections.abc import Sequence

from evergreen.alert_spec import EventName, Severity
from evergreen.alerts.context import Context, lines_of, shown
from evergreen.alerts.event import Event
from evergreen.alerts.reconcile_events import ENDED_BY_A_RELEASE
from evergreen.ports import Entry
from evergreen.results import Retrain, RunReport, from_json
from evergreen.watch_results import Scored

BY_THE_WATCH = "request of the watch: "
_QUOTING = ("error: ", "warning: ")
"""How lines begin that say what an expectation observed."""
_MENDED = ("retrain", "stale")
_RENEWED = (*_MENDED, "watch", "held", *ENDED_BY_A_RELEASE)


def finished(entry: Entry, context: Context) -> Event | None:
    """Return what the end of a retrain tells."""
    report = from_json(RunReport, entry.body)
    match report.outcome:
        case "promoted":
            undo = f'evergreen rollback {report.model} --why "…"'
            return _ended(entry, report, context, "promoted", undo, closes=_RENEWED)
        case "kept" | "registered":
            name: EventName = "inconclusive" if context.undecided else "kept"
            return _ended(entry, report, context, name, f"evergreen explain {report.model}", _MENDED)
        case "rejected":
            return _rejected(entry, report)
        case "failed":
            return _failed(entry, report, context)
    return None


def started(entry: Entry, _: Context) -> Event | None:
    """Return that the watch started a retrain, and why."""
    retrain = from_json(Retrain, entry.body)
    if BY_THE_WATCH not in retrain.reason:
        return None
    as_of = retrain.windows.as_of
    return Event(
        key=_key("retrain_started", entry),
        name="retrain_started",
        model=entry.model,
        at=entry.at,
        severity="low",
        headline=f"{entry.model}: a retrain as of {as_of:%Y-%m-%d %H:%M} UTC began, for the watch asked "
        "for it.",
        lines=lines_of(
            [
                f"Why: {retrain.reason}",
                f"It trains on {retrain.windows.train} and is tested on {retrain.windows.test}.",
            ]
        ),
        run_key=retrain.run_key,
        as_of=as_of,
        command=f"evergreen history {entry.model}",
    )


def scored(entry: Entry, _: Context) -> Event:
    """Return that a scoring came to its end: it ends the incident of those that failed."""
    one = from_json(Scored, entry.body)
    return Event(
        key=_key("scored", entry),
        name="recovered",
        model=entry.model,
        at=entry.at,
        severity="low",
        headline=f"{entry.model}: {one.rows:,} rows of {one.window} were scored.",
        closes=("score",),
        run_key=one.run_key,
    )


def _ended(
    entry: Entry,
    report: RunReport,
    context: Context,
    name: EventName,
    command: str,
    closes: tuple[str, ...],
) -> Event:
    lines, values = _apart(report.lines, context)
    headline = report.summary
    if context.quotes(headline):
        headline = headline.partition(" (")[0]
    return _event(entry, report, name, "low", headline, lines, values, command=command, closes=closes)


def _rejected(entry: Entry, report: RunReport) -> Event:
    lines, values = _apart(report.lines, Context())
    return _event(
        entry,
        report,
        "data_rejected",
        "medium",
        f"{report.model}: the data{_as_of(report)} was rejected, so nothing was trained.",
        [*lines, "What served before still serves."],
        values,
        command=f"evergreen explain {report.model}",
        cause="retrain",
        signature=f"data_rejected/{report.lines[-1] if report.lines else ''}",
    )


def _failed(entry: Entry, report: RunReport, context: Context) -> Event:
    *before, reason = report.lines or ("nothing was written down",)
    lines, values = _apart(before, context)
    brief, whole = without_values(reason)
    step = reason.partition(":")[0] if ": " in reason else ""
    at = f" at {step}" if step.isidentifier() else ""
    severity: Severity = "high" if context.tier == "high" else "medium"
    return _event(
        entry,
        report,
        "failed",
        severity,
        f"{report.model}: the retrain{_as_of(report)} failed{at}.",
        [
            brief,
            *lines,
            "What served before still serves. Once the cause is mended, clear the failed task.",
        ],
        [*whole, *values],
        command=f"evergreen explain {report.model}",
        cause="retrain",
        signature=f"failed/{':'.join(reason.split(': ')[:2]) if at else 'retrain'}",
    )


def _event(
    entry: Entry,
    report: RunReport,
    name: EventName,
    severity: Severity,
    headline: str,
    lines: Sequence[str],
    values: Sequence[str],
    *,
    command: str,
    cause: str | None = None,
    closes: tuple[str, ...] = (),
    signature: str = "",
) -> Event:
    return Event(
        key=_key(name, entry),
        name=name,
        model=report.model,
        at=entry.at,
        severity=severity,
        headline=shown(headline),
        lines=lines_of(lines),
        values=lines_of(values),
        cause=cause,
        closes=(*closes, f"approval/{report.run_key}"),
        signature=shown(signature),
        run_key=report.run_key,
        as_of=report.as_of,
        command=command,
    )


def _apart(lines: Sequence[str], context: Context) -> tuple[list[str], list[str]]:
    """Return the lines that say what Evergreen found, and those that quote the data."""
    values = [line for line in lines if line.startswith(_QUOTING) or context.quotes(line)]
    return [line for line in lines if line not in values], values


def without_values(reason: str) -> tuple[str, list[str]]:
    """Return a failure's reason without what was found in the data, and the whole where that differs."""
    if ": DataUnusable: " not in reason:
        return reason, []
    brief = reason.partition("; got ")[0]
    return brief, [] if brief == reason else [reason]


def _as_of(report: RunReport) -> str:
    return f" as of {report.as_of:%Y-%m-%d %H:%M} UTC" if report.as_of else ""


def _key(name: str, entry: Entry) -> str:
    return name + entry.key.removeprefix(entry.kind)
