"""What people ask the ledger: what happened to a model, and who was champion when, on what evidence.

Pure functions over entries: any `ports.Ledger` will do, and nothing is written.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal, get_args

from evergreen.approval_questions import answer_key
from evergreen.approval_results import Answered, Asked
from evergreen.comparison import Comparison
from evergreen.entry_keys import entry_key, run_key_of
from evergreen.ports import Duty, Entry, Ledger
from evergreen.reconcile_results import Finding
from evergreen.results import (
    GivenUp,
    Outcome,
    Refit,
    Release,
    Retrain,
    RunReport,
    StepFailure,
    Version,
    Withheld,
    from_json,
)

By = Literal["recorded", "data"]


@dataclass(frozen=True, slots=True)
class PastRun:
    """One run of a model, a rollback, or what a pass over all models mended or told.

    `decision` is "unfinished" until the run's report was recorded.
    `as_of` is None where the run failed before it had one. `asked` is its newest question to people,
    `answered` the answer to that.
    """

    run_key: str
    as_of: datetime | None
    reason: str
    started_at: datetime
    finished_at: datetime | None = None
    champion_before: int | None = None
    challenger: int | None = None
    decision: Outcome | Literal["unfinished", "rolled back", "reconciled", "stuck"] = "unfinished"
    summary: str = ""
    comparison: Comparison | None = None
    refit: Refit | None = None
    failure: StepFailure | None = None
    withheld: str | None = None
    asked: Asked | None = None
    answered: Answered | None = None


@dataclass(frozen=True, slots=True)
class ChampionThen:
    """A release that was champion at an instant, and the entries that it rests on.

    Those of a version that a person brought back are of the run that made it.
    An entry is None only where the ledger holds no such entry of the release's run. `approval` is the
    answer of the people who had to agree.
    """

    release: Release
    entry: Entry
    run_started: Entry | None
    snapshot: Entry | None
    validation: Entry | None
    candidate: Entry | None
    comparison: Entry | None
    refit: Entry | None = None
    approval: Entry | None = None


@dataclass(frozen=True, slots=True)
class Reasoning:
    """What was live at an instant, and the newest comparison by then with what came of it.

    `comparison` is None where no run had compared anything; `release` and `run_finished` are those of
    the comparison's run, None where it released nothing or has not ended. `asked` is its newest question
    to people, `approval` the answer to that; `withheld` says that a pin or a pause kept it from being
    released.
    """

    model: str
    live: Entry | None
    comparison: Entry | None
    run_started: Entry | None = None
    refit: Entry | None = None
    release: Entry | None = None
    run_finished: Entry | None = None
    asked: Entry | None = None
    approval: Entry | None = None
    withheld: Entry | None = None


def history(ledger: Ledger, model: str) -> list[PastRun]:
    """Return a model's retrains, rollbacks and what was put right, in the order in which they began."""
    runs: dict[str, PastRun] = {}
    others = tuple(f"{model}/{duty}/" for duty in get_args(Duty) if duty != "retrain")
    by_hand = f"{model}/hand/"
    for entry in ledger.entries(model=model):
        if entry.kind == "reconciled":
            runs[entry.key] = _reconciled(entry)
            continue
        run_key = run_key_of(entry.key)
        begins = entry.kind in _OF_EVERY_RUN and not run_key.startswith(others)
        if begins or (entry.kind == "release_intended" and run_key.startswith(by_hand)):
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
        return _newest(ledger, kind, release.made_by, before_seq=entry.seq)

    return ChampionThen(
        release,
        entry,
        run_started=evidence("run_started"),
        snapshot=evidence("snapshot"),
        validation=evidence("validation"),
        candidate=evidence("candidate"),
        comparison=evidence("comparison"),
        refit=evidence("refit"),
        approval=_answer_to(ledger, evidence("approval_asked"), just_after(entry.at)),
    )


