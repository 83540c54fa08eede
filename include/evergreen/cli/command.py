"""The shape of a command: its name, what it is for, its arguments, and where its code lies."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Arg:
    """One argument, in argparse's words."""

    flags: tuple[str, ...]
    help: str
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Command:
    """One command. `func` names `module:function`, which takes the parsed arguments."""

    name: str
    help: str
    func: str
    args: tuple[Arg, ...]

    def call(self, arguments: Any) -> int:
        """Run the command and return its exit code."""
        module, _, attribute = self.func.partition(":")
        function: Callable[[Any], int] = getattr(importlib.import_module(module), attribute)
        return function(arguments)
