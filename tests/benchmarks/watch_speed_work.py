"""What `watch_speed` times: a check of rows in Parquet, and Evidently's preset on the same rows.

Each piece of work runs in a process of its own, which prints what it measured as JSON.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from tests.benchmarks.trials import generator

NUMBERS, CATEGORIES = 12, (3, 5, 8, 12, 20, 50, 100, 300)
ROWS_A_GROUP = 131_072
WINDOW_DAYS, BASELINE_DAYS = 7, 60
BEGIN = date(2013, 1, 1)
ROUNDS = 9
DAYS_MERGED, FEATURES_MERGED = 365, 50
MICROSECONDS_A_DAY = 86_400_000_000
_TEXTS = [f"category_{place}" for place in range(len(CATEGORIES))]


def alone(work: str, *arguments: object) -> dict[str, Any]:
    """Return what a function of this module gives in a fresh process."""
    said = ", ".join(repr(str(each)) for each in arguments)
    code = f"from tests.benchmarks import watch_speed_work as w; w.say(w.{work}({said}))"
    return _spoken([sys.executable, "-c", code])


def evidently(python: Path, folder: Path) -> dict[str, Any]:
    """Return what one run of Evidently's preset takes, in its own environment."""
    return _spoken([str(python), "-c", _EVIDENTLY, str(folder)])


def say(found: dict[str, Any]) -> None:
    """Print what was measured."""
    print(json.dumps(found))


