"""Planted leaks are found, each with its number; honest data raises no suspicion."""

from datetime import UTC, date, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from evergreen.column_types import TIME
from evergreen.durations import Duration
from evergreen.evidence.leaks import findings
from evergreen.evidence.lone_features import FEWEST_ROWS, lone_scores
from evergreen.gate_spec import LeakRule
from evergreen.results import ColumnType
from evergreen.spec import Data
from evergreen.window import Window, Windows, windows_at

MAY = datetime(2013, 5, 1, tzinfo=UTC)
WINDOWS = windows_at(MAY, Duration(3, "months"), Duration(1, "months"), Duration(1, "days"))
N = 2000


def data_of(label="y", delay="1 day"):
    source = {"type": "files", "paths": ["x.csv"], "format": "csv"}
    windows = {"train_window": "3 months", "test_window": "1 month"}
    named = {"time_column": "time", "key": "id", "label": {"column": label, "delay": delay}}
    return Data.model_validate({"source": source} | named | windows)


def times_in(window, n):
    step = (window.end - window.start) / n
    return [window.start + step * row for row in range(n)]


def table(window, first_id, columns):
    n = len(columns["y"])
    times = pa.array(times_in(window, n), TIME)
    return pa.table({"id": np.arange(first_id, first_id + n), "time": times} | columns)


def windows_of(make):
    """Return the train and test rows that `make(rng)` gives for two seeds."""
    return (
        table(WINDOWS.train, 0, make(np.random.default_rng(1))),
        table(WINDOWS.test, 10**6, make(np.random.default_rng(2))),
    )


def features_of(rows):
    names = [name for name in rows.column_names if name not in ("id", "time", "y")]
    return [ColumnType(name, str(rows.schema.field(name).type)) for name in names]


def found(train, test, task="classification", rule=None, windows=WINDOWS, **data):
    rule = rule or LeakRule()
    return findings(rule, data_of(**data), task, windows, features_of(train), train, test)


def scores(make, task="classification"):
    train, test = windows_of(make)
    return dict(lone_scores(train, test, features_of(train), "y", task))


def honest(rng):
    y = rng.random(N) < 0.3
    return {
        "y": y,
        "number": rng.normal(size=N) + y,
        "flag": rng.random(N) < 0.5,
        "code": pa.array([f"c{code}" for code in rng.integers(0, 20, N)]),
        "identifier": pa.array([f"x{code}" for code in rng.integers(0, 2**60, N)]),
        "gaps": pa.array(np.where(rng.random(N) < 0.5, rng.normal(size=N), np.nan), from_pandas=True),
    }


def shifted(auc):
    """Return rows whose feature `x` has this AUC: two normal distributions apart."""
    distance = np.sqrt(2) * norm.ppf(auc)

    def make(rng):
        y = rng.random(10_000) < 0.3
        return {"y": y, "x": rng.normal(size=len(y)) + distance * y}

    return make


def test_honest_rows_raise_no_suspicion():
    assert found(*windows_of(honest)) == ()


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


def with_column(rows, name, values):
    return rows.append_column(name, values)


def stamps(rows, offset, kind=TIME):
    moments = [moment + offset for moment in rows["time"].to_pylist()]
    if kind == pa.date32():
        moments = [moment.date() for moment in moments]
    if kind == pa.string():
        moments = [moment.isoformat() for moment in moments]
    return pa.array(moments, kind)


def stamped(offset, name="at", kind=TIME):
    return [with_column(rows, name, stamps(rows, offset, kind)) for rows in windows_of(honest)]


DAY = timedelta(days=1)


def test_a_time_at_the_moment_the_label_became_known_is_no_leak():
    assert found(*stamped(DAY)) == ()


def test_a_time_after_the_label_is_found_with_share_and_example():
    train, test = stamped(-DAY)
    late = stamps(test, DAY + timedelta(seconds=1))
    moments = [b if row == 5 else a for row, (a, b) in enumerate(zip(test["at"], late, strict=True))]
    moments = pa.array([moment.as_py() for moment in moments], TIME)
    test = test.set_column(test.column_names.index("at"), "at", moments)
    (finding,) = found(train, test)
    moment = late[5].as_py()
    assert (finding.kind, finding.subject) == ("after_label", "at")
    assert f"1 of {2 * N} rows (0.0%)" in finding.words
    assert f"{moment:%Y-%m-%dT%H:%M:%SZ} where it was known at" in finding.words
    assert f"known at {moment - timedelta(seconds=1):%Y-%m-%dT%H:%M:%SZ};" in finding.words
    assert found(train, test, rule=LeakRule(allow=["at"])) == ()


def test_the_label_delay_follows_the_calendar():
    train, test = stamped(timedelta(days=27))
    assert found(train, test, delay="1 month") == ()
    (finding,) = found(*stamped(timedelta(days=32)), delay="1 month")
    assert f"{2 * N} of {2 * N} rows (100.0%)" in finding.words


