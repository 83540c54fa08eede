"""The table of commands, group by group, in the order in which help and the reference show them.

A command is one row in its group's file. Importing the table is cheap: a command's code is imported when
it is called.
"""

from __future__ import annotations

from evergreen.cli.command import Command
from evergreen.cli.commands.model_files import MODEL_FILES
from evergreen.cli.commands.people import PEOPLE
from evergreen.cli.commands.record import RECORD
from evergreen.cli.commands.recovery import RECOVERY
from evergreen.cli.commands.runs import RUNS

COMMANDS: tuple[Command, ...] = (*RUNS, *RECORD, *PEOPLE, *RECOVERY, *MODEL_FILES)
