"""Measure how far the window lies from the baseline, what the champion loses, and how the data is."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

from evergreen.cron import times_a_year
from evergreen.errors import ArtefactDamaged, DataUnusable, bounded
from evergreen.failpoints import failpoint
from evergreen.monitor_spec import Level, Monitor
from evergreen.rates import DAYS_A_YEAR
from evergreen.redaction import redact
from evergreen.results import Release
from evergreen.steps.memory import need, recall, record
from evergreen.steps.watch.begin import checking, monitor_of
from evergreen.steps.watch.profile import baseline_of, champion_of
from evergreen.watch_ports import LoggedRows
from evergreen.watch_results import Check, HealthFinding, LossSeries, Observation, Profiled
from evergreen.window import Window
from evergreen.workspace import Workspace

if TYPE_CHECKING:
    from evergreen.profiles.baseline import Baseline
    from evergreen.profiles.layout import Layout
    from evergreen.profiles.profile import Profile

log = logging.getLogger(__name__)

LOOK_AHEAD = timedelta(days=366)
LEVELS: tuple[Level, ...] = ("health", "loss", "estimated_loss", "prediction", "features")


def measure(workspace: Workspace, run_key: str) -> Observation:
    """Return what the check measured, now or by an earlier try.

    A level that cannot be measured is named in `problems`, with the reason; the others still are.

    Raises:
        ArtefactDamaged: profiles or the champion's files are not what was recorded.
        SourceUnavailable: the labels' source did not answer.
    """
    found = recall(workspace, "observed", run_key, Observation)
    if found is not None:
        return found
    check = need(workspace, "check_started", run_key, Check)
    profiled = need(workspace, "profiled", run_key, Profiled)
    with checking(workspace, run_key, "measure") as lease:
        champion = champion_of(workspace, check)
        baseline = None if champion is None else baseline_of(workspace, champion)
        if champion is None or baseline is None or profiled.profiles is None:
            observation = _nothing(check, profiled)
        else:
            observation = _observed(workspace, check, profiled, champion, baseline)
        failpoint("measure.measured")
        record(workspace, "observed", run_key, observation, lease)
    log.info("rows=%d features=%d", observation.rows, len(observation.features))
    return observation


def _nothing(check: Check, profiled: Profiled) -> Observation:
    why = profiled.problem or "the champion has no baseline"
    yearly, overlap = _pace(monitor_of(check.model), check.window)
    return Observation(
        run_key=check.run_key,
        as_of=check.as_of,
        window=check.window,
        version=check.version,
        rows=profiled.rows,
        rows_a_day=0.0,
        checks_a_year=yearly,
        overlap=overlap,
        health=_unreadable(profiled),
        problems=tuple((level, why) for level in LEVELS if level != "health" or not profiled.unreadable),
    )


def _unreadable(profiled: Profiled) -> tuple[HealthFinding, ...]:
    """Return what is broken where the window's rows cannot be read at all."""
    if not profiled.unreadable:
        return ()
    words = f"the window's rows cannot be read: {profiled.problem}"
    return (HealthFinding("unreadable", "rows", 1.0, 0.0, words),)


def _observed(
    workspace: Workspace, check: Check, profiled: Profiled, champion: Release, baseline: Baseline
) -> Observation:
    from evergreen.drift.health import health
    from evergreen.drift.measure import measure_columns
    from evergreen.profiles.codec import days_from_bytes
    from evergreen.profiles.layout import Layout
    from evergreen.profiles.profile import restricted

    if profiled.profiles is None:
        raise AssertionError("asked only of a window with profiles")
    monitor, data, candidate = monitor_of(check.model), check.model.spec.data, champion.candidate
    logged = workspace.logged_for(check.model, candidate)
    both = Layout(baseline.layout.cells + baseline.prediction_layout.cells)
    days = days_from_bytes(workspace.files.get(profiled.profiles), both)
    features = {day: restricted(one, baseline.layout) for day, one in days.items()}
    answers = {day: restricted(one, baseline.prediction_layout) for day, one in days.items()}
    past = baseline.days
    notes: tuple[str, ...] = ()
    if profiled.seasonal is not None:
        past = days_from_bytes(workspace.files.get(profiled.seasonal), baseline.layout)
        notes = ("features are compared with the same time of earlier years",)
    elif monitor.season == "months":
        notes = ("there are no rows of the same time of earlier years: compared with the baseline",)
    realised, estimated, problems = _losses(workspace, check, champion, baseline)
    yearly, overlap = _pace(monitor, check.window)
    length = (check.window.end - check.window.start) / timedelta(days=1)
    return Observation(
        run_key=check.run_key,
        as_of=check.as_of,
        window=check.window,
        version=check.version,
        rows=profiled.rows,
        rows_a_day=profiled.rows / length,
        checks_a_year=yearly,
        overlap=overlap,
        features=measure_columns(baseline.layout, past, features, monitor, baseline.importance),
        predictions=measure_columns(
            baseline.prediction_layout, baseline.prediction_days, answers, monitor, {}
        ),
        loss=realised,
        estimated=estimated,
        health=health(
            baseline,
            features,
            logged.newest(check.as_of),
            check.as_of,
            check.window,
            monitor,
            apart=(data.key, data.time_column, data.label.column),
            ahead=_ahead(logged, check, baseline.layout, workspace.now()),
        ),
        problems=problems,
        notes=notes,
    )


def _losses(
    workspace: Workspace, check: Check, champion: Release, baseline: Baseline
) -> tuple[LossSeries | None, LossSeries | None, tuple[tuple[Level, str], ...]]:
    """Return the losses; where rows or labels of any day are broken, why they cannot be told."""
    from evergreen.steps.watch.losses import losses

    try:
        return losses(workspace, check, champion, baseline)
    except (ArtefactDamaged, DataUnusable) as exc:
        log.warning("the loss cannot be measured: %s", exc)
        why = redact(bounded(str(exc), 500))
        return None, None, (("loss", why), ("estimated_loss", why))


def _ahead(logged: LoggedRows, check: Check, layout: Layout, now: datetime) -> Mapping[date, Profile]:
    """Return the profiles of rows whose time has not come yet, which only a check of now can tell."""
    length = check.window.end - check.window.start
    return {} if check.as_of + length < now else logged.count(Window(now, now + LOOK_AHEAD), layout)


def _pace(monitor: Monitor, window: Window) -> tuple[float, float]:
    """Return how many checks there are a year, and the window's length over the time between checks.

    Without a schedule the checks are taken to follow one another without a gap.
    """
    length = (window.end - window.start) / timedelta(days=1)
    if monitor.schedule is None:
        return DAYS_A_YEAR / length, 1.0
    yearly = times_a_year(monitor.schedule)
    return yearly, length * yearly / DAYS_A_YEAR
