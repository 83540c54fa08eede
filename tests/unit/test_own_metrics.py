"""A metric of the owner's own: how it is found and called, and what it may return."""

from __future__ import annotations

from dataclasses import replace
from importlib.metadata import EntryPoint
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import f1_score

from evergreen.comparison import Difference
from evergreen.errors import BadConfiguration, DataUnusable
from evergreen.evidence import own_metrics
from evergreen.evidence.judged_rows import JudgedRows
from evergreen.evidence.metrics import row_values, value
from evergreen.evidence.paired import difference
from evergreen.metric_spec import OwnMetric, PlainMetric

RNG = np.random.default_rng(17)
N = 240
ROWS = JudgedRows(RNG.choice(["no", "yes"], N), ("no", "yes"), np.arange(N) // 10, "day")
PREDICTIONS = RNG.dirichlet([1, 1], N)
OTHERS = RNG.dirichlet([1, 1], N)
NUMBERS = JudgedRows(RNG.normal(size=N), (), np.arange(N), "row", RNG.uniform(0.5, 1, N))

not_callable = 3


def squares(labels: Any, predictions: Any, classes: Any, weights: Any) -> Any:
    return (labels - predictions) ** 2


def mean_square(labels: Any, predictions: Any, classes: Any, weights: Any) -> float:
    return float(np.average((labels - predictions) ** 2, weights=weights))


def text_labels(labels: Any, predictions: Any, classes: Any, weights: Any) -> float:
    assert labels.dtype.kind == "U"
    assert classes == ("no", "yes")
    assert predictions.shape == (N, 2)
    assert weights.tolist() == [1.0] * N
    return float(predictions[labels == "yes", 1].mean())


def writing(labels: Any, predictions: Any, classes: Any, weights: Any) -> float:
    predictions[0] = 0
    return 0.0


def too_short(labels: Any, predictions: Any, classes: Any, weights: Any) -> Any:
    return predictions[:3, 0]


def a_word(labels: Any, predictions: Any, classes: Any, weights: Any) -> Any:
    return "good"


def nan(labels: Any, predictions: Any, classes: Any, weights: Any) -> float:
    return float("nan")


def now_and_then(labels: Any, predictions: Any, classes: Any, weights: Any) -> float:
    if not weights[:10].all():
        raise ValueError("the first day is missing")
    return float(predictions[0, 0])


def two_faced(labels: Any, predictions: Any, classes: Any, weights: Any) -> Any:
    return predictions[:, 0] if predictions[0, 0] == PREDICTIONS[0, 0] else 1.0


def f1(labels: Any, predictions: Any, classes: Any, weights: Any) -> float:
    decided = predictions[:, 1] > 0.5
    return float(f1_score(labels == "yes", decided, sample_weight=weights, zero_division=0.0))


def f1_without_weights(labels: Any, predictions: Any, classes: Any, weights: Any) -> float:
    return f1(labels, predictions, classes, None)


def own(name: str, task: str = "classification") -> OwnMetric:
    return OwnMetric(type="own", name=name, task=task, higher_is_better=False)


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    functions = (squares, mean_square, text_labels, writing, too_short, a_word, nan, f1)
    names = [each.__name__ for each in (*functions, now_and_then, two_faced)] + [
        "f1_without_weights",
        "not_callable",
    ]
    found = [EntryPoint(n, f"{__name__}:{n}", "evergreen.metrics") for n in names]
    found += [EntryPoint("twice", f"{__name__}:{n}", "evergreen.metrics") for n in ("nan", "a_word")]
    found += [EntryPoint("gone", "no_such_module_here:metric", "evergreen.metrics")]
    monkeypatch.setattr(
        own_metrics, "entry_points", lambda *, group: [p for p in found if p.group == group]
    )


def test_a_function_gets_text_labels_probabilities_classes_and_weights():
    expected = PREDICTIONS[ROWS.labels == "yes", 1].mean()
    assert value(own("text_labels"), ROWS, PREDICTIONS) == pytest.approx(expected)
    assert row_values(own("text_labels"), ROWS, PREDICTIONS) is None


def test_values_per_row_are_averaged_by_the_rows_weights():
    predictions = RNG.normal(size=N)
    built_in = PlainMetric(type="squared_error")
    metric = own("squares", "regression")
    assert value(metric, NUMBERS, predictions) == value(built_in, NUMBERS, predictions)
    assert np.array_equal(
        row_values(metric, NUMBERS, predictions), row_values(built_in, NUMBERS, predictions)
    )


def test_values_per_row_have_the_interval_of_the_built_in_metric():
    first, second = RNG.normal(size=N), RNG.normal(size=N)
    ours, built_in = (
        difference(metric, NUMBERS, first, second, confidence=0.95, min_clusters=10)
        for metric in (own("squares", "regression"), PlainMetric(type="squared_error"))
    )
    assert ours == built_in


def test_one_value_is_resampled_to_nearly_the_interval_of_its_rows():
    first, second = RNG.normal(size=N), RNG.normal(size=N)
    resampled, by_formula = (
        difference(own(name, "regression"), NUMBERS, first, second, confidence=0.95, min_clusters=10)
        for name in ("mean_square", "squares")
    )
    assert resampled.method == "Poisson bootstrap of 1000 resamples over 240 rows"
    assert resampled.value == pytest.approx(by_formula.value)
    assert resampled.interval.estimate == pytest.approx(by_formula.interval.estimate)
    assert resampled.error == pytest.approx(by_formula.error, rel=0.1)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("writing", r"'writing' failed: ValueError.*read-only"),
        ("too_short", r"another shape; got \(3,\); allowed: .*\(240,\)"),
        ("a_word", r"'a_word' failed: ValueError.*could not convert"),
        ("nan", r"'nan' returns values that are not finite; got 1 of 1"),
    ],
)
def test_what_a_function_may_not_do_is_said(name: str, why: str):
    with pytest.raises(DataUnusable, match=why):
        value(own(name), ROWS, PREDICTIONS)


