"""`airflow evergreen …`: the same commands as `evergreen …`, with the settings of airflow.cfg.

Every `airflow` command imports this module, so a command's own code is imported only when it is called.
"""

from __future__ import annotations

import os
import sys
from functools import partial
from typing import Any

from airflow.cli.cli_config import ActionCommand, Arg, CLICommand, GroupCommand

from evergreen.cli.command import Arg as CommandArg
from evergreen.cli.command import Command
from evergreen.cli.commands import COMMANDS


def get_evergreen_cli_commands() -> list[CLICommand]:
    """Return the command group for Airflow's command line."""
    return [
        GroupCommand(
            name="evergreen",
            help="Keep machine-learning models fresh",
            subcommands=tuple(
                ActionCommand(
                    name=command.name,
                    help=command.help,
                    func=partial(run_command, command),
                    args=tuple(_airflow_arg(arg) for arg in command.args),
                )
                for command in COMMANDS
            ),
        )
    ]


def _airflow_arg(arg: CommandArg) -> Arg:
    return Arg(arg.flags, arg.help, **arg.options)  # type: ignore[no-untyped-call]


def run_command(command: Command, arguments: Any) -> None:
    """Run one command and end with its exit code."""
    from evergreen.cli.main import call
    from evergreen_airflow.configuration import values_from_airflow

    os.environ.update(values_from_airflow())
    sys.exit(call(command, arguments))
