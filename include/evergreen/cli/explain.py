"""`evergreen explain`: what is live, how the newest comparison came out and why; from the ledger."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from evergreen.approval_results import Answered, Asked, Standing
from evergreen.approval_words import of_answer, of_no_answer, of_question
from evergreen.cli.exit_codes import FINDINGS, OK
from evergreen.cli.output import say, say_json
from evergreen.cli.usage import UsageError, instant
from evergreen.comparison import Comparison
from evergreen.entry_keys import run_key_of
from evergreen.evidence.remedies import remedies
from evergreen.evidence.words import refitted, sentences
from evergreen.hand_questions import standing
from evergreen.ledger.questions import PastRun, Reasoning, history, just_after, reasoning
from evergreen.ports import Entry, Ledger
from evergreen.results import Refit, Release, Retrain, RunReport, Withheld, from_json, to_json
from evergreen.settings import Settings
from evergreen.text import plain
from evergreen.wiring import open_ledger

MOST_RUNS_NAMED = 5


def explain(arguments: Namespace) -> int:
    """Print the reasoning; 1 where nothing was compared yet."""
    when = None if arguments.as_of is None else instant(arguments.as_of, "--as-of")
    with open_ledger(Settings.from_environment()) as ledger:
        run_key = None if arguments.run is None else _run_key(ledger, arguments.name, arguments.run)
        found = reasoning(ledger, arguments.name, when, run_key)
        newest = when is None and run_key is None
        later = _later(history(ledger, arguments.name), found) if newest else None
        stands = standing(ledger, arguments.name, None if when is None else just_after(when))
    if arguments.json:
        say_json(
            {
                **_as_json(found),
                "later": None if later is None else to_json(later),
                "standing": to_json(stands),
            }
        )
    else:
        for line in _lines(found, when, run_key, later, stands.lines()):
            say(line)
    return OK if found.comparison else FINDINGS


def _run_key(ledger: Ledger, model: str, asked: str) -> str:
    """Return the key of a run, asked for as `RUN` or as `MODEL/RUN`.

    Raises:
        UsageError: the ledger knows no such run.
    """
    keys = [run.run_key for run in history(ledger, model)]
    for key in (asked, f"{model}/{asked}"):
        if key in keys:
            return key
    newest = ", ".join(reversed(keys[-MOST_RUNS_NAMED:])) or "none"
    raise UsageError(f"--run: the ledger knows no run {asked!r} of {model!r}; the newest: {newest}")


def _later(runs: Sequence[PastRun], found: Reasoning) -> PastRun | None:
    """Return the model's newest run where that is another one than the newest comparison's."""
    if found.comparison is None or not runs or runs[-1].run_key == run_key_of(found.comparison.key):
        return None
    return runs[-1]


def _lines(
    found: Reasoning,
    when: datetime | None,
    run_key: str | None,
    later: PastRun | None,
    by_hand: Sequence[str],
) -> Iterator[str]:
    by_then = "" if when is None else f" by {when:%Y-%m-%d %H:%M} UTC"
    yield from _live(found, by_then)
    yield from (f"by hand   {line}" for line in by_hand)
    if found.comparison is None:
        whose = f"run {run_key}" if run_key else f"any run of {found.model}"
        yield f"decided   nothing{by_then}: the ledger holds no comparison of {whose}"
        if found.run_finished is not None:
            yield f"          {plain(from_json(RunReport, found.run_finished.body).summary)}"
        return
    comparison = from_json(Comparison, found.comparison.body)
    yield _decided(found, found.comparison)
    if later is not None:
        why = (
            later.summary if later.failure is None else f"{later.failure.step}: {later.failure.message}"
        )
        told = plain(why or "it has compared nothing yet")
        yield f"since     run {later.run_key} began, {later.decision}: {told}"
    yield from _section("why", sentences(comparison))
    yield from _section("people", _approval(found))
    yield from _section("shipped", _shipped(found))
    yield from _section("what would change the answer", remedies(comparison))


def _live(found: Reasoning, by_then: str) -> Iterator[str]:
    if found.live is None:
        yield f"live      nothing: {found.model} had no champion{by_then}"
        return
    release = from_json(Release, found.live.body)
    tested = release.candidate.refit_of
    yield (
        f"live      version {release.version.number}, trained as of "
        f"{release.trained_as_of:%Y-%m-%d %H:%M}, on target {release.target} since "
        f"{found.live.at:%Y-%m-%d %H:%M:%S} UTC (ledger entry {found.live.seq})"
        + (f", trained once more after candidate {tested[:12]} won" if tested else "")
    )
    if release.restored is not None:
        deed = release.restored.deed
        yield (
            f"          {plain(deed.who, 100)} rolled back to it from version {release.previous}: "
            f"{plain(deed.why, 300)}"
        )


def _decided(found: Reasoning, entry: Entry) -> str:
    comparison = from_json(Comparison, entry.body)
    as_of = ""
    if found.run_started is not None:
        retrain = from_json(Retrain, found.run_started.body)
        as_of = f", as of {retrain.windows.as_of:%Y-%m-%d %H:%M}"
    return (
        f"decided   {comparison.decision}, by run {run_key_of(entry.key)}{as_of}, at "
        f"{entry.at:%Y-%m-%d %H:%M:%S} UTC (ledger entry {entry.seq})"
    )


def _approval(found: Reasoning) -> tuple[str, ...]:
    """Return who agreed to the release or did not, or who is asked."""
    if found.asked is None:
        return ()
    asked = from_json(Asked, found.asked.body)
    if found.approval is not None:
        return (of_answer(Standing(asked, from_json(Answered, found.approval.body))),)
    over = found.run_finished is not None and found.run_finished.seq > found.asked.seq
    return (of_no_answer(asked) if over else of_question(asked),)


def _shipped(found: Reasoning) -> tuple[str, ...]:
    """Return what was released of the run: the tested model, a refitted one, or nothing."""
    told = () if found.refit is None else refitted(from_json(Refit, found.refit.body))
    if found.release is not None:
        release = from_json(Release, found.release.body)
        which = (
            "the model trained once more" if release.candidate.refit_of else "the model that was tested"
        )
        return (*told, f"Version {release.version.number} was released: {which}.")
    if found.withheld is not None:
        return (*told, f"This run released nothing: {from_json(Withheld, found.withheld.body).why}.")
    ended = "." if found.run_finished else ", and the run has not ended."
    return (*told, f"This run released nothing{ended}")


def _section(title: str, lines: tuple[str, ...]) -> Iterator[str]:
    if lines:
        yield ""
        yield title
        yield from (f"  {line}" for line in lines)


def _as_json(found: Reasoning) -> dict[str, Any]:
    comparison = None if found.comparison is None else from_json(Comparison, found.comparison.body)
    return {
        **to_json(found),
        "why": list(sentences(comparison)) if comparison else [],
        "people": list(_approval(found)),
        "shipped": list(_shipped(found)) if comparison else [],
        "would_change": list(remedies(comparison)) if comparison else [],
    }
