"""Tells that no retrain of a model has come to an answer for longer than its file allows.

Promoted, kept and registered are answers; a run that failed or whose data was rejected is none. A model
that was never begun to be retrained is new, not stale.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import datetime

from evergreen.alerts.event import Notice
from evergreen.errors import LedgerUnavailable
from evergreen.hand_questions import standing
from evergreen.ports import Entry, Ledger
from evergreen.results import Release, RunReport, from_json
from evergreen.spec import ModelSpec
from evergreen.steps.alerts.notice import notice

log = logging.getLogger(__name__)

ANSWERS = frozenset({"promoted", "kept", "registered"})
CAUSE = "stale"


def tell_of_stale_models(ledger: Ledger, specs: Iterable[ModelSpec], now: datetime) -> int:
    """Write a notice for every model that is stale, once for each time that it became so.

    What goes wrong with one model is logged, and the others are looked at.

    Returns:
        How many models are stale.

    Raises:
        LedgerUnavailable: the ledger's database did not answer.
    """
    stale = 0
    for spec in specs:
        try:
            stale += _told(ledger, spec, now)
        except LedgerUnavailable:
            raise
        except Exception:
            log.exception("cannot tell whether %s is stale", spec.name)
    return stale


def _told(ledger: Ledger, spec: ModelSpec, now: datetime) -> bool:
    """Return whether a model is stale; it is told of then."""
    since = _answered(ledger, spec.name)
    if spec.stale_after is None or since is None or now < spec.stale_after.after(since.at):
        return False
    key = f"stale/{spec.name}/{since.seq}"
    notice(ledger, spec.name, key, _notice(ledger, spec, since))
    return True


def _answered(ledger: Ledger, model: str) -> Entry | None:
    """Return the end of the newest retrain that came to an answer, else the begin of the first."""
    newest = None
    for entry in ledger.entries(model=model, kind="run_finished"):
        if from_json(RunReport, entry.body).outcome in ANSWERS:
            newest = entry
    return newest or next(iter(ledger.entries(model=model, kind="run_started")), None)


def _notice(ledger: Ledger, spec: ModelSpec, since: Entry) -> Notice:
    return Notice(
        "stale",
        "medium",
        f"{spec.name} is stale: no retrain has come to an answer since {since.at:%Y-%m-%d %H:%M} UTC; "
        f"its file allows {spec.stale_after} (stale_after).",
        tuple(_lines(ledger, spec, since)),
        cause=CAUSE,
        signature=str(since.seq),
        owner=spec.owner,
        command=f"evergreen history {spec.name}",
    )


def _lines(ledger: Ledger, spec: ModelSpec, since: Entry) -> Iterable[str]:
    champion = ledger.last(spec.name, "release")
    if champion is None:
        yield "No version serves yet."
    else:
        release = from_json(Release, champion.body)
        yield (
            f"Version {release.version.number} serves, trained on data up to "
            f"{release.trained_as_of:%Y-%m-%d %H:%M} UTC."
        )
    for line in standing(ledger, spec.name).lines():
        yield f"It is {line}"
    last = ledger.last(spec.name, "run_finished")
    if last is not None and last.seq > since.seq:
        # Not the reason in brackets: it may quote the data, and was told when it happened.
        yield f"Since then: {from_json(RunReport, last.body).summary.partition(' (')[0]}"
    yield (
        f"Retrains are due at {spec.schedule} (UTC)."
        if spec.schedule
        else "Retrains are made only when asked for."
    )
