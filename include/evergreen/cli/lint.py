"""`evergreen lint`: every error of every file, as `file:line:column: message`."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import asdict
from pathlib import Path

from evergreen.cli.exit_codes import FINDINGS, OK
from evergreen.cli.output import say, say_json
from evergreen.cli.usage import UsageError, models_folder
from evergreen.lint import lint as find_problems


def lint(arguments: Namespace) -> int:
    """Lint files and folders; 1 where anything was found."""
    paths = [Path(path) for path in arguments.paths] or [models_folder(None)]
    missing = [str(path) for path in paths if not path.exists()]
    if missing:
        raise UsageError(f"no such file or folder: {', '.join(missing)}")
    problems = find_problems(paths)
    if arguments.json:
        say_json([asdict(problem) for problem in problems])
    else:
        for problem in problems:
            say(str(problem))
        if not problems:
            say("no problems found")
    return FINDINGS if problems else OK
