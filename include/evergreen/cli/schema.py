"""`evergreen schema`: the JSON Schema of model files, for editors and other tools."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from evergreen.cli.exit_codes import OK
from evergreen.cli.output import say, say_json
from evergreen.cli.reference import write_pages
from evergreen.schema import model_schema, write_reference


def schema(arguments: Namespace) -> int:
    """Print the schema, or write it with its reference page."""
    if arguments.write:
        folder = Path(arguments.write)
        for path in [*write_reference(folder), *write_pages(folder)]:
            say(f"wrote {path}")
    else:
        say_json(model_schema())
    return OK
