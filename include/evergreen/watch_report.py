"""The report of an alarm: the watch over time, the columns then and now, and Evidently's page.

A check never fails of its report. What cannot be made in `LONGEST_SECONDS` is left out, and said.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from evergreen.errors import bounded
from evergreen.logged_rows import shown
from evergreen.redaction import redact
from evergreen.results import Release, Snapshot, from_json
from evergreen.steps.memory import model_of, need
from evergreen.steps.watch.begin import monitor_of
from evergreen.steps.watch.profile import baseline_of, champion_of
from evergreen.watch_picture import Moment, history_picture
from evergreen.watch_ports import NoPage
from evergreen.watch_questions import past_requests, verdicts
from evergreen.watch_results import Check, Finding, Observation, Profiled, Stored, Verdict
from evergreen.workspace import Workspace

if TYPE_CHECKING:
    import pyarrow as pa

    from evergreen.columns_picture import Change

log = logging.getLogger(__name__)

HISTORY_FILE, COLUMNS_FILE, EVIDENTLY_FILE = "history.png", "columns.png", "evidently.html"
LONGEST_SECONDS = 300.0
MOST_BASELINE_ROWS = 5_000_000
"""A larger snapshot is not read for a page."""


def report(
    workspace: Workspace, check: Check, observation: Observation, verdict: Verdict
) -> tuple[Stored, ...]:
    """Return the files of an alarm's report; those that could not be made are missing.

    Args:
        workspace: Where the check's results are, and where the files go.
        check: The check.
        observation: What it measured.
        verdict: What it came to.
    """
    deadline = time.monotonic() + LONGEST_SECONDS
    makers: Mapping[str, Callable[[], bytes]] = {
        HISTORY_FILE: lambda: _history(workspace, check, verdict),
        COLUMNS_FILE: lambda: _columns(workspace, check, verdict),
        EVIDENTLY_FILE: lambda: _evidently(workspace, check, observation, verdict, deadline),
    }
    folder = f"watch/{model_of(check.run_key)}/reports"
    files = []
    for name, make in makers.items():
        try:
            files.append(workspace.files.put(folder, name, make()))
        except NoPage as exc:
            log.info("the report goes without %s: %s", name, exc)
        except Exception as exc:  # noqa: BLE001 - the verdict counts, whatever this was
            why = redact(bounded(f"{type(exc).__name__}: {exc}", 400))
            log.warning("the report goes without %s: %s", name, why)
    return tuple(files)


def _history(workspace: Workspace, check: Check, verdict: Verdict) -> bytes:
    model = model_of(check.run_key)
    past = [
        one
        for one in verdicts(workspace.ledger, model)
        if one.as_of <= check.as_of and one.run_key != check.run_key
    ]
    title = f"{model}: the watch as of {check.as_of:%Y-%m-%d %H:%M}"
    return history_picture([*past, verdict], title, _moments(workspace, check))


def _moments(workspace: Workspace, check: Check) -> list[Moment]:
    """Return what was asked for and released up to the check; what has one as-of is one moment."""
    model = model_of(check.run_key)
    said = [(past.request.as_of, "retrain asked for") for past in past_requests(workspace.ledger, model)]
    for entry in workspace.ledger.entries(model=model, kind="release"):
        release = from_json(Release, entry.body)
        came = "released" if release.restored is None else "brought back"
        said.append((release.as_of, f"version {release.version.number} {came}"))
    words: dict[object, list[str]] = {}
    for at, what in said:
        if at <= check.as_of and what not in words.setdefault(at, []):
            words[at].append(what)
    return [Moment(at, ", ".join(words[at])) for at in sorted({at for at, _ in said if at in words})]


def _columns(workspace: Workspace, check: Check, verdict: Verdict) -> bytes:
    from evergreen.columns_picture import columns_picture

    changes, then = _changes(workspace, check, verdict)
    if not changes:
        raise NoPage("no column was counted")
    title = f"{_titled(check)} against training"
    return columns_picture(changes, title, then=then)


def _changes(workspace: Workspace, check: Check, verdict: Verdict) -> tuple[list[Change], str]:
    """Return the columns that the verdict speaks of, and which rows they are compared with."""
    from evergreen.columns_picture import Change
    from evergreen.drift.measure import compared_with
    from evergreen.profiles.codec import days_from_bytes
    from evergreen.profiles.layout import Layout
    from evergreen.profiles.profile import merged

    profiled = need(workspace, "profiled", check.run_key, Profiled)
    champion = champion_of(workspace, check)
    baseline = None if champion is None else baseline_of(workspace, champion)
    if baseline is None or profiled.profiles is None:
        raise NoPage("there is no baseline, or no profile")
    both = Layout(baseline.layout.cells + baseline.prediction_layout.cells)
    days = days_from_bytes(workspace.files.get(profiled.profiles), both)
    past, then = baseline.days, "the baseline's rows, in training"
    if profiled.seasonal is not None:
        past = days_from_bytes(workspace.files.get(profiled.seasonal), baseline.layout)
        then = "rows of the same time of earlier years"
    monitor = monitor_of(check.model)
    after = merged(days.values(), both)
    befores = [
        merged((one for _, one in compared_with(each, days, monitor)), layout)
        for each, layout in (
            (past, baseline.layout),
            (baseline.prediction_days, baseline.prediction_layout),
        )
    ]
    counted = {cells.column: (cells, one) for one in befores for cells in one.layout.cells}
    changes = []
    for column, finding in _spoken_of(verdict, counted).items():
        cells, before = counted[column]
        words = finding.words.removeprefix(f"{shown(column)}: ")
        changes.append(Change(cells, before.of(column), after.of(column), words))
    return changes, then


def _spoken_of(verdict: Verdict, known: Mapping[str, object]) -> dict[str, Finding]:
    """Return the verdict's findings by column, the foremost of each."""
    found: dict[str, Finding] = {}
    for finding in verdict.findings:
        if finding.subject in known and finding.value is not None:
            found.setdefault(finding.subject, finding)
    return found


