"""A scorer whose answers a test sets; where it sets none, they follow from the model's digest."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from evergreen.errors import DataUnusable
from evergreen.results import Candidate


class FakeScorer:
    """Answers `answers[candidate.key]` where set, else seeded predictions of the right shape.

    `calls` lists the keys of the candidates asked, in order.
    """

    def __init__(self) -> None:
        self.answers: dict[str, np.ndarray] = {}
        self.calls: list[str] = []

    def predict(self, candidate: Candidate, rows: pa.Table) -> np.ndarray:
        self.calls.append(candidate.key)
        lost = [f.name for f in candidate.features if f.name not in rows.column_names]
        if lost:
            raise DataUnusable("the rows lack features of the model", got=", ".join(lost))
        if candidate.key in self.answers:
            answer = self.answers[candidate.key]
            assert len(answer) == rows.num_rows, "the test set an answer for another number of rows"
            return answer
        rng = np.random.default_rng(int(candidate.model.digest[:8], 16))
        if candidate.task == "regression":
            return candidate.baseline[0] + rng.normal(size=rows.num_rows)
        return rng.dirichlet(np.ones(len(candidate.classes)), size=rows.num_rows)
