"""Commands for whoever writes a model file."""

from __future__ import annotations

from evergreen.cli.args import MODELS, NAME
from evergreen.cli.command import Arg, Command

MODEL_FILES: tuple[Command, ...] = (
    Command(
        "schema",
        "Print the JSON Schema of model files",
        "evergreen.cli.schema:schema",
        (
            Arg(
                ("--write",), "write the schema and its reference page into a folder", {"metavar": "DIR"}
            ),
        ),
    ),
    Command(
        "new",
        "Scaffold a model file that lints clean",
        "evergreen.cli.new:new",
        (
            NAME,
            Arg(("--source",), "where rows come from", {"choices": ("sql", "files"), "default": "sql"}),
            MODELS,
        ),
    ),
)
