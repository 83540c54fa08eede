"""`evergreen new`: a model file to start from."""

from __future__ import annotations

from argparse import Namespace

from evergreen.cli.commands import OK
from evergreen.cli.output import say
from evergreen.cli.usage import UsageError, models_folder
from evergreen.names import name_problem
from evergreen.scaffold import scaffold


def new(arguments: Namespace) -> int:
    """Write the files and say what to do next."""
    problem = name_problem(arguments.name)
    if problem:
        raise UsageError(f"{arguments.name!r}: {problem}")
    folder = models_folder(arguments.models)
    try:
        written = scaffold(arguments.name, folder, arguments.source)
    except FileExistsError as exc:
        raise UsageError(f"{exc}; nothing was overwritten") from None
    for path in written:
        say(f"wrote {path}")
    say(f"next: edit them, then: evergreen lint {folder} && evergreen run {arguments.name}")
    return OK
