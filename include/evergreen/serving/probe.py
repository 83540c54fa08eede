"""Says whether a model is fit to serve; runs in the child process, on one thread.

What is a fault of the model is a clause among `Serving.faults`. What is measured, is measured over the
whole way from an Arrow row to a prediction: the feature frame is part of it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

from evergreen.column_kinds import kind_of
from evergreen.comparison import Serving
from evergreen.errors import EvergreenError, ModelRefused, bounded
from evergreen.results import ColumnType
from evergreen.serving.model_files import REFERENCE_FILE, load
from evergreen.serving.one_thread import one_thread
from evergreen.serving.predictions import predict
from evergreen.serving.signature import signature_faults
from evergreen.training.frame import feature_frame

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

ROUNDS = 3
WARM_UPS = 5
FEWEST_CALLS = 200
SLOW_SECONDS = 0.05
FEWEST_SLOW_CALLS = 30
LONGEST_BATCH_SECONDS = 1.0
NEVER_SEEN = "a category that no row ever had"
# Alone or in a batch, sums may differ in their last bits; a model that looks at other rows differs more.
ALONE_TOLERANCE = 1e-6
MOST_TIES = 0.01
"""Share of single rows that may be answered otherwise than in the batch: the last bits decide ties."""


@dataclass(frozen=True, slots=True)
class Model:
    """A loaded model with the candidate's features and classes (empty for regression)."""

    loaded: Any
    features: tuple[ColumnType, ...]
    classes: tuple[str, ...]

    def answer(self, rows: pa.Table) -> np.ndarray:
        """Return predictions as a scorer makes them.

        Raises:
            DataUnusable: predictions of a wrong shape, not finite, or no probabilities.
        """
        return predict(self.loaded, feature_frame(rows, self.features), self.classes)


@dataclass(frozen=True, slots=True)
class Speed:
    """How fast a model answers; all 0 where it could not be measured."""

    median_ms: float = 0.0
    p99_ms: float = 0.0
    single_rows: int = 0
    rows_per_second: float = 0.0
    batch_rows: int = 0


def probe(
    folder: Path,
    rows: pa.Table,
    features: tuple[ColumnType, ...],
    classes: tuple[str, ...],
    reference_rows: int,
    trusted_types: Sequence[str],
    round_seconds: float = 0.5,
) -> Serving:
    """Load the model in `folder`, hold it against what its candidate promises, and measure it.

    Single rows are predicted in up to three rounds, as other work on the machine only ever makes a row
    slower: the round with the lowest 99th percentile is kept. A round takes `round_seconds` and at least
    200 predictions, or 30 where one takes longer than 50 ms. Of up to three batches the fastest counts.

    Memory is the peak of this whole process, with the libraries and the rows. The time to load is that
    of the model's own files; importing the libraries comes before it.

    Raises:
        ModelRefused: the model may not be loaded, or tried to leave its process.
    """
    import skops.io  # noqa: F401 - not part of the time to load

    started = perf_counter()
    loaded = load(folder, trusted_types)
    load_ms = (perf_counter() - started) * 1000
    model = Model(loaded, features, classes)
    faults = signature_faults(folder, feature_frame(rows.slice(0, 0), features), classes)
    reproduced, deviation, speed = 0, 0.0, Speed()
    with one_thread():
        with _noting(faults, "the model cannot be run on the test rows"):
            deviation = _deviation(model, folder, rows, reference_rows)
            reproduced = reference_rows
        with _noting(faults, "the model cannot be run on the test rows"):
            speed, unlike = _measure(model, rows, round_seconds)
            if unlike > max(1, MOST_TIES * speed.single_rows):
                raise _Fault(
                    "the model answers rows otherwise alone than among others: "
                    f"{unlike} of {speed.single_rows}"
                )
        for what, row in _odd_rows(rows, features):
            with _noting(faults, f"the model has no answer to {what}"):
                model.answer(row)
    return Serving(
        size_bytes=sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()),
        load_ms=load_ms,
        median_ms=speed.median_ms,
        p99_ms=speed.p99_ms,
        single_rows=speed.single_rows,
        rows_per_second=speed.rows_per_second,
        batch_rows=speed.batch_rows,
        memory_bytes=peak_memory(),
        reproduced_rows=reproduced,
        largest_deviation=deviation,
        faults=tuple(faults),
    )


def peak_memory() -> int:
    """Return the most memory that this process ever held, in bytes.

    On Linux, `ru_maxrss` of a new program starts at the peak of the process that started it; `VmHWM` of
    /proc/self/status is of the program alone.
    """
    import resource

    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


class _Fault(Exception):
    """What a model must do and does not, in words."""


