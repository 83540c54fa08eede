"""The process that loads a model and runs it: no credentials, no network, no further processes.

`python -m evergreen.serving.child FOLDER` reads `request.json`, `rows.arrow` and `model/` there and
writes `predictions.npy`, or `refusal.json` with the error that the parent raises in its own name.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from evergreen.errors import ArtefactDamaged, DataUnusable, EvergreenError, ModelRefused, bounded

MODEL_FOLDER = "model"
REQUEST_FILE = "request.json"
ROWS_FILE = "rows.arrow"
PREDICTIONS_FILE = "predictions.npy"
REFUSAL_FILE = "refusal.json"
REFUSALS: dict[str, type[EvergreenError]] = {
    kind.__name__: kind for kind in (ArtefactDamaged, DataUnusable, ModelRefused)
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
    """Score the rows in `folder`; return the exit code."""
    try:
        _score(folder)
    except tuple(REFUSALS.values()) as exc:
        refusal = {"kind": type(exc).__name__, "what": bounded(str(exc), 2000)}
        (folder / REFUSAL_FILE).write_text(json.dumps(refusal))
        return REFUSED_EXIT
    return 0


def _score(folder: Path) -> None:
    import numpy as np
    import pyarrow as pa
    import sklearn.ensemble  # noqa: F401 - before the doors close: importing may start helpers
    from joblib import parallel_config  # type: ignore[import-untyped]

    from evergreen.results import ColumnType
    from evergreen.serving.model_files import load
    from evergreen.training.fit import predict
    from evergreen.training.frame import feature_frame

    request = json.loads((folder / REQUEST_FILE).read_text())
    features = tuple(ColumnType(name, kind) for name, kind in request["features"])
    with pa.memory_map(str(folder / ROWS_FILE)) as source:
        frame = feature_frame(pa.ipc.open_file(source).read_all(), features)
    sys.addaudithook(_forbid)
    model = load(folder / MODEL_FOLDER, request["trusted_types"])
    try:
        with parallel_config(backend="threading"):  # an n_jobs of the model starts no process
            predictions = predict(model, frame, tuple(request["classes"]))
    except (TypeError, ValueError, AttributeError) as exc:
        raise DataUnusable(
            f"the model cannot be run on these rows: {type(exc).__name__}: {exc}"
        ) from exc
    np.save(folder / PREDICTIONS_FILE, predictions, allow_pickle=False)


def _forbid(event: str, _: tuple[Any, ...]) -> None:
    """Close the doors that no honest model uses (an audit hook cannot be removed again)."""
    if event in _FORBIDDEN:
        raise ModelRefused("the model tried to leave its process", got=event)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
