"""Which models there are to look after: every one that ever stood in the ledger, and every file's."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from evergreen.loading import find_model_files
from evergreen.names import name_problem
from evergreen.ports import Ledger


def known_models(ledger: Ledger, folders: Sequence[Path]) -> list[str]:
    """Return the models' names, sorted.

    Only the names of the files count here, so one that is broken hides neither its own model nor
    another; a notice of somebody else's DAG may stand in the ledger under a name that no model can have.
    """
    files = {path.stem for folder in folders if folder.is_dir() for path in find_model_files(folder)}
    return sorted(name for name in {*ledger.models(), *files} if name_problem(name) is None)
