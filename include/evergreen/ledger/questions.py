"""What people ask the ledger: what happened to a model, and who was champion when, on what evidence.

Pure functions over entries: any `ports.Ledger` will do, and nothing is written.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

from evergreen.entry_keys import entry_key, run_key_of
from evergreen.ports import Entry, Ledger
from evergreen.results import (
    Comparison,
    Outcome,
    Release,
    Retrain,
    RunReport,
    StepFailure,
    Version,
    from_json,
)

By = Literal["recorded", "data"]


@dataclass(frozen=True, slots=True)
class PastRun:
    """One run of a model. `decision` is "unfinished" until the run's report was recorded.

    `as_of` is None where the run failed before it had one.
    """

    run_key: str
    as_of: datetime | None
    reason: str
    started_at: datetime
    finished_at: datetime | None = None
    champion_before: int | None = None
    challenger: int | None = None
    decision: Outcome | Literal["unfinished"] = "unfinished"
    summary: str = ""
    comparison: Comparison | None = None
    failure: StepFailure | None = None


@dataclass(frozen=True, slots=True)
class ChampionThen:
    """A release that was champion at an instant, and the entries that it rests on.

    An entry is None only where the ledger holds no such entry of the release's run.
    """

    release: Release
    entry: Entry
    run_started: Entry | None
    snapshot: Entry | None
    validation: Entry | None
    candidate: Entry | None
    comparison: Entry | None


def history(ledger: Ledger, model: str) -> list[PastRun]:
    """Return a model's runs in the order in which they began; none for a model never run."""
    runs: dict[str, PastRun] = {}
    for entry in ledger.entries(model=model):
        run_key = run_key_of(entry.key)
        if entry.kind in _OF_EVERY_RUN:
            runs.setdefault(run_key, PastRun(run_key, None, "", started_at=entry.at))
        if run_key in runs:
            runs[run_key] = _learned(runs[run_key], entry)
    return list(runs.values())


_OF_EVERY_RUN = frozenset({"run_started", "step_failed", "run_finished"})


def as_of(ledger: Ledger, model: str, instant: datetime, by: By = "recorded") -> ChampionThen | None:
    """Return who was champion at an instant, on what evidence; None where nobody was.

    Args:
        ledger: The ledger.
        model: The model's name.
        instant: With a time zone.
        by: `recorded` asks which release the ledger had recorded by then; `data` asks which release
            was decided on data up to then, however much later it was made (a backfill).

    Raises:
        ValueError: an instant without a time zone.
    """
    entry = _release_at(ledger, model, instant, by)
    if entry is None:
        return None
    release = from_json(Release, entry.body)

    def evidence(kind: str) -> Entry | None:
        return _newest(ledger, kind, release.run_key, before_seq=entry.seq)

    return ChampionThen(
        release,
        entry,
        run_started=evidence("run_started"),
        snapshot=evidence("snapshot"),
        validation=evidence("validation"),
        candidate=evidence("candidate"),
        comparison=evidence("comparison"),
    )


def _release_at(ledger: Ledger, model: str, instant: datetime, by: By) -> Entry | None:
    if instant.utcoffset() is None:
        raise ValueError(f"an instant must carry a time zone: {instant!r}")
    if by == "recorded":
        return ledger.last(model, "release", before=instant + timedelta(microseconds=1))
    found = None
    for entry in ledger.entries(model=model, kind="release"):
        if from_json(Release, entry.body).as_of <= instant:
            found = entry
    return found


def _newest(ledger: Ledger, kind: str, run_key: str, before_seq: int) -> Entry | None:
    """Return the run's newest entry of a kind before a seq."""
    newest, number = None, 1
    entry = ledger.find(entry_key(kind, run_key))
    while entry is not None and entry.seq < before_seq:
        newest, number = entry, number + 1
        entry = ledger.find(entry_key(kind, run_key, number))
    return newest


def _learned(run: PastRun, entry: Entry) -> PastRun:
    """Return what is known of a run once this entry of it was read."""
    match entry.kind:
        case "run_started":
            retrain = from_json(Retrain, entry.body)
            return replace(run, as_of=retrain.windows.as_of, reason=retrain.reason)
        case "comparison":
            comparison = from_json(Comparison, entry.body)
            return replace(run, comparison=comparison, champion_before=comparison.champion_version)
        case "version":
            return replace(run, challenger=from_json(Version, entry.body).number)
        case "step_failed":
            return replace(run, failure=from_json(StepFailure, entry.body))
        case "run_finished":
            report = from_json(RunReport, entry.body)
            return replace(
                run,
                finished_at=entry.at,
                champion_before=report.champion_before,
                challenger=report.challenger,
                decision=report.outcome,
                summary=report.summary,
            )
    return run
