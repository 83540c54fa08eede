"""`evergreen new`: a model file to start from."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from evergreen.cli.exit_codes import OK
from evergreen.cli.output import say
from evergreen.cli.usage import UsageError
from evergreen.names import name_problem
from evergreen.scaffold import scaffold
from evergreen.settings import Settings


def new(arguments: Namespace) -> int:
    """Write the files and say what to do next."""
    problem = name_problem(arguments.name)
    if problem:
        raise UsageError(f"{arguments.name!r}: {problem}")
    folder = Path(arguments.models) if arguments.models else Settings.from_environment().models
    try:
        written = scaffold(arguments.name, folder, arguments.source)
    except FileExistsError as exc:
        raise UsageError(f"{exc}; nothing was overwritten") from None
    except OSError as exc:
        raise UsageError(f"cannot write {exc.filename or folder}: {exc.strerror}") from None
    for path in written:
        say(f"wrote {path}")
    models = f" --models {folder}" if arguments.models else ""
    say(f"next: edit them, then: evergreen lint {folder} && evergreen run {arguments.name}{models}")
    return OK
