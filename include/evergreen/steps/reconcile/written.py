"""What a pass writes into the ledger: what it is about to do, that it was done, and what it only tells.

    reconcile_intended  before a deed: what was found, and what is done about it
    reconciled          after it, with the same body; or, of what a person must do, by itself

The key is made of what was found. The same thing found a second time, after it was mended, is counted;
what is done over and over until it helps (waking a retrain) is written once. What is only told is
written once, too, until a look finds it no longer so and that is written: then it is told anew.
"""

from __future__ import annotations

import itertools
from dataclasses import replace

from evergreen.entry_keys import entry_key, run_key_of
from evergreen.failpoints import failpoint
from evergreen.ports import Entry, Lease, Ledger
from evergreen.reconcile_results import Finding
from evergreen.results import from_json, to_json
from evergreen.steps.brief_lease import briefly

INTENDED, DONE = "reconcile_intended", "reconciled"


def intend(ledger: Ledger, finding: Finding, lease: Lease) -> str:
    """Write down what is about to be done, unless it stands, and return the key of its entry.

    Raises:
        LeaseLost: another pass, or a run, took over.
    """
    key = entry_key(INTENDED, finding.run_key, _free_number(ledger, finding))
    if ledger.find(key) is None:
        ledger.append(INTENDED, key, to_json(finding), lease)
        failpoint("reconcile.intended")
    return key


def record(ledger: Ledger, intended: str, lease: Lease, does: str | None = None) -> None:
    """Write down that what was intended is done, or what is known of that. Safe to repeat.

    Raises:
        LeaseLost: another pass, or a run, took over.
    """
    found = ledger.find(intended)
    if found is None:
        raise AssertionError("what is done was intended")
    body = found.body if does is None else {**found.body, "does": does}
    ledger.append(DONE, recorded_key(intended), body, lease)
    failpoint("reconcile.recorded")


def tell(ledger: Ledger, finding: Finding) -> None:
    """Write down what a person must see to, unless it stands; a run at work is not in the way."""

    def write(lease: Lease) -> None:
        if not _is_told(ledger, finding):
            key = entry_key(DONE, finding.run_key, _free_number(ledger, finding))
            ledger.append(DONE, key, to_json(finding), lease)
            failpoint("reconcile.told")

    if not _is_told(ledger, finding):
        briefly(ledger, finding.model, "alerts", write)


def told(ledger: Ledger, model: str) -> list[Finding]:
    """Return what people were told of a model and that nothing says is over."""
    newest: dict[str, Entry] = {}
    for entry in ledger.entries(model=model, kind=DONE):
        newest[run_key_of(entry.key)] = entry
    findings = (from_json(Finding, entry.body) for entry in newest.values())
    return [one for one in findings if not one.mends]


def end(ledger: Ledger, over: Finding, lease: Lease) -> None:
    """Write down that what people were told is over. Safe to repeat.

    Raises:
        LeaseLost: another pass, or a run, took over.
    """
    for one in told(ledger, over.model):
        if over.refers_to == named(one):
            body = replace(one, words=no_longer(one), does="nothing is left to do", mends=True)
            ledger.append(
                DONE, entry_key(DONE, one.run_key, _free_number(ledger, one)), to_json(body), lease
            )
            failpoint("reconcile.ended")


def named(finding: Finding) -> str:
    """Return a finding's name within its model, by which another one refers to it."""
    return f"{finding.kind}/{finding.refers_to}"


def no_longer(finding: Finding) -> str:
    """Say that what was found is over."""
    return f"it is no longer so that {finding.words}"


def stands(ledger: Ledger, finding: Finding) -> bool:
    """Return whether a finding was written down before."""
    return ledger.find(entry_key(DONE, finding.run_key)) is not None


def recorded_key(intended: str) -> str:
    """Return the key of the entry which says that an intended deed was done.

    >>> recorded_key("reconcile_intended#2/churn/reconcile/astray_champion/7")
    'reconciled#2/churn/reconcile/astray_champion/7'
    """
    kind, _, number = intended.partition("/")[0].partition("#")
    assert kind == INTENDED
    return entry_key(DONE, run_key_of(intended), int(number or 1))


def _is_told(ledger: Ledger, finding: Finding) -> bool:
    number = _free_number(ledger, finding) - 1
    newest = ledger.find(entry_key(DONE, finding.run_key, number)) if number else None
    return newest is not None and not newest.body["mends"]


def _free_number(ledger: Ledger, finding: Finding) -> int:
    """Return how many times a finding was written down, and one."""
    numbers = itertools.count(1)
    return next(n for n in numbers if ledger.find(entry_key(DONE, finding.run_key, n)) is None)
