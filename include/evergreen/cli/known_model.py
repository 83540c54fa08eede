"""Whether there is a model of a name: one with a model file, or one that the ledger knows."""

from __future__ import annotations

from evergreen.cli.usage import UsageError
from evergreen.loading import find_model_files
from evergreen.names import did_you_mean, name_problem
from evergreen.ports import Ledger
from evergreen.settings import Settings


def known_model(ledger: Ledger, settings: Settings, name: str) -> str:
    """Return the name; a model whose file is gone is still known by what it did.

    Raises:
        UsageError: not a name, or no such model.
    """
    problem = name_problem(name)
    if problem:
        raise UsageError(f"{name!r}: {problem}")
    files = {path.stem for path in find_model_files(settings.models)} if settings.models.is_dir() else ()
    if name in files or next(iter(ledger.entries(model=name)), None) is not None:
        return name
    known = {*files, *(entry.model for entry in ledger.entries(kind="release"))}
    hint = did_you_mean(name, known) or f"models: {', '.join(sorted(known)[:20]) or 'none'}"
    raise UsageError(
        f"no such model: {name!r} has no file in {settings.models} and the ledger knows nothing of it; "
        f"{hint}"
    )
