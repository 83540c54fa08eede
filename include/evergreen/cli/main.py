"""The `evergreen` command."""

from __future__ import annotations

import argparse
import sys
import traceback
from collections.abc import Sequence
from typing import Any

import argcomplete
from rich_argparse import RichHelpFormatter

from evergreen import __version__
from evergreen.cli.command import Command
from evergreen.cli.commands import COMMANDS
from evergreen.cli.exit_codes import ENVIRONMENT, FINDINGS, INTERRUPTED, USAGE
from evergreen.cli.output import complain
from evergreen.cli.usage import UsageError
from evergreen.errors import BadConfiguration, ChainBroken, EvergreenError, LedgerError


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command table."""
    parser = argparse.ArgumentParser(
        prog="evergreen",
        description="Keeps production machine-learning models fresh.",
        epilog="exit codes: 0 ok, 1 findings, 2 usage, 3 environment",
        formatter_class=RichHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"evergreen {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for command in COMMANDS:
        child = commands.add_parser(
            command.name,
            help=command.help,
            description=command.help,
            formatter_class=RichHelpFormatter,
        )
        for arg in command.args:
            child.add_argument(*arg.flags, help=arg.help, **arg.options)
        child.set_defaults(chosen=command)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    parser = build_parser()
    argcomplete.autocomplete(parser)
    arguments = parser.parse_args(argv)
    return call(arguments.chosen, arguments)


def call(command: Command, arguments: Any) -> int:
    """Run one command; what goes wrong is said in one message and becomes the exit code."""
    try:
        return command.call(arguments)
    except UsageError as exc:
        complain(str(exc))
        return USAGE
    except EvergreenError as exc:
        complain(str(exc))
        return _exit_code(exc)
    except KeyboardInterrupt:
        complain("interrupted")
        return INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()
        return FINDINGS
    except Exception as exc:  # noqa: BLE001 - whatever it is, its text may hold a secret
        complain(f"unexpected {type(exc).__name__}: {exc}\n{traceback.format_exc()}")
        return ENVIRONMENT


def _exit_code(exc: EvergreenError) -> int:
    """Tell what another try or another environment may mend from what the model or its data must."""
    surroundings = isinstance(exc, BadConfiguration | LedgerError) and not isinstance(exc, ChainBroken)
    return ENVIRONMENT if exc.retryable or surroundings else FINDINGS


if __name__ == "__main__":
    sys.exit(main())
