"""Draws docs/images/gate.png, the gate's page: `python -m tests.benchmarks.gate_picture`.

Two models answer on 9,000 made-up rows of 30 days. The new one is better on the whole and worse at one
airport.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from evergreen import gate
from evergreen.evidence.gather import gather
from evergreen.evidence.judged_rows import JudgedRows
from evergreen.evidence.picture import picture
from evergreen.gate_spec import Gate

ROWS, DAYS, SEED = 9000, 30, 8
RULE = Gate.model_validate(
    {
        "metric": "log_loss",
        "policy": "non_inferiority",
        "margin": 0.001,
        "slices": ["origin", {"column": "distance", "bins": 4}],
        "calibration": {"max_error": 0.05},
    }
)


def main() -> None:
    """Draw the picture."""
    rng = np.random.default_rng(SEED)
    days = np.sort(rng.integers(0, DAYS, ROWS))
    weather = rng.normal(0, 0.4, DAYS)[days]
    distance = rng.uniform(100, 2500, ROWS).round()
    origin = rng.choice(["EWR", "JFK", "LGA", "TEB"], ROWS, p=[0.34, 0.33, 0.315, 0.015])
    score = 1.6 * rng.normal(size=ROWS) - 1.2 + weather
    late = rng.random(ROWS) < _probability(score)
    noise = rng.normal(size=(2, ROWS))
    champion = _probability(1.15 * (score + 0.75 * noise[0]))
    challenger = _probability(score + np.where(origin == "LGA", 1.25, 0.35) * noise[1])
    rows = JudgedRows(np.where(late, "True", "False"), ("False", "True"), days, "day")
    evidence = gather(
        RULE,
        rows,
        {"origin": pa.chunked_array([origin]), "distance": pa.chunked_array([distance])},
        _both(challenger),
        _both(champion),
        _both(np.full(ROWS, 0.27)),
        _both(np.full(ROWS, 0.31)),
    )
    told = replace(gate.compare(RULE, "medium", evidence), champion_version=3)
    Path("docs/images/gate.png").write_bytes(
        picture(told, "flight_delay as of 2013-06-01 (made-up rows)")
    )


def _probability(score: np.ndarray) -> np.ndarray:
    return np.asarray(1 / (1 + np.exp(-score)))


def _both(probability: np.ndarray) -> np.ndarray:
    return np.column_stack([1 - probability, probability])


if __name__ == "__main__":
    main()
