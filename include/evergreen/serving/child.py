"""The process that loads a model and runs it: no credentials, no network, no further processes.

`python -m evergreen.serving.child FOLDER` reads `request.json`, `rows.arrow` and `model/` there and
writes `predictions.npy` or, where it is asked to probe, `serving.json`; or else `refusal.json` with the
error that the parent raises in its own name.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evergreen.errors import (
    ArtefactDamaged,
    DataUnusable,
    EvergreenError,
    ModelRefused,
    ScoringInterrupted,
    bounded,
)

if TYPE_CHECKING:
    import pyarrow as pa

MODEL_FOLDER = "model"
REQUEST_FILE = "request.json"
ROWS_FILE = "rows.arrow"
PREDICTIONS_FILE = "predictions.npy"
SERVING_FILE = "serving.json"
REFUSAL_FILE = "refusal.json"
REFUSALS: dict[str, type[EvergreenError]] = {
    kind.__name__: kind for kind in (ArtefactDamaged, DataUnusable, ModelRefused, ScoringInterrupted)
}
REFUSED_EXIT = 3

_FORBIDDEN = frozenset(
    {
        "os.exec",
        "os.fork",
        "os.forkpty",
        "os.posix_spawn",
        "os.spawn",
        "os.system",
        "pty.spawn",
        "socket.bind",
        "socket.connect",
        "subprocess.Popen",
    }
)


def main(folder: Path) -> int:
    """Do what `folder` asks for; return the exit code."""
    try:
        request = json.loads((folder / REQUEST_FILE).read_text())
        (_probe if request["probe"] else _score)(folder, request)
    except MemoryError as exc:
        return _refuse(folder, ScoringInterrupted(f"the scoring process ran out of memory: {exc}"))
    except tuple(REFUSALS.values()) as exc:
        return _refuse(folder, exc)
    return 0


def _refuse(folder: Path, exc: EvergreenError) -> int:
    refusal = {"kind": type(exc).__name__, "what": bounded(str(exc), 2000)}
    (folder / REFUSAL_FILE).write_text(json.dumps(refusal))
    return REFUSED_EXIT


def _score(folder: Path, request: Any) -> None:
    import numpy as np
    from joblib import parallel_config  # type: ignore[import-untyped]

    from evergreen.serving.model_files import load
    from evergreen.serving.predictions import predict
    from evergreen.training.frame import feature_frame

    frame = feature_frame(_rows(folder), _features(request))
    _close_doors()
    model = load(folder / MODEL_FOLDER, request["trusted_types"])
    try:
        with parallel_config(backend="threading"):  # an n_jobs of the model starts no process
            predictions = predict(model, frame, tuple(request["classes"]))
    except (TypeError, ValueError, AttributeError) as exc:
        raise DataUnusable(
            f"the model cannot be run on these rows: {type(exc).__name__}: {exc}"
        ) from exc
    np.save(folder / PREDICTIONS_FILE, predictions, allow_pickle=False)


def _probe(folder: Path, request: Any) -> None:
    import pyarrow as pa

    from evergreen.results import to_json
    from evergreen.serving.probe import probe

    pa.set_cpu_count(1)
    rows = _rows(folder).combine_chunks()
    _close_doors()
    serving = probe(
        folder / MODEL_FOLDER,
        rows,
        _features(request),
        tuple(request["classes"]),
        request["reference_rows"],
        request["trusted_types"],
    )
    (folder / SERVING_FILE).write_text(json.dumps(to_json(serving)))


def _rows(folder: Path) -> pa.Table:
    import pyarrow as pa

    with pa.memory_map(str(folder / ROWS_FILE)) as source:
        return pa.ipc.open_file(source).read_all()


def _features(request: Any) -> tuple[Any, ...]:
    from evergreen.results import ColumnType

    return tuple(ColumnType(name, kind) for name, kind in request["features"])


def _close_doors() -> None:
    """From here on, leaving this process is refused (an audit hook cannot be removed again)."""
    import sklearn.ensemble  # noqa: F401 - while the doors are open: importing may start helpers

    sys.addaudithook(_forbid)


def _forbid(event: str, _: tuple[Any, ...]) -> None:
    """Refuse what no honest model does."""
    if event in _FORBIDDEN:
        raise ModelRefused("the model tried to leave its process", got=event)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
