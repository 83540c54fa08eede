"""Train and test rows, honest or with a feature that tells of the label, and what is found in them."""

from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
from scipy.stats import norm

from evergreen.column_types import TIME
from evergreen.durations import Duration
from evergreen.evidence.leaks import findings
from evergreen.gate_spec import LeakRule
from evergreen.results import ColumnType
from evergreen.spec import Data
from evergreen.window import windows_at

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


def with_column(rows, name, values):
    return rows.append_column(name, values)
