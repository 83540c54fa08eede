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


@dataclass(frozen=True, slots=True)
class Found:
    """How many model files broke or were mended since the last look, and how many models are stale."""

    files: int
    stale: int


def look_over(ledger: Ledger, folders: Sequence[Path], now: datetime) -> Found:
    """Write notices of what is to be told of the fleet; those that stand already are not repeated."""
    files = tell_of_model_files(ledger, folders)
    return Found(files, tell_of_stale_models(ledger, _usable(folders), now))


def _usable(folders: Sequence[Path]) -> Iterator[ModelSpec]:
    for folder in folders:
        for path in find_model_files(folder):
            try:
                yield load_spec(path)
            except InvalidModelFile:
                continue
