"""Models trained, scored and watched within this process: a `ports.Trainer` and a `ports.Scorer`.

Nothing is stored and no process is started. What a clean process would tell of a model (its size, its
latency, whether its files load) is therefore not asked: every model counts as fit to serve.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from evergreen.canonical import digest_of
from evergreen.comparison import Serving
from evergreen.results import Candidate, ModelArtefact, Retrain, Snapshot

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from evergreen.training.fit import Fitted


class ModelsInMemory:
    """Trains and remembers by what decides a training, so that another policy finds the model again."""

    def __init__(self) -> None:
        self._fitted: dict[str, Fitted] = {}
        self._content: dict[str, str] = {}
        self.trained = 0

    def train(
        self,
        key: str,
        retrain: Retrain,
        snapshot: Snapshot,
        train: pa.Table,
        test: pa.Table,
        remember: Callable[[Candidate], None],
        refit_of: Candidate | None = None,
    ) -> Candidate:
        """Return the candidate, fitted now or for another policy that asked for the same.

        Raises:
            DataUnusable: one class, no usable feature, or too few rows.
            TrainingFailed: an unknown estimator or parameter, or the fit failed.
        """
        from evergreen.training.candidate import candidate_of
        from evergreen.training.fit import fit

        content = content_key(retrain, snapshot, refit=refit_of is not None)
        if content not in self._fitted:
            self._fitted[content] = fit(
                retrain.model.spec,
                train,
                test,
                retrain.windows,
                refit_of=refit_of,
                tested_baseline=None if refit_of is None else self._of(refit_of).watched,
            )
            self.trained += 1
        self._content[key] = content
        model = ModelArtefact(f"memory:{content}", content, ())
        candidate = candidate_of(key, content[:32], model, self._fitted[content], refit_of)
        remember(candidate)
        return candidate

    def attach(self, candidate: Candidate, files: Mapping[str, bytes]) -> None:
        """Keep no evidence: the replay's ledger holds the comparison."""

    def finish(self, candidate: Candidate) -> None:
        """Nothing is left open."""

    def predict(self, candidate: Candidate, rows: pa.Table) -> np.ndarray:
        """Return probabilities `(n_rows, n_classes)` or, for regression, values `(n_rows,)`.

        Raises:
            DataUnusable: the rows lack a feature, or give non-finite predictions.
        """
        from evergreen.serving.predictions import predict
        from evergreen.training.frame import feature_frame

        model: Any = self._of(candidate).model
        return predict(model, feature_frame(rows, candidate.features), candidate.classes)

    def probe(self, candidate: Candidate, rows: pa.Table) -> Serving:  # noqa: ARG002
        """Return measurements without a fault: in memory there is nothing to measure."""
        return Serving(
            size_bytes=0,
            load_ms=0.0,
            median_ms=0.0,
            p99_ms=0.0,
            single_rows=0,
            rows_per_second=float("1e12"),
            batch_rows=0,
            memory_bytes=0,
            reproduced_rows=candidate.reference_rows,
            largest_deviation=0.0,
        )

    def verify(self, candidate: Candidate) -> None:
        """Nothing is stored that could be damaged."""

    def baseline(self, candidate: Candidate) -> bytes | None:
        """Return what the model is watched against; None for a refit of a model without a baseline."""
        from evergreen.profiles.codec import baseline_to_bytes

        watched = self._of(candidate).watched
        return None if watched is None else baseline_to_bytes(watched)

    def _of(self, candidate: Candidate) -> Fitted:
        return self._fitted[self._content[candidate.key]]


def content_key(retrain: Retrain, snapshot: Snapshot, *, refit: bool) -> str:
    """Return the digest of all that decides a training: rows, windows, and what `fit` reads of the file.

    Two policies whose files differ in schedule, gate margin or watch alone share their models.
    """
    spec, windows = retrain.model.spec, retrain.windows
    return digest_of(
        {
            "snapshot": snapshot.digest,
            "windows": [
                edge.isoformat()
                for window in (windows.train, windows.test)
                for edge in (window.start, window.end)
            ],
            "data": spec.data.model_dump(mode="json"),
            "train": spec.train.model_dump(mode="json"),
            "metric": spec.gate.metric.model_dump(mode="json"),
            "code": retrain.code_version,
            "refit": refit,
        }
    )
