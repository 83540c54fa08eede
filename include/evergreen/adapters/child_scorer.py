"""Runs models in a child process that holds no credentials; only verified files reach it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from evergreen.comparison import Serving
from evergreen.errors import (
    DataUnusable,
    EvergreenError,
    ModelRefused,
    ScoringInterrupted,
    bounded,
)
from evergreen.ports import PROBED_ROWS
from evergreen.redaction import redact
from evergreen.results import Candidate, from_json
from evergreen.serving import child
from evergreen.serving.model_files import fetch, fetch_file, private_folder

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

_PASSED_ON = (
    "LANG",
    "LC_ALL",
    "PATH",
    "OMP_NUM_THREADS",
    "OMP_WAIT_POLICY",
    "LD_LIBRARY_PATH",
    "PYTHONDONTWRITEBYTECODE",
)
_ONE_THREAD = {
    "MKL_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "VECLIB_MAXIMUM_THREADS": "1",
}
_LAST_LINES = 5


class ChildScorer:
    """Runs models that MLflow keeps.

    Args:
        tracking_uri: MLflow's.
        trusted_types: Types a model may hold besides Evergreen's own list.
        timeout_seconds: After which a child is killed.
    """

    def __init__(
        self, tracking_uri: str, trusted_types: tuple[str, ...], timeout_seconds: float = 3600
    ) -> None:
        self._tracking_uri = tracking_uri
        self._trusted_types = trusted_types
        self._timeout_seconds = timeout_seconds

    def predict(self, candidate: Candidate, rows: pa.Table) -> np.ndarray:
        """Return probabilities `(n_rows, n_classes)` in the order of `classes`, or values `(n_rows,)`.

        Columns that are no features of the candidate are ignored.

        Raises:
            ArtefactDamaged: the files are not those of the digest.
            ModelRefused: a flavour or type that is not allowed, or a child that died of the model.
            DataUnusable: the rows lack a feature, or the predictions are not finite.
            ScoringInterrupted: the child was killed, took too long or ran out of memory.
            StoreUnavailable: the artifact store did not answer.
        """
        from evergreen.serving.predictions import check_predictions

        _check_columns(candidate, rows)
        with private_folder() as folder:
            fetch(candidate.model, self._tracking_uri, folder / child.MODEL_FOLDER)
            _write_request(folder, candidate, rows, self._trusted_types, probe=False)
            _run_child(folder, candidate, self._timeout_seconds)
            predictions = _read_predictions(folder)
        check_predictions(predictions, rows.num_rows, candidate.classes)
        return predictions

    def probe(self, candidate: Candidate, rows: pa.Table) -> Serving:
        """Load the candidate in a clean process, on one thread, and say whether it is fit to serve.

        Rows past the first `PROBED_ROWS` are left out. Of up to three rounds of single-row predictions
        the one with the lowest 99th percentile counts, and of up to three batches the fastest: other
        work on this machine only ever makes them slower. Takes a few seconds.

        Raises:
            ArtefactDamaged: the files are not those of the digest.
            ModelRefused: a flavour or type that is not allowed, or a child that died of the model.
            DataUnusable: the rows lack a feature.
            ScoringInterrupted: the child was killed, took too long or ran out of memory.
            StoreUnavailable: the artifact store did not answer.
        """
        rows = rows.slice(0, PROBED_ROWS)
        _check_columns(candidate, rows)
        with private_folder() as folder:
            fetch(candidate.model, self._tracking_uri, folder / child.MODEL_FOLDER)
            _write_request(folder, candidate, rows, self._trusted_types, probe=True)
            _run_child(folder, candidate, self._timeout_seconds, _ONE_THREAD)
            return _read_serving(folder, candidate)

    def verify(self, candidate: Candidate) -> None:
        """Read all files of the candidate and hold them against the ledger's record; runs nothing.

        Raises:
            ArtefactDamaged: the files are not those of the digest.
            StoreUnavailable: the artifact store did not answer.
        """
        with private_folder() as folder:
            fetch(candidate.model, self._tracking_uri, folder / child.MODEL_FOLDER)

    def baseline(self, candidate: Candidate) -> bytes | None:
        """Return the baseline that travels with the candidate's model, verified; None: it has none.

        Raises:
            ArtefactDamaged: the files are not those of the digest.
            StoreUnavailable: the artifact store did not answer.
        """
        from evergreen.profiles.baseline import BASELINE_FILE

        return fetch_file(candidate.model, BASELINE_FILE, self._tracking_uri)


def _check_columns(candidate: Candidate, rows: pa.Table) -> None:
    from evergreen.training.frame import feature_frame

    feature_frame(rows.slice(0, 0), candidate.features)


def _write_request(
    folder: Path, candidate: Candidate, rows: pa.Table, trusted_types: tuple[str, ...], *, probe: bool
) -> None:
    import pyarrow as pa

    features = rows.select([feature.name for feature in candidate.features])
    with pa.ipc.new_file(folder / child.ROWS_FILE, features.schema) as sink:
        sink.write_table(features)
    request = {
        "probe": probe,
        "reference_rows": candidate.reference_rows,
        "features": [[feature.name, feature.type] for feature in candidate.features],
        "classes": list(candidate.classes),
        "trusted_types": list(trusted_types),
    }
    (folder / child.REQUEST_FILE).write_text(json.dumps(request))


def _run_child(
    folder: Path,
    candidate: Candidate,
    timeout_seconds: float,
    environment: Mapping[str, str] | None = None,
) -> None:
    command = [sys.executable, "-P", "-m", "evergreen.serving.child", str(folder)]
    try:
        done = subprocess.run(  # noqa: S603 - our own interpreter and module, no shell
            command,
            env={**_environment(folder), **(environment or {})},
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=timeout_seconds,
            check=False,
        )
    except subprocess.TimeoutExpired as exc:
        raise ScoringInterrupted(
            f"scoring took longer than {timeout_seconds:g} seconds and was ended",
            where=f"candidate {candidate.key}",
        ) from exc
    if done.returncode:
        raise _failure(folder, candidate, done.returncode, done.stderr)


def _environment(folder: Path) -> Mapping[str, str]:
    """Return all the child may know: where programs and packages lie, nothing of connections."""
    passed_on = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    packages = os.pathsep.join(entry for entry in sys.path if Path(entry).is_absolute())
    return {
        "OMP_WAIT_POLICY": "passive",
        **passed_on,
        "PYTHONPATH": packages,
        "HOME": str(folder),
        "TMPDIR": str(folder),
    }


def _failure(folder: Path, candidate: Candidate, exit_code: int, stderr: bytes) -> EvergreenError:
    where = f"candidate {candidate.key}"
    if exit_code == child.REFUSED_EXIT:
        refusal = json.loads((folder / child.REFUSAL_FILE).read_text())
        kind = child.REFUSALS.get(refusal["kind"], ModelRefused)
        return kind(bounded(redact(refusal["what"]), 2000), where=where)
    lines = redact(stderr.decode(errors="replace")).strip().splitlines()[-_LAST_LINES:]
    said = " / ".join(lines) or "nothing"
    if exit_code < 0:
        name = signal.strsignal(-exit_code) or "a signal"
        from_outside = -exit_code in (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
        why = " (the machine may have run out of memory)" if -exit_code == signal.SIGKILL else ""
        return (ScoringInterrupted if from_outside else ModelRefused)(
            f"the scoring process was ended by signal {-exit_code}: {name}{why}",
            where=where,
            got=f"last words: {said}",
        )
    return ModelRefused(
        f"the scoring process failed with exit code {exit_code}", where=where, got=f"last words: {said}"
    )


def _read_predictions(folder: Path) -> np.ndarray:
    import numpy as np

    try:
        predictions: np.ndarray = np.load(folder / child.PREDICTIONS_FILE, allow_pickle=False)
    except (OSError, ValueError) as exc:
        raise DataUnusable(f"the scoring process left no readable predictions: {exc}") from exc
    if predictions.dtype != np.float64:
        raise DataUnusable("the predictions are no numbers", got=str(predictions.dtype))
    return predictions


def _read_serving(folder: Path, candidate: Candidate) -> Serving:
    try:
        serving = from_json(Serving, json.loads((folder / child.SERVING_FILE).read_text()))
    except (OSError, ValueError) as exc:
        raise ModelRefused(
            f"the scoring process left no readable measurements: {bounded(str(exc))}",
            where=f"candidate {candidate.key}",
        ) from exc
    return replace(serving, faults=tuple(bounded(redact(fault)) for fault in serving.faults))
