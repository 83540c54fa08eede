"""Tries hostile artefacts in one process that has imported everything, and in forks of it.

`python -m tests.hostile.trial FOLDER` prints, as JSON, for every payload whether the library it is
meant for ran it, whether Evergreen did, and what Evergreen's own loader said.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from evergreen.errors import ArtefactDamaged, ModelRefused
from evergreen.serving.model_files import fetch, load
from tests.hostile.folders import Payload, payloads
from tests.stored_models import honest

NO_TRACKING = "sqlite:////no/such/place"
SECONDS = 20
BYTES = 4 * 2**30
REFUSED, DAMAGED, LOADED = "refused", "damaged", "loaded"


@dataclass(frozen=True, slots=True)
class Tried:
    """What became of a payload.

    `live`: it ran where a library believed it; `ran`: it ran in Evergreen. `ours` is what Evergreen's
    loader said of it where the ledger had recorded it, `swapped` where it had recorded another.
    """

    name: str
    live: bool
    ran: bool
    ours: str
    swapped: str


def tried(payload: Payload, folder: Path) -> Tried:
    """Load one payload in three ways.

    The plain library, in a fork; Evergreen's loader, as though the ledger had recorded the hostile
    files; and Evergreen's loader where it recorded the honest files that they took the place of.
    """
    believed = honest(folder / "believed")
    payload.make(believed)
    in_fork(lambda: payload.live(believed))
    ours = honest(folder / "ours")
    before = ours.recorded()
    payload.make(ours)
    said = outcome(lambda: _run(load(fetch(ours.recorded(), NO_TRACKING, folder / "copy"))))
    swapped = outcome(lambda: _run(load(fetch(before, NO_TRACKING, folder / "swapped"))))
    return Tried(payload.name, believed.marker.exists(), ours.marker.exists(), said, swapped)


def _run(model: Any) -> None:
    model.predict([[1.0]])


def outcome(act: Callable[[], object]) -> str:
    """Return what became of loading a model: a word, with what was said."""
    try:
        act()
    except ModelRefused as exc:
        return f"{REFUSED}: {exc}"
    except ArtefactDamaged as exc:
        return f"{DAMAGED}: {exc}"
    except Exception as exc:  # noqa: BLE001 - the test says what may be raised
        return f"{type(exc).__name__}: {exc}"
    return LOADED


def in_fork(act: Callable[[], object]) -> None:
    """Run `act` in a silent fork with bounded time and memory."""
    child = os.fork()
    if not child:
        os._exit(_bounded(act))
    os.waitpid(child, 0)


def _bounded(act: Callable[[], object]) -> int:
    resource.setrlimit(resource.RLIMIT_AS, (BYTES, BYTES))
    signal.alarm(SECONDS)
    silent = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silent, 1)
    os.dup2(silent, 2)
    try:
        act()
    except BaseException:  # noqa: BLE001 - hostile code may raise anything
        return 1
    return 0


def main(folder: Path) -> None:
    import mlflow.pyfunc
    import mlflow.sklearn
    import mlflow.statsmodels  # noqa: F401

    warnings.simplefilter("ignore")
    found = [tried(payload, folder / str(number)) for number, payload in enumerate(payloads())]
    print(json.dumps([asdict(one) for one in found]))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