def test_a_date_counts_from_its_first_moment():
    assert found(*stamped(timedelta(days=1), kind=pa.date32())) == ()
    (finding,) = found(*stamped(timedelta(days=2), kind=pa.date32()))
    assert (finding.kind, finding.subject) == ("after_label", "at")


def test_a_missing_time_is_after_nothing():
    train, test = (
        rows.set_column(rows.column_names.index("at"), "at", pa.array(times, TIME))
        for rows in stamped(2 * DAY)
        for times in [[None] * (len(rows) - 4) + rows["at"].to_pylist()[-4:]]
    )
    late = [finding for finding in found(train, test) if finding.kind == "after_label"]
    assert "8 of 8 rows" in late[0].words


@pytest.mark.parametrize("kind", [TIME, pa.date32(), pa.string()])
def test_a_column_of_computed_at_is_checked_though_it_is_no_feature(kind):
    rule = LeakRule(computed_at=["at"])
    for offset, kinds in ((timedelta(hours=23), []), (3 * DAY, ["after_label"])):
        train, test = stamped(offset, kind=kind)
        features = features_of(train.drop_columns("at"))
        answer = findings(rule, data_of(), "classification", WINDOWS, features, train, test)
        assert [finding.kind for finding in answer] == kinds


def test_allowing_a_column_does_not_excuse_it_as_computed_at():
    rule = LeakRule(computed_at=["at"], allow=["at"])
    assert [finding.kind for finding in found(*stamped(2 * DAY), rule=rule)] == ["after_label"]


@pytest.mark.parametrize(
    ("column", "why"),
    [
        (None, "no column 'at'"),
        (pa.array([1.5] * N), "holds no times"),
        (pa.array(["soon"] * N), "holds no times"),
        (pa.nulls(N, TIME), "is empty"),
        (pa.nulls(N), "is empty"),
    ],
)
def test_a_column_of_computed_at_that_cannot_be_checked_is_told(column, why):
    train, test = windows_of(honest)
    features = features_of(train)
    if column is not None:
        train, test = with_column(train, "at", column), with_column(test, "at", column)
    rule = LeakRule(computed_at=["at"])
    (finding,) = findings(rule, data_of(), "classification", WINDOWS, features, train, test)
    assert (finding.kind, finding.subject) == ("after_label", "at")
    assert why in finding.words
    assert "gate.leaks.computed_at" in finding.words


def test_test_rows_with_the_key_of_a_train_row_are_counted_with_examples():
    train, test = windows_of(honest)
    keys = np.asarray(test["id"]).copy()
    keys[[4, 9, 11, 40]] = [3, 7, 7, 1999]
    (finding,) = found(train, test.set_column(0, "id", pa.array(keys)))
    assert (finding.kind, finding.subject) == ("shared_keys", "id")
    assert f"4 of {N} test rows" in finding.words
    assert "(3, 7, 7)" in finding.words


def test_text_keys_are_compared_as_text():
    train, test = (rows.set_column(0, "id", rows["id"].cast(pa.string())) for rows in windows_of(honest))
    assert found(train, test) == ()
    assert "(0, 1, 2)" in found(train, test.set_column(0, "id", train["id"]))[0].words


def test_windows_that_overlap_are_told_even_where_no_row_does():
    _, test = windows_of(honest)
    begins = WINDOWS.train.end - timedelta(hours=2)
    overlap = Windows(MAY, WINDOWS.train, Window(begins, WINDOWS.test.end))
    early = table(Window(WINDOWS.train.start, begins), 0, honest(np.random.default_rng(1)))
    (finding,) = found(early, test, windows=overlap)
    assert (finding.kind, finding.subject) == ("windows_overlap", "windows")
    assert "2013-03-30T22:00Z" in finding.words
    assert "2013-03-31T00:00Z" in finding.words


def test_train_rows_in_the_test_window_are_counted():
    train, test = windows_of(honest)
    moved = train["time"].to_pylist()
    moved[5], moved[6] = WINDOWS.test.start, WINDOWS.test.start - timedelta(microseconds=1)
    train = train.set_column(1, "time", pa.array(moved, TIME))
    (finding,) = found(train, test)
    assert (finding.kind, finding.subject) == ("windows_overlap", "time")
    assert f"1 of {N} train rows" in finding.words


def test_findings_of_all_kinds_come_together():
    train, test = windows_of(shifted(0.998))
    test = test.set_column(0, "id", train["id"])
    answer = found(
        with_column(train, "day", pa.array([date(2020, 1, 1 + row % 9) for row in range(len(train))])),
        with_column(test, "day", pa.array([date(2020, 1, 1 + row % 9) for row in range(len(test))])),
        windows=Windows(MAY, WINDOWS.test, WINDOWS.test),
    )
    assert [finding.kind for finding in answer] == [
        "windows_overlap",
        "shared_keys",
        "after_label",
        "predicts_alone",
    ]
