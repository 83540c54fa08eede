"""A scorer whose answers a test sets; where it sets none, they follow from the model's digest."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from evergreen.comparison import Serving
from evergreen.errors import DataUnusable
from evergreen.results import Candidate


class FakeScorer:
    """Answers `answers[candidate.key]` where set, else seeded predictions of the right shape.

    `servings` says by key what a probe finds; where it does not, the candidate is fit to serve. `calls`
    lists the keys of the candidates asked for predictions, `probes` of those probed, in order.
    `baselines` holds those there are, by key.
    """

    def __init__(self) -> None:
        self.answers: dict[str, np.ndarray] = {}
        self.calls: list[str] = []
        self.servings: dict[str, Serving] = {}
        self.probes: list[str] = []
        self.baselines: dict[str, bytes] = {}

    def predict(self, candidate: Candidate, rows: pa.Table) -> np.ndarray:
        self.calls.append(candidate.key)
        _check(candidate, rows)
        if candidate.key in self.answers:
            answer = self.answers[candidate.key]
            assert len(answer) == rows.num_rows, "the test set an answer for another number of rows"
            return answer
        rng = np.random.default_rng(int(candidate.model.digest[:8], 16))
        if candidate.task == "regression":
            return candidate.baseline[0] + rng.normal(size=rows.num_rows)
        return rng.dirichlet(np.ones(len(candidate.classes)), size=rows.num_rows)

    def probe(self, candidate: Candidate, rows: pa.Table) -> Serving:
        self.probes.append(candidate.key)
        _check(candidate, rows)
        if candidate.key in self.servings:
            return self.servings[candidate.key]
        few = rows.num_rows < candidate.reference_rows
        return Serving(
            size_bytes=sum(artefact.size for artefact in candidate.model.artefacts),
            load_ms=10.0,
            median_ms=1.0,
            p99_ms=2.0,
            single_rows=200,
            rows_per_second=1e5,
            batch_rows=rows.num_rows,
            memory_bytes=10**8,
            reproduced_rows=0 if few else candidate.reference_rows,
            largest_deviation=0.0,
            faults=("fewer rows than reference predictions",) if few else (),
        )

    def verify(self, candidate: Candidate) -> None:
        """Nothing is stored that could be damaged."""

    def baseline(self, candidate: Candidate) -> bytes | None:
        return self.baselines.get(candidate.key)


def _check(candidate: Candidate, rows: pa.Table) -> None:
    lost = [f.name for f in candidate.features if f.name not in rows.column_names]
    if lost:
        raise DataUnusable("the rows lack features of the model", got=", ".join(lost))