def make(path: str, rows: str, days: str, first: str) -> dict[str, Any]:
    """Write rows of 12 numbers, three of them with gaps, 8 categories and a time, in order of time."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    count, span = int(rows), int(days)
    rng, writer = generator("speed", path, rows), None
    start = (date.fromisoformat(first) - date(1970, 1, 1)).days * MICROSECONDS_A_DAY
    words = [pa.array([f"value {n}" for n in range(size)]) for size in CATEGORIES]
    for begun in range(0, count, ROWS_A_GROUP):
        size = min(ROWS_A_GROUP, count - begun)
        steps = np.arange(begun, begun + size) * (span * MICROSECONDS_A_DAY // count)
        columns: dict[str, Any] = {"at": pa.array(start + steps, pa.timestamp("us", "UTC"))}
        for place in range(NUMBERS):
            gaps = rng.random(size) < 0.02 if place < 3 else None
            columns[f"number_{place}"] = pa.array(rng.standard_normal(size), mask=gaps)
        for name, named in zip(_TEXTS, words, strict=True):
            codes = np.minimum(rng.geometric(2 / (1 + len(named)), size), len(named)) - 1
            columns[name] = pa.DictionaryArray.from_arrays(codes.astype(np.int32), named)
        table = pa.table(columns)
        writer = writer or pq.ParquetWriter(path, table.schema)
        writer.write_table(table)
    if writer is not None:
        writer.close()
    return {}


def check(folder: str) -> dict[str, Any]:
    """Return the seconds of each round of decoding, of profiling, and of a whole check, in turns."""
    baseline, window = _baseline(folder), Path(folder) / "window.parquet"
    work: dict[str, Callable[[], object]] = {
        "decode": lambda: [None for _ in batches(window)],
        "profile": lambda: _profiled(baseline, window),
        "check": lambda: checked(baseline, window),
    }
    for each in work.values():
        each()
    seconds: dict[str, list[float]] = {name: [] for name in work}
    for _ in range(ROUNDS):
        for name, each in work.items():
            seconds[name].append(_seconds(each))
    return seconds


def memory(folder: str, file: str) -> dict[str, Any]:
    """Return seconds and the peak of a whole check above what the process held with all imported."""
    baseline, window = _baseline(folder), Path(folder) / file
    checked(baseline, Path(folder) / "little.parquet")
    before = _held_from_now()
    seconds = _seconds(lambda: checked(baseline, window))
    return {"seconds": seconds, "memory": _memory("VmHWM") - before}


def merging(days: str, features: str) -> dict[str, Any]:
    """Return the seconds that merging daily profiles takes."""
    import pyarrow as pa

    from evergreen.profiles.codec import days_from_bytes, days_to_bytes
    from evergreen.profiles.count import count_by_day
    from evergreen.profiles.lay_out import lay_out
    from evergreen.profiles.profile import merged
    from evergreen.results import ColumnType

    rng, rows = generator("merging"), 100 * int(days)
    columns: dict[str, Any] = {}
    for place in range(int(features)):
        values = rng.standard_normal(rows) if place % 5 < 3 else rng.integers(0, 40, rows).astype(str)
        columns[f"column_{place}"] = pa.array(values)
    table = pa.table(columns)
    layout = lay_out(table, [ColumnType(field.name, str(field.type)) for field in table.schema])
    at = pa.array(np.arange(rows) // 100 * MICROSECONDS_A_DAY, pa.timestamp("us", "UTC"))
    found = count_by_day(table.append_column("at", at).to_batches(), layout, "at")
    stored = days_from_bytes(days_to_bytes(found), layout)
    return {"seconds": [_seconds(lambda: merged(stored.values(), layout)) for _ in range(ROUNDS)]}


def batches(path: Path) -> Iterator[Any]:
    """Yield the rows of a file as the prediction log does: dictionaries kept, group by group."""
    import pyarrow.parquet as pq

    file = pq.ParquetFile(path, read_dictionary=_TEXTS)
    for group in range(file.num_row_groups):
        yield from file.iter_batches(ROWS_A_GROUP, row_groups=[group])


def checked(baseline: Any, path: Path) -> Any:
    """Return the verdict on the rows of a file: profile, store, read, measure and judge."""
    from evergreen.amounts import Margin
    from evergreen.drift.health import health
    from evergreen.drift.judge import judge
    from evergreen.drift.measure import measure_columns
    from evergreen.monitor_spec import Monitor
    from evergreen.profiles.codec import days_from_bytes, days_to_bytes
    from evergreen.watch_results import Observation
    from evergreen.window import Window

    monitor = Monitor.model_validate({"schedule": "@daily", "window": f"{WINDOW_DAYS} days"})
    end = datetime.combine(_day(BASELINE_DAYS + WINDOW_DAYS), datetime.min.time(), UTC)
    window = Window(end - timedelta(days=WINDOW_DAYS), end)
    days = days_from_bytes(days_to_bytes(_profiled(baseline, path)), baseline.layout)
    rows = sum(day.rows for day in days.values())
    newest = end - timedelta(seconds=1)
    observation = Observation(
        run_key="speed/1",
        as_of=end,
        window=window,
        version=1,
        rows=rows,
        rows_a_day=rows / WINDOW_DAYS,
        checks_a_year=365.25,
        overlap=WINDOW_DAYS,
        features=measure_columns(baseline.layout, baseline.days, days, monitor, baseline.importance),
        health=health(baseline, days, newest, end, window, monitor),
    )
    return judge(observation, monitor, Margin(0.01))


def _baseline(folder: str) -> Any:
    import pyarrow.parquet as pq

    from evergreen.profiles.baseline import Baseline
    from evergreen.profiles.count import count_by_day
    from evergreen.profiles.lay_out import lay_out
    from evergreen.profiles.layout import Layout
    from evergreen.results import ColumnType

    path = Path(folder) / "baseline.parquet"
    table = pq.read_table(path).drop_columns(["at"])
    columns = tuple(ColumnType(field.name, str(field.type)) for field in table.schema)
    layout = lay_out(table, columns)
    return Baseline(
        layout=layout,
        days=count_by_day(batches(path), layout, "at"),
        columns=columns,
        prediction_layout=Layout(()),
        prediction_days={},
        importance={column.name: 1 / len(columns) for column in columns},
        metric="log_loss",
        higher_is_better=False,
        level=None,
        level_days=(),
    )


def _profiled(baseline: Any, path: Path) -> Any:
    from evergreen.profiles.count import count_by_day

    return count_by_day(batches(path), baseline.layout, "at")


def _day(number: int) -> date:
    return BEGIN + timedelta(days=number)


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _held_from_now() -> int:
    """Return the bytes that the process holds, and let Linux look for a new peak."""
    Path("/proc/self/clear_refs").write_text("5")
    return _memory("VmRSS")


def _memory(what: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line.split()[1] for line in lines if line.startswith(f"{what}:")))


def _spoken(command: Sequence[str]) -> dict[str, Any]:
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


_EVIDENTLY = """
import json, sys, time, warnings
from pathlib import Path
import pandas as pd
from evidently import DataDefinition, Dataset, Report
from evidently.presets import DataDriftPreset

def memory(what):
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line.split()[1] for line in lines if line.startswith(what + ":")))

def check(folder, window, before):
    frames = [pd.read_parquet(folder / name).drop(columns="at") for name in (window, before)]
    texts = [name for name in frames[0] if name.startswith("category")]
    for frame in frames:
        frame[texts] = frame[texts].astype(object)
    numbers = [name for name in frames[0] if name not in texts]
    definition = DataDefinition(categorical_columns=texts, numerical_columns=numbers)
    both = [Dataset.from_pandas(frame, data_definition=definition) for frame in frames]
    return Report([DataDriftPreset()], include_tests=True).run(*both).dict()

warnings.simplefilter("ignore")
folder = Path(sys.argv[1])
check(folder, "little.parquet", "little.parquet")
Path("/proc/self/clear_refs").write_text("5")
held, began = memory("VmRSS"), time.perf_counter()
said = check(folder, "window.parquet", "baseline.parquet")
seconds = time.perf_counter() - began
print(json.dumps({"seconds": seconds, "memory": memory("VmHWM") - held, "said": len(said["tests"])}))
"""