@contextmanager
def _noting(faults: list[str], what: str) -> Iterator[None]:
    """Add what a model raises to its faults; what is not of its making goes on."""
    try:
        yield
    except (MemoryError, ModelRefused):
        raise
    except Exception as exc:  # noqa: BLE001 - a model may raise anything
        said = str(exc) if isinstance(exc, EvergreenError) else f"{type(exc).__name__}: {exc}"
        fault = str(exc) if isinstance(exc, _Fault) else f"{what}: {bounded(said, 300)}"
        if fault not in faults:
            faults.append(fault)


def _deviation(model: Model, folder: Path, rows: pa.Table, reference_rows: int) -> float:
    """Return the largest deviation from the training process's predictions of the first rows."""
    import numpy as np

    if not reference_rows:
        raise _Fault(
            "no predictions of the training process are kept: it was trained by an earlier version of "
            "Evergreen, and a new run trains it anew"
        )
    if rows.num_rows < reference_rows:
        raise _Fault(
            f"predictions of the training process are kept of {reference_rows} rows, and only "
            f"{rows.num_rows} of them were given"
        )
    try:
        kept = np.load(folder / REFERENCE_FILE, allow_pickle=False)
    except (OSError, ValueError) as exc:
        raise _Fault(f"the training process's predictions cannot be read: {exc}") from exc
    found = model.answer(rows.slice(0, reference_rows))
    if kept.dtype != np.float64 or kept.shape != found.shape or not np.isfinite(kept).all():
        raise _Fault(
            f"the training process's predictions are no finite float64 of shape {found.shape}, but "
            f"{kept.dtype} of shape {kept.shape}"
        )
    return float(np.abs(found - kept).max())


def _measure(model: Model, rows: pa.Table, round_seconds: float) -> tuple[Speed, int]:
    """Return the speeds, and how many single rows were answered otherwise than in the batch."""
    import numpy as np

    if not rows.num_rows:
        raise _Fault("there are no rows to measure on")
    together, batch_seconds = _batch(model, rows)
    order = np.random.default_rng(0).permutation(rows.num_rows)
    rounds: list[tuple[np.ndarray, np.ndarray]] = []
    spent = 0.0
    while len(rounds) < ROUNDS and spent < ROUNDS * round_seconds:
        rounds.append(_round(model, rows, order, round_seconds))
        spent += float(rounds[-1][0].sum())
    seconds, alone = min(rounds, key=lambda one: _p99(one[0]))
    speed = Speed(
        median_ms=float(np.median(seconds)) * 1000,
        p99_ms=_p99(seconds) * 1000,
        single_rows=len(seconds),
        rows_per_second=rows.num_rows / batch_seconds,
        batch_rows=rows.num_rows,
    )
    together = together[np.resize(order, len(alone))]
    apart = np.abs(alone - together) > ALONE_TOLERANCE * (1 + np.abs(together))
    return speed, int(apart.reshape(len(alone), -1).any(axis=1).sum())


def _p99(seconds: np.ndarray) -> float:
    import numpy as np

    return float(np.quantile(seconds, 0.99, method="higher"))


def _batch(model: Model, rows: pa.Table) -> tuple[np.ndarray, float]:
    """Return the predictions of all rows and the best time of up to three, in seconds."""
    best = float("inf")
    for _ in range(3):
        started = perf_counter()
        predictions = model.answer(rows)
        last = perf_counter() - started
        best = min(best, last)
        if last > LONGEST_BATCH_SECONDS:
            break
    return predictions, best


def _round(
    model: Model, rows: pa.Table, order: np.ndarray, round_seconds: float
) -> tuple[np.ndarray, np.ndarray]:
    """Predict single rows for a while; return the seconds each took and the answers, `(n_calls, …)`."""
    import numpy as np

    for place in order[:WARM_UPS]:
        model.answer(rows.slice(int(place), 1))
    seconds: list[float] = []
    answers: list[Any] = []
    spent = 0.0
    while spent < round_seconds or len(seconds) < _fewest_calls(spent, len(seconds)):
        row = rows.slice(int(order[len(seconds) % len(order)]), 1)
        started = perf_counter()
        answer = model.answer(row)
        seconds.append(perf_counter() - started)
        spent += seconds[-1]
        answers.append(answer[0])
    return np.array(seconds), np.array(answers)


def _fewest_calls(spent: float, calls: int) -> int:
    return FEWEST_SLOW_CALLS if spent > SLOW_SECONDS * calls else FEWEST_CALLS


def _odd_rows(rows: pa.Table, features: Sequence[ColumnType]) -> Iterator[tuple[str, pa.Table]]:
    import pyarrow as pa

    names = [feature.name for feature in features]
    nulls = pa.table({name: pa.nulls(1, rows.schema.field(name).type) for name in names})
    yield "a row of nulls", nulls
    text = {feature.name for feature in features if kind_of(feature.type) == "text"}
    if text:
        real = rows.slice(0, 1) if rows.num_rows else nulls
        columns = {n: pa.array([NEVER_SEEN]) if n in text else real.column(n) for n in names}
        yield "a row of categories that it never saw", pa.table(columns)
