"""Imports everything once, then forks a process per order: importing would cost seconds a point.

Reads JSON lines from standard input. An order names a `part` and the `place` where it works; with
`stopped` its process stops itself before it begins, so that whoever ordered it can take hold of it. The
answers are {"pid": ...} and then {"code": ...} of the process's end.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Sequence
from pathlib import Path

from evergreen.errors import EvergreenError
from tests.knife.place import Place, say

ROOT = Path(__file__).parents[2]
FAILED, RAISED = 3, 4
PRELOADED = (
    "great_expectations",
    "matplotlib.figure",
    "mlflow.sklearn",
    "mlflow.store.tracking.sqlalchemy_store",
    "mlflow.store.model_registry.sqlalchemy_store",
    "pandas",
    "pyarrow.parquet",
    "skops.io",
    "evergreen.adapters.child_scorer",
    "evergreen.adapters.evidently_report",
    "evergreen.adapters.gx_validator",
    "evergreen.adapters.local_target",
    "evergreen.adapters.mlflow_registry",
    "evergreen.adapters.mlflow_trainer",
    "evergreen.adapters.parquet_store",
    "evergreen.adapters.prediction_log",
    "evergreen.adapters.sql_source",
)


class Forks:
    """The process that forks; its end ends it."""

    def __init__(self, scenario: str, log: Path) -> None:
        command = [sys.executable, "-m", "tests.knife.forks", scenario, str(log)]
        environment = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true", "OMP_NUM_THREADS": "1"}
        self._process = subprocess.Popen(
            command, cwd=ROOT, env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self._answer()

    def begin(self, part: str, place: Place, *, stopped: bool = False) -> int:
        """Start a part in a process of its own and return its id; `end` must be called next."""
        assert self._process.stdin is not None
        order = {"part": part, "place": place.to_json(), "stopped": stopped}
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return int(self._answer()["pid"])

    def end(self) -> int:
        """Wait for the end of the process begun last and return its code, negative for a signal."""
        return int(self._answer()["code"])

    def close(self) -> None:
        self._process.communicate()  # the end of its input is its end

    def _answer(self) -> dict:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the forking process ended with {self._process.wait()}")
        return json.loads(line)


def main(arguments: Sequence[str]) -> None:
    """Serve until standard input ends."""
    scenario, log = arguments
    parts = importlib.import_module(f"tests.knife.{scenario}_parts").PARTS
    for module in PRELOADED if scenario != "ledger" else ():
        importlib.import_module(module)
    _warm_up()
    gc.collect()
    gc.freeze()
    answers = os.fdopen(os.dup(1), "w")
    with Path(log).open("a", encoding="utf-8") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    print(json.dumps({"ready": True}), file=answers, flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        child = os.fork()
        if child == 0:
            answers.close()
            _take_part(parts[order["part"]], Place.from_json(order["place"]), order["stopped"])
        if order["stopped"]:
            os.waitpid(child, os.WUNTRACED)
        print(json.dumps({"pid": child}), file=answers, flush=True)
        _, status = os.waitpid(child, 0)
        print(json.dumps({"code": os.waitstatus_to_exitcode(status)}), file=answers, flush=True)


def _warm_up() -> None:
    """Use a ledger once, and close it: what is loaded and compiled on first use is so in every fork."""
    from tests.knife import ledger_parts

    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        scratch = Place(home, f"sqlite:///{home / 'ledger.db'}", home / "told", home, 9)
        for part in ("migrate", "append", "note", "take_in", "free"):
            ledger_parts.PARTS[part](scratch)


def _take_part(part, place: Place, stopped: bool) -> None:
    """Run a part, say how it went, and end without any tidying up that a fork would do twice."""
    code = RAISED
    try:
        os.environ.update(place.environment)
        if stopped:
            os.kill(os.getpid(), signal.SIGSTOP)
        print(f"--- {part.__name__} in {place.home}", flush=True)
        part(place)
        code = 0
    except EvergreenError as error:
        traceback.print_exc()
        code = FAILED
        say(place.told, {"error": type(error).__name__, "retryable": error.retryable})
    except BaseException as error:  # noqa: BLE001 - whatever it is, the oracle has to know
        traceback.print_exc()
        say(place.told, {"error": type(error).__name__, "raw": True})
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    main(sys.argv[1:])