def _evidently(
    workspace: Workspace,
    check: Check,
    observation: Observation,
    verdict: Verdict,
    deadline: float,
) -> bytes:
    if (since := _goes_on_since(workspace, check)) is not None:
        raise NoPage(f"the alarm goes on from {since:%Y-%m-%d %H:%M}, when its page was made")
    features = sorted(observation.features, key=lambda one: -one.importance)
    spoken_of = _spoken_of(verdict, {one.column: one for one in features})
    columns = list(dict.fromkeys([*spoken_of, *(one.column for one in features)]))
    champion = champion_of(workspace, check)
    if champion is None or not columns:
        raise NoPage("there is no champion, or no feature was measured")
    before = _baseline_rows(workspace, check, champion)
    after = _window_rows(workspace, check, champion, columns, deadline)
    left = max(deadline - time.monotonic(), 1.0)
    return workspace.sample_page(before, after, columns, _titled(check), left)


def _goes_on_since(workspace: Workspace, check: Check) -> datetime | None:
    """Return the as-of of the check before, where that alarmed about the same version."""
    past = [
        one
        for one in verdicts(workspace.ledger, model_of(check.run_key))
        if one.as_of < check.as_of and one.version == check.version
    ]
    return past[-1].as_of if past and past[-1].answer == "alarm" else None


def _titled(check: Check) -> str:
    ends = (check.window.start, check.window.end)
    shown = "%Y-%m-%d" if all((end.hour, end.minute) == (0, 0) for end in ends) else "%Y-%m-%d %H:%M"
    start, end = (end.strftime(shown) for end in ends)
    return f"{model_of(check.run_key)}: rows of {start} to {end}"


def _baseline_rows(workspace: Workspace, check: Check, champion: Release) -> pa.Table:
    snapshot = need(workspace, "snapshot", champion.run_key, Snapshot)
    if snapshot.rows > MOST_BASELINE_ROWS:
        raise NoPage(f"the champion's snapshot of {snapshot.rows:,} rows is not read for a page")
    window = champion.candidate.trained_on or snapshot.window
    return workspace.snapshots.read(snapshot, window, check.model.spec.data.time_column)


def _window_rows(
    workspace: Workspace,
    check: Check,
    champion: Release,
    columns: Sequence[str],
    deadline: float,
) -> pa.Table:
    from evergreen.adapters.evidently_report import MOST_ROWS
    from evergreen.row_sample import sample

    logged = workspace.logged_for(check.model, champion.candidate)
    batches = logged.read(check.window, columns, champion.version.number)
    rows = sample(_until(batches, deadline), MOST_ROWS)
    if rows is None:
        raise NoPage("the window has no rows")
    return rows


def _until(batches: Iterator[pa.RecordBatch], deadline: float) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        if time.monotonic() > deadline:
            raise NoPage(f"reading the window's rows took more than {LONGEST_SECONDS:g} s")
        yield batch
