"""What the command line asks of its arguments beyond what argparse checks."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from evergreen.names import did_you_mean, name_problem
from evergreen.settings import Settings
from evergreen.window import parse_instant


class UsageError(Exception):
    """An argument that parses and makes no sense."""


def instant(text: str, flag: str) -> datetime:
    """Read a date argument.

    Raises:
        UsageError: it is none.
    """
    try:
        return parse_instant(text)
    except ValueError as exc:
        raise UsageError(f"{flag}: {exc}") from None


def models_folder(given: str | None) -> Path:
    """Return the folder of the model files.

    Raises:
        UsageError: there is no such folder.
    """
    folder = Path(given) if given else Settings.from_environment().models
    if not folder.is_dir():
        raise UsageError(
            f"no folder of model files at {folder}; give --models DIR or set EVERGREEN_MODELS"
        )
    return folder


def model_path(folder: Path, name: str) -> Path:
    """Return the model file of a name.

    Raises:
        UsageError: not a name, or no such model file.
    """
    from evergreen.loading import find_model_files

    problem = name_problem(name)
    if problem:
        raise UsageError(f"{name!r}: {problem}")
    files = {path.stem: path for path in find_model_files(folder)}
    if name not in files:
        hint = did_you_mean(name, files)
        known = f"models there: {', '.join(sorted(files)) or 'none'}"
        raise UsageError(f"no model file {folder / name}.yaml; {hint or known}")
    return files[name]