def test_a_function_that_most_resamples_fail_has_no_interval():
    found = difference(own("now_and_then"), ROWS, PREDICTIONS, OTHERS, confidence=0.95, min_clusters=10)
    assert found.interval is None
    assert "too few" in found.problem
    assert (found.value, found.other) == (PREDICTIONS[0, 0], OTHERS[0, 0])


def compared(name: str, rows: JudgedRows, first: np.ndarray, second: np.ndarray) -> Difference:
    metric = OwnMetric(type="own", name=name, task="classification", higher_is_better=True)
    return difference(metric, rows, first, second, confidence=0.95, min_clusters=10)


@pytest.mark.parametrize("weights", [None, RNG.uniform(0.5, 1, N)])
@pytest.mark.parametrize("constant", [False, True])
def test_one_value_that_ignores_the_weights_is_refused_and_proves_nothing(weights, constant):
    rows = replace(ROWS, weights=weights)
    other = np.tile([0.3, 0.7], (N, 1)) if constant else OTHERS
    with pytest.raises(
        DataUnusable, match=r"gate\.metric: the metric ignores its weights.*f1_without.*sample_weight"
    ):
        compared("f1_without_weights", rows, PREDICTIONS, other)
    with_weights = compared("f1", rows, PREDICTIONS, other)
    assert with_weights.error > 0.01
    assert with_weights.interval.low < with_weights.interval.high


def test_one_value_that_is_certain_of_itself_is_not_blamed_on_weights():
    """Right in every row, and never "yes": F1 is 1 and 0 whatever the weights, and its error unknown."""
    right = np.eye(2)[ROWS.codes]
    found = compared("f1", ROWS, right, np.tile([0.9, 0.1], (N, 1)))
    assert (found.value, found.other, found.interval, found.error) == (1.0, 0.0, None, None)
    assert "the same in every resample" in found.problem


def test_one_value_that_two_models_share_in_every_resample_proves_nothing():
    never = np.tile([0.9, 0.1], (N, 1))
    found = compared("f1", ROWS, never, np.tile([0.8, 0.2], (N, 1)))
    assert (found.interval, found.identical) == (None, False)
    assert "the same in every resample" in found.problem


def test_a_function_that_changes_what_it_returns_is_refused():
    with pytest.raises(DataUnusable, match="a value per row for the other"):
        difference(own("two_faced"), ROWS, PREDICTIONS, OTHERS, confidence=0.95, min_clusters=10)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("squarse", r"no such name is registered; got squarse; allowed: .*squares.*did you mean"),
        ("twice", r"registered more than once; got .*:nan, .*:a_word"),
        ("gone", r"cannot be imported: ModuleNotFoundError"),
        ("not_callable", r"cannot be called; got int"),
    ],
)
def test_a_name_that_cannot_be_called_is_refused(name: str, why: str):
    with pytest.raises(BadConfiguration, match=why):
        value(own(name), ROWS, PREDICTIONS)
