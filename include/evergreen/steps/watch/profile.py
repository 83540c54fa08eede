"""Count the window's rows in the cells of the champion's baseline."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import date, datetime
from typing import TYPE_CHECKING

from dateutil.relativedelta import relativedelta

from evergreen.errors import ArtefactDamaged, DataUnusable, bounded
from evergreen.failpoints import failpoint
from evergreen.redaction import redact
from evergreen.results import PinnedModel, Release
from evergreen.steps.hand import refuse_paused
from evergreen.steps.memory import model_of, need, recall, record
from evergreen.steps.watch.begin import begin, checking, monitor_of
from evergreen.steps.witness import refuse_behind
from evergreen.watch_results import Check, Profiled, Stored
from evergreen.window import Window
from evergreen.workspace import Workspace

if TYPE_CHECKING:
    from evergreen.profiles.baseline import Baseline
    from evergreen.profiles.layout import Layout
    from evergreen.profiles.profile import Profile

log = logging.getLogger(__name__)

PROFILES_FILE = "profiles.json"
SEASON_FILE = "season.json"
SEASONS_BACK = 2


def profile(
    workspace: Workspace, run_key: str, model: PinnedModel, as_of: datetime, reason: str
) -> Profiled:
    """Return the profiles of the check's window, made now or by an earlier try.

    A window without a champion, of a champion without a baseline, or of rows that cannot be read has no
    profiles: `problem` says so.

    Raises:
        ArtefactDamaged: the champion's files cannot be read.
        SourceUnavailable: the rows' source did not answer.
        StoreUnavailable: the store did not take the profiles.
        Paused: a person paused the model or its watch; nothing was begun.
        LedgerBehind: a checkpoint contradicts the ledger; nothing was written.
    """
    refuse_behind(workspace.ledger, workspace.checkpoints)
    refuse_paused(workspace, run_key, "monitor")
    with checking(workspace, run_key, "profile") as lease:
        check = begin(workspace, run_key, model, as_of, reason, lease)
        found = recall(workspace, "profiled", run_key, Profiled)
        if found is not None:
            return found
        profiled = _profiled(workspace, check)
        failpoint("profile.stored")
        record(workspace, "profiled", run_key, profiled, lease)
    log.info("rows=%d days=%d problem=%s", profiled.rows, profiled.days, profiled.problem)
    return profiled


def champion_of(workspace: Workspace, check: Check) -> Release | None:
    """Return the release that the check is about."""
    if check.release_key is None:
        return None
    return need(workspace, "release", check.release_key, Release)


def baseline_of(workspace: Workspace, champion: Release) -> Baseline | None:
    """Return the champion's baseline, or None where it was trained before there were any.

    Raises:
        ArtefactDamaged: its files are not what the ledger recorded.
    """
    from evergreen.profiles.codec import baseline_from_bytes

    content = workspace.scorer.baseline(champion.candidate)
    return None if content is None else baseline_from_bytes(content)


def _profiled(workspace: Workspace, check: Check) -> Profiled:
    from evergreen.profiles.layout import Layout

    champion = champion_of(workspace, check)
    if champion is None:
        what = f"there was no champion yet as of {check.as_of:%Y-%m-%d %H:%M}"
        return Profiled(0, 0, None, problem=what)
    baseline = baseline_of(workspace, champion)
    if baseline is None:
        what = (
            f"version {champion.version.number} has no baseline, for it was trained before models were "
            "watched; the next retrain makes one"
        )
        return Profiled(0, 0, None, problem=what)
    layout = Layout(baseline.layout.cells + baseline.prediction_layout.cells)
    logged = workspace.logged_for(check.model, champion.candidate)
    try:
        own = logged.count(check.window, layout, champion.version.number)
        days = own
        if champion.as_of > check.window.start or not own:
            days = _with_questions_to_others(own, logged.count(check.window, baseline.layout), layout)
    except (ArtefactDamaged, DataUnusable) as exc:
        log.warning("the rows cannot be read: %s", exc)
        return Profiled(0, 0, None, problem=redact(bounded(str(exc), 500)), unreadable=True)
    seasonal = None
    if monitor_of(check.model).season == "months":
        seasonal = _season(workspace, check, baseline)
    return Profiled(
        rows=sum(day.rows for day in own.values()),
        days=len(own),
        profiles=_stored(workspace, check, PROFILES_FILE, days),
        seasonal=seasonal,
    )


def _with_questions_to_others(
    own: Mapping[date, Profile], asked: Mapping[date, Profile], layout: Layout
) -> Mapping[date, Profile]:
    """Return a young champion's days with the features of all rows, whichever version answered them.

    What was asked has nothing to do with who answered, and a few days of a week are no week. Where rows
    of the version before lack a feature, the champion's own have to do.
    """
    from evergreen.profiles.profile import empty, replaced

    known = {name for day in own.values() for name in day.problems}
    if any(set(day.problems) - known for day in asked.values()):
        return own
    return {day: replaced(own.get(day, empty(layout)), profile) for day, profile in asked.items()}


def _season(workspace: Workspace, check: Check, baseline: Baseline) -> Stored | None:
    """Return the profiles of the same time of earlier years, or None where there are no such rows."""
    from evergreen.profiles.count import count_by_day

    time_column = check.model.spec.data.time_column
    source = workspace.source_for(check.model)
    days: dict[date, Profile] = {}
    for years in range(1, SEASONS_BACK + 1):
        back = relativedelta(years=years)
        window = Window(check.window.start - back, check.window.end - back)
        try:
            days |= count_by_day(source.read(window), baseline.layout, time_column)
        except DataUnusable as exc:
            log.warning("no season of %s: %s", window, exc)
    return _stored(workspace, check, SEASON_FILE, days) if days else None


def _stored(workspace: Workspace, check: Check, name: str, days: Mapping[date, Profile]) -> Stored:
    from evergreen.profiles.codec import days_to_bytes

    folder = f"watch/{model_of(check.run_key)}/profiles"
    return workspace.files.put(folder, name, days_to_bytes(days))
