"""Small, seeded runs to train on: rows of mixed types, a model file, its retrain and its snapshot."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa

from evergreen.durations import Duration
from evergreen.results import ColumnType, PinnedModel, Retrain, Snapshot
from evergreen.spec import ModelSpec
from evergreen.window import windows_at

AS_OF = datetime(2013, 5, 1, tzinfo=UTC)
FEATURES = ["distance", "carrier", "holiday", "scheduled"]


def rows_of(n: int, seed: int, *, label: str = "late") -> pa.Table:
    """Return rows whose label depends on distance and carrier; every seventh carrier is missing."""
    rng = np.random.default_rng(seed)
    distance = rng.normal(size=n)
    carrier = rng.integers(0, 5, n)
    score = distance + (carrier == 2) - 0.5
    labels: Any = rng.random(n) < 1 / (1 + np.exp(-2 * score))
    if label == "minutes":
        labels = 10 * score + rng.normal(size=n)
    times = rng.integers(1_357_000_000, 1_367_000_000, size=(2, n)) * 1_000_000
    return pa.table(
        {
            "id": pa.array(np.arange(n)),
            "time": pa.array(times[0], pa.timestamp("us", tz="UTC")),
            "distance": distance,
            "carrier": pa.array([None if i % 7 == 0 else f"c{c}" for i, c in enumerate(carrier)]),
            "holiday": rng.random(n) < 0.1,
            "scheduled": pa.array(times[1], pa.timestamp("us", tz="UTC")),
            label: labels,
        }
    )


def spec_of(
    name: str = "delays",
    *,
    estimator: str | None = "sklearn.linear_model.LogisticRegression",
    params: dict[str, Any] | None = None,
    metric: str = "log_loss",
    label: str = "late",
    pipeline: str | None = None,
    min_rows: int = 20,
    exclude: tuple[str, ...] = (),
    seed: int = 0,
    train_window: str = "3 months",
    test_window: str = "1 month",
    weight: str | None = None,
) -> ModelSpec:
    return ModelSpec.model_validate(
        {
            "schema_version": 1,
            "name": name,
            "description": "Will it be late?",
            "owner": "ops@example.com",
            "schedule": None,
            "data": {
                "source": {"type": "files", "paths": ["x.csv"], "format": "csv"},
                "time_column": "time",
                "key": "id",
                "label": {"column": label},
                "train_window": train_window,
                "test_window": test_window,
                "weight": weight,
                "min_rows": min_rows,
                "exclude": list(exclude),
            },
            "train": {
                "estimator": None if pipeline else estimator,
                "pipeline": pipeline,
                "params": params or {},
                "seed": seed,
            },
            "gate": {"metric": metric},
        }
    )


def regression_spec(name: str = "minutes", **changes: Any) -> ModelSpec:
    changes = {"estimator": "sklearn.linear_model.Ridge", "metric": "squared_error"} | changes
    return spec_of(name, label="minutes", **changes)


def retrain_of(spec: ModelSpec) -> Retrain:
    windows = windows_at(AS_OF, spec.data.train_window, spec.data.test_window, Duration.parse("0 days"))
    pinned = PinnedModel(spec, None, None, "models", "d" * 64)
    return Retrain(f"{spec.name}/run-1", pinned, windows, "scheduled", "auto", "evergreen 1")


def snapshot_of(retrain: Retrain, rows: pa.Table) -> Snapshot:
    columns = tuple(ColumnType(field.name, str(field.type)) for field in rows.schema)
    return Snapshot("file:///snapshots/e", "e" * 64, retrain.windows.whole, rows.num_rows, columns, ())
