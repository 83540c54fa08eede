"""The reference pages that follow from the command table and the settings."""

from __future__ import annotations

from pathlib import Path

from evergreen.cli.command import Arg, Command
from evergreen.cli.commands import COMMANDS
from evergreen.settings import VARIABLES

_COMMANDS_HEAD = """# Commands

`evergreen COMMAND` and `airflow evergreen COMMAND` are the same. Exit codes: 0 ok, 1 findings (an
invalid file, rejected or unusable data, a broken chain), 2 usage, 3 environment (a connection, database
or server that is missing or does not answer, another run in the way), 130 interrupted. `--json` output
is stable between releases; talk goes to standard error.
"""
_SETTINGS_HEAD = """# Settings

Environment variables; in Airflow the section `[evergreen]` of `airflow.cfg` too (the same names in lower
case, without the prefix), where the environment variable wins.

| variable | what it sets |
| --- | --- |
"""


def reference_pages() -> dict[str, str]:
    """Return the pages by file name."""
    rows = [f"| `{name}` | {text} |" for name, text in VARIABLES.items()]
    return {
        "commands.md": "\n".join([_COMMANDS_HEAD, *map(_command, COMMANDS)]),
        "settings.md": _SETTINGS_HEAD + "\n".join(rows) + "\n",
    }


def write_pages(folder: Path) -> list[Path]:
    """Write the pages and return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, text in reference_pages().items():
        (folder / name).write_text(text, encoding="utf-8")
        paths.append(folder / name)
    return paths


def _command(command: Command) -> str:
    usage = " ".join(["evergreen", command.name, *map(_usage, command.args)])
    rows = "\n".join(f"| `{' '.join(arg.flags)}` | {arg.help}{_default(arg)} |" for arg in command.args)
    return (
        f"## {command.name}\n\n{command.help}.\n\n```\n{usage}\n```\n\n"
        f"| argument | meaning |\n| --- | --- |\n{rows}\n"
    )


def _usage(arg: Arg) -> str:
    metavar = arg.options.get("metavar", "|".join(arg.options.get("choices", ())))
    nargs = arg.options.get("nargs")
    if nargs in {"*", "+"}:
        metavar = f"{metavar} ..."
    if not arg.flags[0].startswith("-"):
        return f"[{metavar}]" if nargs in {"*", "?"} else metavar
    return f"[{arg.flags[0]}]" if "action" in arg.options else f"[{arg.flags[0]} {metavar}]"


def _default(arg: Arg) -> str:
    return f" (default: {arg.options['default']})" if "default" in arg.options else ""
