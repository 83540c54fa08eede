"""Looks over the fleet for what no run of a model can see by itself."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from evergreen.errors import InvalidModelFile, LedgerBehind
from evergreen.loading import find_model_files, load_spec
from evergreen.ports import Ledger
from evergreen.spec import ModelSpec
from evergreen.steps.alerts.model_files import tell_of_model_files
from evergreen.steps.alerts.stale import tell_of_stale_models
from evergreen.steps.approve import end_overdue
from evergreen.steps.witness import refuse_behind
from evergreen.witness_ports import CheckpointPlace

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Found:
    """How many model files broke or were mended, models are stale, and questions ran out of time."""

    files: int
    stale: int
    overdue: int


def look_over(
    ledger: Ledger, folders: Sequence[Path], now: datetime, places: Sequence[CheckpointPlace] = ()
) -> Found:
    """Write down what is to be told of the fleet; what stands already is not repeated.

    No question is ended on a ledger that a checkpoint of these places contradicts: its answer may be
    among what was lost.
    """
    return Found(
        files=tell_of_model_files(ledger, folders),
        stale=tell_of_stale_models(ledger, _usable(folders), now),
        overdue=_overdue(ledger, now, places),
    )


def _overdue(ledger: Ledger, now: datetime, places: Sequence[CheckpointPlace]) -> int:
    try:
        refuse_behind(ledger, places)
    except LedgerBehind as exc:
        log.warning("no question was ended: %s", exc)
        return 0
    return len(end_overdue(ledger, now))


def _usable(folders: Sequence[Path]) -> Iterator[ModelSpec]:
    for folder in folders:
        for path in find_model_files(folder):
            try:
                yield load_spec(path)
            except InvalidModelFile:
                continue