def reasoning(
    ledger: Ledger, model: str, instant: datetime | None = None, run_key: str | None = None
) -> Reasoning:
    """Return what was live at an instant and how the newest comparison by then came out.

    Args:
        ledger: The ledger.
        model: The model's name.
        instant: With a time zone: what the ledger had recorded by then; None: all of it.
        run_key: The run whose comparison is asked for; None: the newest of any run.

    Raises:
        ValueError: an instant without a time zone.
    """
    before = None if instant is None else just_after(instant)
    live = ledger.last(model, "release", before=before)
    newest: dict[str, Entry] = {}
    if run_key is None:
        compared = ledger.last(model, "comparison", before=before)
        run_key = run_key_of(compared.key) if compared else None
    if run_key is not None:
        for entry in ledger.entries(model=model, before=before):
            if run_key_of(entry.key) == run_key:
                newest[entry.kind] = entry
    return Reasoning(
        model,
        live,
        newest.get("comparison"),
        newest.get("run_started"),
        newest.get("refit"),
        newest.get("release"),
        newest.get("run_finished"),
        newest.get("approval_asked"),
        _answer_to(ledger, newest.get("approval_asked"), before),
        _unless_followed(newest.get("release_withheld"), newest),
    )


def _unless_followed(withheld: Entry | None, newest: Mapping[str, Entry]) -> Entry | None:
    """Return the entry, unless its run was cleared since and went on to ask or to compare again."""
    later = (newest[kind].seq for kind in ("comparison", "approval_asked") if kind in newest)
    return None if withheld is None or max(later, default=0) > withheld.seq else withheld


def _release_at(ledger: Ledger, model: str, instant: datetime, by: By) -> Entry | None:
    before = just_after(instant)
    if by == "recorded":
        return ledger.last(model, "release", before=before)
    found = None
    for entry in ledger.entries(model=model, kind="release"):
        if from_json(Release, entry.body).as_of <= instant:
            found = entry
    return found


def just_after(instant: datetime) -> datetime:
    """Return the first instant at which what happened at another has happened.

    Raises:
        ValueError: an instant without a time zone.
    """
    if instant.utcoffset() is None:
        raise ValueError(f"an instant must carry a time zone: {instant!r}")
    return instant + timedelta(microseconds=1)


def _answer_to(ledger: Ledger, question: Entry | None, before: datetime | None) -> Entry | None:
    """Return the answer to a question, as far as there was one by then."""
    found = None if question is None else ledger.find(answer_key(from_json(Asked, question.body)))
    return found if found is None or before is None or found.at < before else None


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
            return replace(
                run,
                comparison=comparison,
                champion_before=comparison.champion_version,
                withheld=None,
            )
        case "release_intended" | "release":
            return _rolled_back(run, entry)
        case "release_withheld":
            return replace(run, withheld=from_json(Withheld, entry.body).why)
        case "release_given_up":
            why = from_json(GivenUp, entry.body).why
            summary = f"{entry.model}: its release was given up: {why}"
            return replace(run, finished_at=entry.at, decision="failed", summary=summary)
        case "refit":
            return replace(run, refit=from_json(Refit, entry.body))
        case "version":
            return replace(run, challenger=from_json(Version, entry.body).number)
        case "approval_asked":
            return replace(run, asked=from_json(Asked, entry.body), answered=None)
        case "approval_answered":
            answered = from_json(Answered, entry.body)
            stands = run.asked is not None and run.asked.number == answered.number
            return replace(run, answered=answered) if stands else run
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


def _reconciled(entry: Entry) -> PastRun:
    """Return what a pass found, and mended or told."""
    finding = from_json(Finding, entry.body)
    return PastRun(
        run_key_of(entry.key),
        None,
        finding.words,
        started_at=entry.at,
        finished_at=entry.at,
        decision="reconciled" if finding.mends else "stuck",
        summary=f"{entry.model}: {finding.does}, for {finding.words}",
    )


def _rolled_back(run: PastRun, entry: Entry) -> PastRun:
    """Return a rollback as far as it has come; of a retrain its report tells."""
    release = from_json(Release, entry.body)
    if release.restored is None:
        return run
    deed, number, done = release.restored.deed, release.version.number, entry.kind == "release"
    return replace(
        run,
        as_of=release.as_of,
        reason=deed.why,
        champion_before=release.previous,
        challenger=number,
        finished_at=entry.at if done else None,
        decision="rolled back" if done else "unfinished",
        summary=f"{release.name}: rolled back to version {number} by {deed.who}: {deed.why}",
    )
