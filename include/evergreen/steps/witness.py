"""The ledger's witness: writes checkpoints, and lets nothing begin on a ledger that contradicts them.

A place that does not answer stops nothing: that is told. A place that answers, and names an entry which
the ledger does not have, stops everything until a person restored the ledger or adopted it as it is.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from evergreen import __version__
from evergreen.checkpoints import Checkpoint, checkpoint_of, contradiction, is_given_up
from evergreen.errors import EvergreenError, LedgerBehind, LedgerError
from evergreen.ports import Ledger
from evergreen.redaction import redact
from evergreen.steps.eras import adoptions, era_of
from evergreen.text import plain
from evergreen.witness_ports import CheckpointPlace

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Witnessed:
    """What became of writing a checkpoint.

    `kept` are the places that keep it now, `problems` says by place why another does not. Those of
    `against` contradict the ledger.
    """

    checkpoint: Checkpoint | None
    kept: tuple[str, ...] = ()
    problems: tuple[tuple[str, str], ...] = ()
    against: tuple[str, ...] = ()

    @property
    def behind(self) -> bool:
        """Whether a place contradicts the ledger."""
        return bool(self.against)


def refuse_behind(ledger: Ledger, places: Sequence[CheckpointPlace]) -> None:
    """Refuse to begin on a ledger that is behind or beside its newest checkpoint of any place.

    One read of each place, and one or two of the ledger; nothing where no place is set.

    Raises:
        LedgerBehind: it is.
    """
    for place in places:
        newest = _answered(place)
        if newest is not None:
            _hold_against(ledger, place, newest)


def present(ledger: Ledger) -> Checkpoint | None:
    """Return the checkpoint of the ledger as it is now; None of an empty one."""
    newest, first = ledger.newest(), ledger.at(1)
    if newest is None or first is None:
        return None
    return checkpoint_of(newest, first, era_of(ledger), __version__)


def witness(ledger: Ledger, places: Sequence[CheckpointPlace]) -> Witnessed:
    """Keep a checkpoint of the ledger's head in every place that has not one as new.

    A place that does not answer, or contradicts the ledger, keeps the others from nothing.

    Raises:
        LedgerError: the ledger could not be read.
    """
    checkpoint = present(ledger) if places else None
    if checkpoint is None:
        return Witnessed(None)
    kept, problems, against = [], [], []
    for place in places:
        try:
            newest = place.newest()
            if newest is not None:
                _hold_against(ledger, place, newest)
            if newest is None or newest.place_in_time < checkpoint.place_in_time:
                place.put(checkpoint)
            kept.append(place.uri)
        except LedgerBehind as exc:
            against.append(place.uri)
            problems.append((place.uri, _said(exc)))
        except LedgerError:
            raise
        except EvergreenError as exc:
            problems.append((place.uri, _said(exc)))
    return Witnessed(checkpoint, tuple(kept), tuple(problems), tuple(against))


def witness_quietly(ledger: Ledger, places: Sequence[CheckpointPlace]) -> None:
    """Do what `witness` does where nothing may fail for it; what went wrong is logged."""
    try:
        for place, why in witness(ledger, places).problems:
            log.warning("no checkpoint was kept at %s: %s", place, why)
    except LedgerError as exc:
        log.warning("no checkpoint was kept: %s", exc)


def _answered(place: CheckpointPlace) -> Checkpoint | None:
    """Return a place's newest checkpoint; None, too, where it does not answer."""
    try:
        return place.newest()
    except EvergreenError as exc:
        log.warning("the ledger was not held against %s, which does not answer: %s", place.uri, exc)
        return None


def _hold_against(ledger: Ledger, place: CheckpointPlace, newest: Checkpoint) -> None:
    """Refuse a ledger that contradicts a checkpoint which no adoption gave up."""
    what = contradiction(newest, ledger.at(newest.seq), ledger.at(1))
    if what is None or is_given_up(newest, adoptions(ledger)):
        return
    head = ledger.newest()
    raise LedgerBehind(
        f"this ledger is not the one that its newest checkpoint was made of; {what}",
        where=f"ledger, held against {place.uri}",
        got="an empty ledger" if head is None else f"a ledger of {head.seq} entries",
        allowed=f"entry {newest.seq} of {newest.at} with hash {newest.hash}",
        fix="nothing was begun. Was an older backup restored, or EVERGREEN_LEDGER changed? Put the "
        "right ledger in its place; or, once its loss is understood, accept this one: "
        'evergreen reconcile --adopt --why "…"',
    )


def _said(exc: EvergreenError) -> str:
    return plain(redact(str(exc)), 500)
