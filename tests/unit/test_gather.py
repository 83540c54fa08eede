"""What is measured for the gate, as a whole: all numbers are finite, and what is missing says why."""

import numpy as np
import pytest

from evergreen.canonical import canonical
from evergreen.errors import DataUnusable
from evergreen.evidence.gather import gather
from evergreen.evidence.judged_rows import JudgedRows
from evergreen.gate import compare
from evergreen.gate_spec import Gate
from evergreen.results import to_json

N = 600
DAYS = np.arange(N) % 20
MOSTLY_ONE_DAY = np.maximum(np.arange(N) - 500, 0) // 5


def rule(metric: str = "log_loss") -> Gate:
    bounds = {} if metric in ("poisson_loss", "squared_error") else {"calibration": {"max_error": 0.1}}
    return Gate.model_validate({"metric": metric, **bounds})


def measured(metric: str, clusters: np.ndarray, distance: float = 0.2, weights=None):
    """Return the evidence of models whose probabilities lie about `distance` apart."""
    random = np.random.default_rng(3)
    yes = random.random(N) < 0.4
    rows = JudgedRows(np.where(yes, "yes", "no"), ("no", "yes"), clusters, "day", weights)
    first, second = (0.5 + distance * (yes - 0.5 + random.normal(0, 0.3, N)) for _ in range(2))
    models = [np.column_stack([1 - p, p]) for p in (first, second, np.full(N, 0.4))]
    return gather(rule(metric), rows, {}, *models, None)


@pytest.mark.parametrize("metric", ["log_loss", "accuracy", "roc_auc", "average_precision"])
@pytest.mark.parametrize("clusters", [DAYS, MOSTLY_ONE_DAY, np.zeros(N, dtype=int)])
@pytest.mark.parametrize("distance", [0.2, 1e-9, 1e-16, 0.0])
def test_every_number_of_the_evidence_is_finite(metric, clusters, distance):
    weights = np.random.default_rng(4).lognormal(0, 3, N)
    for weighed in (None, weights):
        assert canonical(to_json(measured(metric, clusters, distance, weighed)))


def test_calibration_on_too_few_days_is_inconclusive_and_says_why():
    for clusters, why in (
        (DAYS % 4, "only 4 days, at least 10 are needed"),
        (MOSTLY_ONE_DAY, "the rows fall so unevenly into 20 days that they count as 1.4 of equal size"),
    ):
        evidence = measured("log_loss", clusters)
        assert (evidence.calibration, evidence.champion_calibration) == (None, None)
        (check,) = [c for c in compare(rule(), "high", evidence).checks if c.name == "calibration"]
        assert check.verdict == "inconclusive"
        assert check.words.startswith(
            f"inconclusive: there are too few days to judge calibration: {why}"
        )


def test_calibration_on_enough_days_is_measured():
    evidence = measured("log_loss", DAYS)
    assert evidence.problems == ()
    assert evidence.calibration.slope is not None


@pytest.mark.parametrize("whose", ["challenger", "champion"])
@pytest.mark.parametrize(
    ("metric", "prediction", "why"),
    [
        ("poisson_loss", 0.0, "predicted means, and there are some of 0 or less"),
        ("squared_error", np.nan, "not finite"),
    ],
)
def test_predictions_that_the_metric_cannot_read_name_their_model(whose, metric, prediction, why):
    labels = np.random.default_rng(5).poisson(3, N).astype(float)
    rows = JudgedRows(labels, (), DAYS, "day")
    models = {"challenger": labels + 1, "champion": labels + 2}
    models[whose] = np.where(np.arange(N) == 7, prediction, labels + 1)
    with pytest.raises(DataUnusable, match=f"the {whose}'s predictions cannot be judged: .*{why}"):
        gather(rule(metric), rows, {}, models["challenger"], models["champion"], labels + 3, None)
