"""Whether there is a model of a name: one with a model file, or one that the ledger knows."""

from __future__ import annotations

from pathlib import Path

from evergreen.cli.usage import UsageError
from evergreen.names import did_you_mean, name_problem
from evergreen.ports import Ledger
from evergreen.steps.known_models import known_models


def known_model(ledger: Ledger, folder: Path, name: str) -> str:
    """Return the name; a model whose file is gone is still known by what it did.

    Raises:
        UsageError: not a name, or no such model.
    """
    problem = name_problem(name)
    if problem:
        raise UsageError(f"{name!r}: {problem}")
    known = known_models(ledger, [folder])
    if name in known:
        return name
    hint = did_you_mean(name, known) or f"models: {', '.join(known[:20]) or 'none'}"
    raise UsageError(
        f"no such model: {name!r} has no file in {folder} and the ledger knows nothing of it; {hint}"
    )
