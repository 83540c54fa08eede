"""Arguments that commands of several groups take."""

from __future__ import annotations

from evergreen.cli.command import Arg

NAME = Arg(("name",), "the model's name", {"metavar": "NAME"})
JSON = Arg(("--json",), "print JSON, stable between releases", {"action": "store_true"})
MODELS = Arg(
    ("--models",),
    "folder of the model files (default: EVERGREEN_MODELS, else dags/models)",
    {"metavar": "DIR"},
)
