"""One pass: look over every model, deal with what is found, and say what became of it.

A model is dealt with under its lease for retraining, which is never taken from a live run: where one is
at work, what it left half done is its own to finish. Under the lease everything is looked at anew, for
only then nobody else writes. What is mended may bring up something else (a closed run frees its
request), so it is looked again until nothing is left to do.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress

from evergreen.errors import EvergreenError, LeaseHeld, LeaseLost, LedgerError, LedgerUnavailable
from evergreen.failpoints import failpoint
from evergreen.ports import Lease, Ledger
from evergreen.reconcile_results import Dealt, Finding, FindingKind, Reconciliation
from evergreen.redaction import redact
from evergreen.run_keys import pass_key
from evergreen.steps.reconcile import questions, releases, requests, runs, written
from evergreen.steps.reconcile.circumstances import Circumstances
from evergreen.steps.reconcile.look import look, not_looked_at, why_not
from evergreen.steps.witness import refuse_behind
from evergreen.workspace import Workspace

log = logging.getLogger(__name__)

MOST_ROUNDS = 4
BY_WHOMEVER = "nothing is left to do, by an earlier pass that was cut off or by others"
_ONCE = frozenset({"unserved_request"})
"""What is done over and over until it helps, and written down once."""
_PASSES = frozenset({"not_looked_at", "unserved_request"})
"""What is only shown where it cannot be mended: a later pass, or one with a scheduler, sees to it."""
_IN_ORDER = frozenset({"unfinished_release", "astray_target", "astray_champion"})
"""Of these each is mended only where those before it were."""


def reconcile(
    workspace: Workspace, models: Sequence[str], circumstances: Circumstances, *, dry_run: bool = False
) -> Reconciliation:
    """Find and finish or close what a crash left, and return what was found and what became of it.

    Safe to repeat, to kill anywhere, and to run twice at once. Whatever goes wrong with one model is
    said of that one and stops no other.

    Args:
        workspace: The ports.
        models: The models to look over.
        circumstances: The time, how patient to be, and what the scheduler knows.
        dry_run: Only look.

    Raises:
        LedgerUnavailable: the ledger's database did not answer.
        LedgerBehind: a checkpoint contradicts the ledger: the world is not made to follow it.
    """
    if not dry_run:
        refuse_behind(workspace.ledger, workspace.checkpoints)
    dealt: list[Dealt] = []
    for model in models:
        for one in _dealt_with(workspace, model, circumstances, dry_run=dry_run):
            level = logging.INFO if one.became == "mended" else logging.WARNING
            said = redact(f"{one.finding.words}; {one.why or one.finding.does}")
            log.log(level, "%s: %s %s: %s", model, one.finding.kind, one.became, said)
            dealt.append(one)
    return Reconciliation(len(models), tuple(dealt))


def _dealt_with(
    workspace: Workspace, model: str, circumstances: Circumstances, *, dry_run: bool
) -> list[Dealt]:
    try:
        found = look(workspace, model, circumstances)
        if dry_run:
            return [Dealt(one, "found") for one in found]
        if not any(one.mends for one in found):
            _free_what_is_left(workspace.ledger, model)
            return list(_told(workspace, found))
        mended = _mended(workspace, model, circumstances)
        return [*mended, *_told(workspace, look(workspace, model, circumstances))]
    except LedgerUnavailable:
        raise
    except Exception as exc:  # noqa: BLE001 - whatever it is, it is this model's alone
        left = _left(not_looked_at(model, "state", exc), exc)
        if not left.passes:
            with suppress(LeaseLost):
                written.tell(workspace.ledger, left.finding)
        return [left]


def _free_what_is_left(ledger: Ledger, model: str) -> None:
    """Give back the lease of a pass that was killed when all was done: no run need wait for its end."""
    holder = pass_key(model)
    if ledger.holder(model) == holder:
        with suppress(LeaseHeld):  # a run has begun meanwhile
            ledger.free(ledger.acquire(model, holder))


def _mended(workspace: Workspace, model: str, circumstances: Circumstances) -> list[Dealt]:
    """Mend what can be mended, under the model's lease.

    Raises:
        LeaseHeld: a run began meanwhile.
    """
    lease = workspace.ledger.acquire(model, pass_key(model))
    failpoint("reconcile.leased")
    dealt: dict[str, Dealt] = {}
    fresh: list[Finding] = []
    try:
        with workspace.ledger.keep(lease):
            for _ in range(MOST_ROUNDS):
                found = look(workspace, model, circumstances)
                fresh = [one for one in found if one.mends and one.run_key not in dealt]
                if not fresh:
                    break
                for one in fresh:
                    blocked = _blocked(workspace, one, dealt.values())
                    dealt[one.run_key] = (
                        Dealt(one, "left", "what comes before it could not be mended", passes=True)
                        if blocked
                        else _mend(workspace, one, circumstances, lease)
                    )
                workspace.ledger.check(lease)
    except LeaseLost as exc:
        log.warning("another pass, or a run, took %s over: %s", model, exc)
        for one in fresh:
            dealt.setdefault(one.run_key, Dealt(one, "left", why_not(exc), passes=True))
    finally:
        with suppress(LedgerError):
            workspace.ledger.free(lease)
    return list(dealt.values())


def _blocked(workspace: Workspace, finding: Finding, dealt: Iterable[Dealt]) -> bool:
    """Return whether a finding waits for what comes before it: alias after target, end after release."""
    if finding.kind == "abandoned_run":
        return runs.is_to_release(workspace, runs.run_of(finding))
    return finding.kind in _IN_ORDER and any(
        one.became == "left" and one.finding.kind in _IN_ORDER for one in dealt
    )


def _mend(workspace: Workspace, finding: Finding, circumstances: Circumstances, lease: Lease) -> Dealt:
    """Do one deed: say what is about to be done, do it, say that it is done.

    Raises:
        LeaseLost: another pass, or a run, took over.
    """
    ledger = workspace.ledger
    try:
        if finding.kind == "cut_off":
            written.record(ledger, finding.refers_to, lease, BY_WHOMEVER)
            return Dealt(finding, "mended")
        if finding.kind == "over":
            written.end(ledger, finding, lease)
            return Dealt(finding, "mended")
        known = finding.kind in _ONCE and written.stands(ledger, finding)
        intended = None if known else written.intend(ledger, finding, lease)
        _MENDS[finding.kind](workspace, finding, circumstances, lease)
        failpoint("reconcile.mended")
        if intended is not None:
            written.record(ledger, intended, lease)
        return Dealt(finding, "mended")
    except LedgerUnavailable:
        raise
    except Exception as exc:  # noqa: BLE001 - whatever it is, the other findings are dealt with
        ledger.check(lease)  # else it is not this that went wrong
        left = _left(finding, exc)
        if not left.passes:
            written.tell(ledger, _unmended(finding, why_not(exc)))
        return left


def _told(workspace: Workspace, found: Sequence[Finding]) -> Iterator[Dealt]:
    for one in found:
        if one.mends:
            continue  # it was dealt with
        if one.kind in _PASSES:
            yield Dealt(one, "left", passes=one.kind == "not_looked_at")
        else:
            written.tell(workspace.ledger, one)
            yield Dealt(one, "told")


def _unmended(finding: Finding, why: str) -> Finding:
    return Finding(
        finding.model,
        "unmended",
        written.named(finding),
        f"{finding.words}, and that could not be mended: {why}",
        "a person must look",
        mends=False,
        command=f"evergreen reconcile {finding.model}",
    )


def _left(finding: Finding, exc: Exception) -> Dealt:
    if not isinstance(exc, EvergreenError):
        log.exception("unexpected, and left: %s", finding.words)
    passes = isinstance(exc, EvergreenError) and exc.retryable
    return Dealt(finding, "left", why_not(exc), passes=passes)


Mend = Callable[[Workspace, Finding, Circumstances, Lease], None]

_MENDS: dict[FindingKind, Mend] = {
    "unfinished_release": lambda workspace, one, _, lease: releases.mend(workspace, one, lease),
    "astray_target": lambda workspace, one, _, lease: releases.mend(workspace, one, lease),
    "astray_champion": lambda workspace, one, _, lease: releases.mend(workspace, one, lease),
    "overdue_question": lambda workspace, one, now, _: questions.mend(workspace, one, now),
    "abandoned_run": lambda workspace, one, _, lease: runs.mend(workspace, one, lease),
    "unended_request": lambda workspace, one, _, lease: requests.mend(workspace, one, lease),
    "unserved_request": lambda workspace, one, now, _: requests.wake(workspace, one, now),
}
