"""A feature that tells the label alone is found with its score, and a strong but honest one passes."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest
from sklearn.metrics import roc_auc_score

from evergreen.column_types import TIME
from evergreen.evidence.lone_features import FEWEST_ROWS, lone_scores
from evergreen.gate_spec import LeakRule
from tests.unit.leaks_bench import N, features_of, found, honest, shifted, windows_of


def scores(make, task="classification"):
    train, test = windows_of(make)
    return dict(lone_scores(train, test, features_of(train), "y", task))


def test_an_identifier_scores_like_a_coin_although_it_tells_train_rows_apart():
    assert scores(honest)["identifier"] == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("auc", [0.6, 0.95, 0.98])
def test_a_strong_but_honest_feature_is_scored_as_it_is_and_passes(auc):
    train, test = windows_of(shifted(auc))
    (score,) = dict(lone_scores(train, test, features_of(train), "y", "classification")).values()
    oracle = roc_auc_score(np.asarray(test["y"]), np.asarray(test["x"]))
    assert oracle <= score <= oracle + 0.002
    assert found(train, test) == ()


def test_a_feature_that_follows_from_the_label_is_found_with_its_score():
    train, test = windows_of(shifted(0.998))
    (finding,) = found(train, test)
    assert (finding.kind, finding.subject) == ("predicts_alone", "x")
    score = dict(lone_scores(train, test, features_of(train), "y", "classification"))["x"]
    assert f"ROC AUC {score:.4f}" in finding.words
    assert "data.exclude" in finding.words
    assert "gate.leaks.allow" in finding.words


def test_an_allowed_column_is_not_looked_at():
    train, test = windows_of(shifted(0.998))
    assert found(train, test, rule=LeakRule(allow=["x"])) == ()


def hours(y):
    base = datetime(2013, 1, 5, tzinfo=UTC)
    return pa.array([base + timedelta(hours=int(9 + late)) for late in y], TIME)


@pytest.mark.parametrize(
    "leak",
    [
        lambda y, rng: y,
        lambda y, rng: ~y,
        lambda y, rng: np.where(y, 1e300, -1e300),
        lambda y, rng: np.where(y, np.inf, 1.0),
        lambda y, rng: np.abs(np.where(y, 2, 5) + rng.uniform(-1, 1, N)),
        lambda y, rng: np.where(y, 0, rng.choice([-1.0, 1.0], N)),  # tells by its middle
        lambda y, rng: 1_700_000_000_000_000 + y,
        lambda y, rng: pa.array(np.where(y, rng.normal(size=N), np.nan), from_pandas=True),
        lambda y, rng: pa.array([None if late else "on time" for late in y], pa.string()),
        lambda y, rng: pa.array(
            [f"{late}{code}" for late, code in zip(y, rng.integers(0, 30, N), strict=True)]
        ),
        lambda y, rng: hours(y),
    ],
    ids=[
        "copy",
        "opposite",
        "beyond float32",
        "missing like infinite",
        "threshold",
        "middle",
        "last digit",
        "missing",
        "missing text",
        "many texts",
        "hour",
    ],
)
def test_a_planted_label_is_found_in_whatever_it_is_written(leak):
    def make(rng):
        y = rng.random(N) < 0.3
        return {"y": y, "honest": rng.normal(size=N), "x": leak(y, rng)}

    assert [f.subject for f in found(*windows_of(make)) if f.kind == "predicts_alone"] == ["x"]


def rare(positives):
    def make(rng):
        y = np.zeros(50_000, bool)
        y[rng.choice(len(y), positives, replace=False)] = True
        return {"y": y, "x": y + rng.uniform(0, 0.5, len(y)), "noise": rng.normal(size=len(y))}

    return make


def test_a_leak_of_a_rare_class_is_found():
    assert [finding.subject for finding in found(*windows_of(rare(FEWEST_ROWS)))] == ["x"]


def test_a_class_of_too_few_rows_is_not_judged():
    assert scores(rare(FEWEST_ROWS - 1)) == {}


def test_a_class_that_one_window_lacks_is_not_judged():
    train, test = windows_of(shifted(0.998))
    only = test.set_column(test.column_names.index("y"), "y", pa.array([True] * len(test)))
    assert found(train, only) == ()


@pytest.mark.parametrize("count", [3, 10, 40])
def test_a_leak_of_several_classes_is_found_and_an_honest_feature_is_not(count):
    def make(rng):
        y = rng.integers(0, count, 200 * count)
        return {
            "y": pa.array([f"class {code}" for code in y]),
            "code": y + 7,
            "text": pa.array([f"t{code}" for code in y]),
            "weak": y + rng.normal(size=len(y)) * count,
        }

    train, test = windows_of(make)
    assert {finding.subject for finding in found(train, test)} == {"code", "text"}


def test_null_labels_are_left_out():
    def make(rng):
        columns = shifted(0.998)(rng)
        y = pa.array([None if row % 3 == 0 else bool(late) for row, late in enumerate(columns["y"])])
        return columns | {"y": y}

    assert [finding.subject for finding in found(*windows_of(make))] == ["x"]


def regression(make_label, make_feature):
    def make(rng):
        y = make_label(rng)
        return {"y": y, "x": make_feature(y, rng), "noise": rng.normal(size=N)}

    return make


NORMAL = lambda rng: rng.normal(size=N)  # noqa: E731
HEAVY = lambda rng: rng.lognormal(2, 2, size=N)  # noqa: E731


@pytest.mark.parametrize("label", [NORMAL, HEAVY], ids=["normal", "heavy tails"])
@pytest.mark.parametrize(
    "leak",
    [
        lambda y, rng: y,
        lambda y, rng: -60 * y + 3,
        lambda y, rng: np.arctan(y),
        lambda y, rng: np.where(np.arange(N) == 7, 1e12, y),
    ],
    ids=["copy", "other unit", "curve", "one outlier"],
)
def test_a_planted_value_is_found(label, leak):
    (finding,) = found(*windows_of(regression(label, leak)), task="regression")
    assert (finding.kind, finding.subject) == ("predicts_alone", "x")
    assert "R²" in finding.words


def test_a_text_that_holds_the_value_is_found():
    make = regression(lambda rng: rng.integers(0, 30, N).astype(float), lambda y, rng: y.astype(str))
    (finding,) = found(*windows_of(make), task="regression")
    assert finding.subject == "x"


@pytest.mark.parametrize("r2", [0.8, 0.9, 0.97])
def test_a_strong_but_honest_feature_of_a_regression_passes(r2):
    noise = np.sqrt(1 / r2 - 1)
    make = regression(NORMAL, lambda y, rng: y + noise * rng.normal(size=N))
    assert r2 - 0.05 < scores(make, "regression")["x"] < r2 + 0.02
    assert found(*windows_of(make), task="regression") == ()


def test_a_constant_label_is_not_judged():
    assert scores(regression(lambda rng: np.ones(N), lambda y, rng: y), "regression") == {}


def test_a_feature_without_any_value_in_a_window_is_judged_as_useless():
    train, test = windows_of(shifted(0.998))
    nothing = pa.nulls(len(test), pa.float64())
    empty = test.set_column(test.column_names.index("x"), "x", nothing)
    assert found(train, empty) == ()
    assert found(train.set_column(3, "x", pa.nulls(len(train), pa.float64())), test) == ()


def test_the_same_rows_give_the_same_scores():
    def make(rng):
        y = rng.random(60_000) < 0.3
        return {"y": y, "x": rng.normal(size=len(y)) + y}

    assert scores(make) == scores(make)
