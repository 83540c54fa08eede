"""What the ledger says that a run came to and why, in words; writes nothing."""

from __future__ import annotations

from evergreen.approval import lets_release
from evergreen.approval_questions import all_of, standing, waits
from evergreen.approval_results import Answered, Asked
from evergreen.approval_words import of_answer, of_question, short_answer
from evergreen.comparison import Comparison
from evergreen.evidence.headline import reason
from evergreen.evidence.words import refitted, sentences
from evergreen.redaction import redact
from evergreen.results import (
    Candidate,
    ExpectationOutcome,
    GivenUp,
    Outcome,
    Refit,
    Release,
    Retrain,
    RunReport,
    Snapshot,
    StepFailure,
    ValidationReport,
    Version,
    from_json,
)
from evergreen.steps.hand import withheld
from evergreen.steps.memory import last_entry, model_of, recall
from evergreen.workspace import Workspace


def summarise(workspace: Workspace, run_key: str, failure: str | None = None) -> RunReport:
    """Return what the ledger says of a run, finished or not."""
    retrain = recall(workspace, "run_started", run_key, Retrain)
    if retrain is None and failure is None:
        skipped = _skipped(workspace, run_key)
        if skipped is not None:
            return skipped
    comparison = recall(workspace, "comparison", run_key, Comparison)
    version = recall(workspace, "version", run_key, Version)
    outcome = _outcome(workspace, run_key, failure)
    lines = tuple(_lines(workspace, run_key, failure))
    headline = {
        "promoted": f"{_open_question(comparison)}promoted version {version.number if version else '?'}",
        "registered": f"registered version {version.number if version else '?'}, not released as asked",
        "kept": _kept(comparison),
        "rejected": "data rejected, nothing trained",
        "failed": "failed",
        "skipped": "skipped",
        "waiting": f"version {version.number if version else '?'} waits for a person's approval",
    }[outcome]
    when = f" as of {retrain.windows.as_of:%Y-%m-%d %H:%M}" if retrain else ""
    return RunReport(
        run_key=run_key,
        model=model_of(run_key),
        as_of=retrain.windows.as_of if retrain else None,
        outcome=outcome,
        champion_before=comparison.champion_version if comparison else None,
        challenger=version.number if version else None,
        summary=f"{model_of(run_key)}{when}: {headline} ({_why(workspace, run_key, outcome, lines)})",
        lines=lines,
    )


def _skipped(workspace: Workspace, run_key: str) -> RunReport | None:
    """Return the report of a run that found nothing to do, unless a later try of it did or failed."""
    ended = last_entry(workspace, "run_finished", run_key)
    if ended is None:
        return None
    report = from_json(RunReport, ended.body)
    later = (last_entry(workspace, kind, run_key) for kind in ("step_failed", "request_taken"))
    stands = all(one is None or one.seq < ended.seq for one in later)
    return report if report.outcome == "skipped" and stands else None


def _why(workspace: Workspace, run_key: str, outcome: Outcome, lines: tuple[str, ...]) -> str:
    """Return the foremost reason of an outcome."""
    comparison = recall(workspace, "comparison", run_key, Comparison)
    if comparison is None or outcome in {"rejected", "failed"}:
        return lines[-1] if lines else "no step wrote anything"
    if outcome == "waiting":
        return lines[-1]
    by_hand = withheld(workspace, run_key)
    if outcome == "kept" and by_hand is not None:
        return by_hand
    refused = _refused(workspace, run_key)
    if outcome == "kept" and refused is not None:
        return short_answer(refused)
    refit = recall(workspace, "refit", run_key, Refit)
    return refit.words if refit and not refit.accepted else reason(comparison)


def _refused(workspace: Workspace, run_key: str) -> Answered | None:
    """Return the answer of a person, or of their silence, that keeps the champion."""
    told = standing(workspace.ledger, run_key)
    if told is None or told.answered is None or lets_release(told.asked, told.answered):
        return None
    return told.answered


def _asked(workspace: Workspace, run_key: str) -> Asked | None:
    return waits(workspace.ledger, run_key, workspace.now())


def _kept(comparison: Comparison | None) -> str:
    champion = comparison.champion_version if comparison else None
    kept = (
        "released nothing, there is no champion yet" if champion is None else f"kept version {champion}"
    )
    return f"{_open_question(comparison)}{kept}"


def _open_question(comparison: Comparison | None) -> str:
    return "inconclusive, " if comparison and comparison.decision == "inconclusive" else ""


