"""Looks over the fleet for what no run of a model can see by itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from evergreen.errors import InvalidModelFile
from evergreen.loading import find_model_files, load_spec
from evergreen.ports import Ledger
from evergreen.spec import ModelSpec
from evergreen.steps.alerts.model_files import tell_of_model_files
from evergreen.steps.alerts.stale import tell_of_stale_models
from evergreen.steps.approve import end_overdue


@dataclass(frozen=True, slots=True)
class Found:
    """How many model files broke or were mended, models are stale, and questions ran out of time."""

    files: int
    stale: int
    overdue: int


def look_over(ledger: Ledger, folders: Sequence[Path], now: datetime, *, behind: bool = False) -> Found:
    """Write down what is to be told of the fleet; what stands already is not repeated.

    On a ledger that is behind its checkpoints no question is ended: its answer may be what was lost.
    """
    return Found(
        files=tell_of_model_files(ledger, folders),
        stale=tell_of_stale_models(ledger, _usable(folders), now),
        overdue=0 if behind else len(end_overdue(ledger, now)),
    )


def _usable(folders: Sequence[Path]) -> Iterator[ModelSpec]:
    for folder in folders:
        for path in find_model_files(folder):
            try:
                yield load_spec(path)
            except InvalidModelFile:
                continue
