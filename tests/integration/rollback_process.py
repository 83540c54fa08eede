"""Imports everything once, then forks a process per command line, which a test may kill on its way.

Reads one JSON line per command from standard input: `argv`, `environment`, `fail` (the name of a
failpoint, or null) and `times` (at which passing of it to die); answers with one: {"code": ...}.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import traceback
from pathlib import Path

from evergreen import failpoints

ERROR = 99
PRELOADED = (
    "mlflow.sklearn",
    "evergreen.adapters.child_scorer",
    "evergreen.adapters.local_target",
    "evergreen.adapters.mlflow_registry",
    "evergreen.adapters.mlflow_trainer",
    "evergreen.cli.reconcile",
    "evergreen.cli.rollback",
    "evergreen.cli.main",
    "evergreen.ledger.store",
    "evergreen.wiring",
)


def main(log: Path) -> None:
    """Serve until standard input ends."""
    for module in PRELOADED:
        importlib.import_module(module)
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        child = os.fork()
        if child == 0:
            with log.open("a") as file:
                os.dup2(file.fileno(), 1)
                os.dup2(file.fileno(), 2)
            _end_as(order)
        _, status = os.waitpid(child, 0)
        print(json.dumps({"code": os.waitstatus_to_exitcode(status)}), flush=True)


def _end_as(order: dict) -> None:
    from evergreen.cli.main import main as command_line

    os.environ.update(order["environment"])
    if order["fail"]:
        _die_at(order["fail"], order["times"])
    code = ERROR
    try:
        code = command_line(order["argv"])
    finally:
        if code == ERROR:
            traceback.print_exc()
        sys.stdout.flush()
        os._exit(code)


def _die_at(name: str, times: int) -> None:
    """Let the process die when it passes a failpoint for the n-th time."""
    passed = 0

    def failpoint(here: str) -> None:
        nonlocal passed
        passed += here == name
        if passed == times:
            os._exit(failpoints.EXIT_CODE)

    for module in list(sys.modules.values()):
        if getattr(module, "__name__", "").startswith("evergreen.") and hasattr(module, "failpoint"):
            module.failpoint = failpoint


if __name__ == "__main__":
    main(Path(sys.argv[1]))