def _outcome(workspace: Workspace, run_key: str, failure: str | None) -> Outcome:
    if recall(workspace, "release", run_key, Release) is not None:
        return "promoted"
    validation = recall(workspace, "validation", run_key, ValidationReport)
    if validation is not None and not validation.passed:
        return "rejected"
    retrain = recall(workspace, "run_started", run_key, Retrain)
    comparison = recall(workspace, "comparison", run_key, Comparison)
    if failure is not None or retrain is None or comparison is None:
        return "failed"
    refit = recall(workspace, "refit", run_key, Refit)
    if not comparison.promote or (refit is not None and not refit.accepted):
        return "kept"
    if retrain.release == "never" and recall(workspace, "version", run_key, Version) is not None:
        return "registered"
    if withheld(workspace, run_key) is not None:
        return "kept"
    if _refused(workspace, run_key) is not None:
        return "kept"
    return "failed" if _asked(workspace, run_key) is None else "waiting"


def _lines(workspace: Workspace, run_key: str, failure: str | None) -> list[str]:
    """Return a sentence or more for each thing that is known; a failure's reason comes last."""
    lines: list[str] = []
    retrain = recall(workspace, "run_started", run_key, Retrain)
    if retrain is not None and last_entry(workspace, "request_taken", run_key) is not None:
        lines.append(f"why: {retrain.reason}")
    snapshot = recall(workspace, "snapshot", run_key, Snapshot)
    if snapshot is not None:
        lines.append(f"snapshot {snapshot.digest[:12]}: {snapshot.rows:,} rows of {snapshot.window}")
    validation = recall(workspace, "validation", run_key, ValidationReport)
    candidate = recall(workspace, "candidate", run_key, Candidate)
    comparison = recall(workspace, "comparison", run_key, Comparison)
    if validation is not None:
        lines += [f"warning: {_broken(o)}" for o in validation.warnings]
        lines += [f"error: {_broken(o)}" for o in validation.errors]
        if validation.report_uri and not (validation.passed and not validation.warnings):
            lines.append(f"validation report: {validation.report_uri}")
    if candidate is not None:
        lines.append(
            f"trained on {candidate.rows_trained:,} rows, tested on {candidate.rows_tested:,} "
            f"(MLflow run {candidate.run_id})"
        )
        lines += [f"warning: {warning}" for warning in candidate.warnings]
    if comparison is not None:
        lines += sentences(comparison)
    refit = recall(workspace, "refit", run_key, Refit)
    if refit is not None:
        lines += refitted(refit)
    by_hand = withheld(workspace, run_key)
    if by_hand is not None:
        lines.append(f"not released: {by_hand}")
    # One that was asked anew before it was answered is void and says nothing.
    lines += [of_answer(told) for told in all_of(workspace.ledger, run_key) if told.answered]
    outcome = _outcome(workspace, run_key, failure)
    waiting = _asked(workspace, run_key) if outcome == "waiting" else None
    if waiting is not None:
        lines.append(of_question(waiting))
    if validation is not None and not validation.passed:
        count = len(validation.errors)
        failed = ", ".join(map(_named, validation.errors[:5]))
        lines.append(f"{count} {'expectation' if count == 1 else 'expectations'} failed: {failed}")
    elif outcome == "failed":
        lines.append(_why_failed(workspace, run_key, failure))
    return lines


RESULT_OF = {
    "resolve_window": "run_started",
    "ingest": "snapshot",
    "validate": "validation",
    "train": "candidate",
    "evaluate": "comparison",
    "refit": "refit",
    "register": "version",
    "approve": "approval_asked",
    "release": "release",
}
"""The kind of entry that each step ends with."""


def _unmended(workspace: Workspace, run_key: str) -> StepFailure | None:
    """Return the last failure that was written down, unless a later try of that step succeeded."""
    noted = last_entry(workspace, "step_failed", run_key)
    if noted is None:
        return None
    failure = from_json(StepFailure, noted.body)
    result = last_entry(workspace, RESULT_OF[failure.step], run_key)
    return failure if result is None or result.seq < noted.seq else None


def _why_failed(workspace: Workspace, run_key: str, failure: str | None) -> str:
    given_up = recall(workspace, "release_given_up", run_key, GivenUp)
    if given_up is not None:
        return f"its release was given up: {given_up.why}"
    noted = _unmended(workspace, run_key)
    if noted is not None:
        return f"{noted.step}: {noted.error}: {noted.message}"
    return "the run stopped before it could decide" if failure is None else redact(failure)[:2000]


def _broken(outcome: ExpectationOutcome) -> str:
    """Return which expectation does not hold, what was found, and what its author says of it."""
    why = f" ({outcome.why})" if outcome.why else ""
    return f"{_named(outcome)}: {outcome.observed}{why}"


def _named(outcome: ExpectationOutcome) -> str:
    columns = [str(value) for name, value in outcome.arguments.items() if name.startswith("column")]
    return f"{outcome.expectation} of {', '.join(columns)}" if columns else outcome.expectation
