"""`evergreen lint`: every error of every file, as `file:line:column: message`."""

from __future__ import annotations

from argparse import Namespace
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from evergreen.cli.exit_codes import FINDINGS, OK
from evergreen.cli.output import say, say_json
from evergreen.cli.usage import UsageError, models_folder
from evergreen.lint import lint as find_problems
from evergreen.loading import find_model_files


def lint(arguments: Namespace) -> int:
    """Lint files and folders; 1 where anything was found."""
    paths = [Path(path) for path in arguments.paths] or [models_folder(None)]
    missing = [str(path) for path in paths if not path.exists()]
    if missing:
        raise UsageError(f"no such file or folder: {', '.join(missing)}")
    if empty := [str(path) for path in paths if _is_empty(path)]:
        raise UsageError(
            f"no model files in {', '.join(empty)}; "
            "folders below are not searched: name each, as in models/*"
        )
    problems = find_problems(paths)
    if arguments.json:
        say_json([asdict(problem) for problem in problems])
    else:
        for problem in problems:
            say(str(problem))
        if not problems:
            say("no problems found")
    return FINDINGS if problems else OK


def _is_empty(path: Path) -> bool:
    with suppress(OSError):  # what cannot be read is a finding
        return path.is_dir() and not find_model_files(path)
    return False
