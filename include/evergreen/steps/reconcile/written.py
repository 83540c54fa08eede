"""What a pass writes into the ledger: what it is about to do, that it was done, and what it only tells.

    reconcile_intended  before a deed: what was found, and what is done about it
    reconciled          after it, with the same body; or, of what a person must do, by itself

The key is made of what was found. The same thing found a second time, after it was mended, is counted;
what is only told, or done over and over until it helps (waking a retrain), is written once.
"""

from __future__ import annotations

import itertools

from evergreen.entry_keys import entry_key, run_key_of
from evergreen.failpoints import failpoint
from evergreen.ports import Lease, Ledger
from evergreen.reconcile_results import Finding
from evergreen.results import to_json
from evergreen.steps.brief_lease import briefly

INTENDED, DONE = "reconcile_intended", "reconciled"


def holder_of(model: str) -> str:
    """Return the holder of a pass's lease; no run of a scheduler can have this key.

    It is the same for every pass, so the one after a killed one need not wait for its lease to end; of
    two at once the second fences off the first, and both do the same.
    """
    return f"{model}/reconcile/pass"


def intend(ledger: Ledger, finding: Finding, lease: Lease) -> str:
    """Write down what is about to be done, unless it stands, and return the key of its entry.

    Raises:
        LeaseLost: another pass, or a run, took over.
    """
    for number in itertools.count(1):
        if ledger.find(entry_key(DONE, finding.run_key, number)) is None:
            break
    key = entry_key(INTENDED, finding.run_key, number)
    if ledger.find(key) is None:
        ledger.append(INTENDED, key, to_json(finding), lease)
        failpoint("reconcile.intended")
    return key


def record(ledger: Ledger, intended: str, lease: Lease) -> None:
    """Write down that what was intended is done. Safe to repeat.

    Raises:
        LeaseLost: another pass, or a run, took over.
    """
    found = ledger.find(intended)
    if found is None:
        raise AssertionError("what is done was intended")
    ledger.append(DONE, recorded_key(intended), found.body, lease)
    failpoint("reconcile.recorded")


def tell(ledger: Ledger, finding: Finding) -> None:
    """Write down once what a person must see to; a run at work on the model is not in the way."""
    key = entry_key(DONE, finding.run_key)

    def write(lease: Lease) -> None:
        if ledger.find(key) is None:
            ledger.append(DONE, key, to_json(finding), lease)
            failpoint("reconcile.told")

    if ledger.find(key) is None:
        briefly(ledger, finding.model, "alerts", write)


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
