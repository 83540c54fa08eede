"""Look over one model: what does its ledger say that the world, or the ledger itself, does not bear out?

Nothing is written here. While a run is at work on the model only what is late in any case is found: a
run finishes by itself what it began.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator

from evergreen.errors import EvergreenError, LedgerError, bounded
from evergreen.reconcile_results import Finding
from evergreen.redaction import redact
from evergreen.results import from_json
from evergreen.run_keys import pass_key
from evergreen.steps.reconcile import questions, releases, requests, runs
from evergreen.steps.reconcile.circumstances import Circumstances
from evergreen.steps.reconcile.written import named, no_longer, recorded_key, told
from evergreen.workspace import Workspace

log = logging.getLogger(__name__)

AREAS = {"releases": releases, "questions": questions, "runs": runs, "requests": requests}
LONGEST_WHY = 500
_OF_RELEASES = frozenset({"unfinished_release", "astray_target", "astray_champion"})


def look(workspace: Workspace, model: str, circumstances: Circumstances) -> list[Finding]:
    """Return what is not as it should be, in the order in which it is to be dealt with.

    A part that cannot be looked at (a registry that does not answer) is a finding itself.

    Raises:
        LedgerError: the ledger did not answer.
    """
    stuck = list(requests.stuck(workspace, model, circumstances))
    if workspace.ledger.holder(model) not in (None, pass_key(model)):
        return stuck
    found: list[Finding] = []
    whole = True
    for name, area in AREAS.items():
        try:
            found += area.look(workspace, model, circumstances)
        except LedgerError:
            raise
        except Exception as exc:  # noqa: BLE001 - whatever it is, the other parts are looked at
            found.append(not_looked_at(model, name, exc))
            whole = False  # what an earlier pass began may be still to be done
    cut_off = _cut_off(workspace, model, found) if whole else ()
    over = _over(workspace, model, found) if whole else ()
    return [*found, *cut_off, *over, *stuck]


def not_looked_at(model: str, part: str, exc: Exception) -> Finding:
    """Return that a part of a model could not be looked at; a person's, where that does not pass."""
    if not isinstance(exc, EvergreenError):
        log.exception("%s of %s could not be looked at", part, model)
    passes = isinstance(exc, EvergreenError) and exc.retryable
    return Finding(
        model,
        "not_looked_at" if passes else "unmended",
        f"look/{part}",
        f"its {part} could not be looked at, because {why_not(exc)}",
        "the next pass looks again" if passes else "mend the cause; the next pass looks again",
        mends=False,
        command=f"evergreen reconcile {model}",
    )


def why_not(exc: Exception) -> str:
    """Return an exception as one bounded line without secrets."""
    return bounded(redact(f"{type(exc).__name__}: {exc}"), LONGEST_WHY)


def _cut_off(workspace: Workspace, model: str, found: list[Finding]) -> Iterator[Finding]:
    """Yield what an earlier pass did, and was killed before it could write so.

    What it found of a release may stand under another name now; so that waits until all is well.
    """
    again = {one.run_key for one in found}
    unsettled = any(one.kind in {*_OF_RELEASES, "lost_version"} for one in found)
    for entry in workspace.ledger.entries(model=model, kind="reconcile_intended"):
        begun = from_json(Finding, entry.body)
        if unsettled and begun.kind in _OF_RELEASES:
            continue
        if begun.run_key not in again and workspace.ledger.find(recorded_key(entry.key)) is None:
            yield Finding(
                model,
                "cut_off",
                entry.key,
                f"an earlier pass was cut off after it found that {begun.words}",
                "it is written down that nothing is left to do",
            )


def _over(workspace: Workspace, model: str, found: list[Finding]) -> Iterator[Finding]:
    """Yield what people were told and that is so no more; a stuck request ends by its own entry."""
    names = [named(one) for one in found]
    still = {*names, *(f"unmended/{name}" for name in names)}
    for one in told(workspace.ledger, model):
        if one.kind != "stuck_request" and named(one) not in still:
            yield Finding(model, "over", named(one), no_longer(one), "people are told that it is over")
