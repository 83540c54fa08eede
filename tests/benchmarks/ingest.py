"""Rows per second and peak memory of ingest, from SQLite and from Parquet, beside plain libraries.

    python -m tests.benchmarks.ingest --rows 1000000 --out ingest.json

Each case runs in a process of its own. Memory is the process's peak less what it held with everything
imported. Evergreen's figures include what the peers leave out: ordering, one type per column, time
zones, the content digest, the check for duplicate keys, page checksums, fsync and the manifest.
"""

from __future__ import annotations

import argparse
import json
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

START = datetime(2013, 1, 1, tzinfo=UTC)
DAYS = 90
ROWS_PER_CHUNK = 100_000
CASES = ("sqlite evergreen", "sqlite pandas", "parquet evergreen", "parquet pyarrow")
PEERS = {"sqlite evergreen": "sqlite pandas", "parquet evergreen": "parquet pyarrow"}
QUERY = "SELECT * FROM rows WHERE at >= :start AND at < :end"


def main() -> None:
    """Run every case for every number of rows, print a Markdown table and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000])
    parser.add_argument("--cases", nargs="+", choices=CASES, default=CASES)
    parser.add_argument("--out", type=Path, help="write the figures here as JSON")
    arguments = parser.parse_args()
    figures = [figure for rows in arguments.rows for figure in _run(rows, arguments.cases)]
    print(_table(figures))
    if arguments.out:
        arguments.out.write_text(json.dumps(figures, indent=2) + "\n")


def _run(rows: int, cases: Sequence[str]) -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory(prefix="evergreen-bench-") as name:
        folder = Path(name)
        _child("make", folder, str(rows))
        figures = {
            case: {"case": case, "rows": rows} | _child("measure", folder, case) for case in cases
        }
        for case, peer in PEERS.items():
            if not {case, peer} <= figures.keys():
                continue
            figures[case]["speed_over_peer"] = figures[peer]["seconds"] / figures[case]["seconds"]
        return list(figures.values())


def _child(mode: str, folder: Path, what: str) -> dict[str, Any]:
    code = f"from tests.benchmarks import ingest; ingest.child({mode!r}, {str(folder)!r}, {what!r})"
    said = subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.PIPE, text=True)
    figures: dict[str, Any] = json.loads(said.stdout)
    return figures


def child(mode: str, folder: str, what: str) -> None:
    """Do one thing in this process and print what it took as JSON."""
    if mode == "make":
        _make(Path(folder), int(what))
        print("{}")
    else:
        print(json.dumps(_measured(what, Path(folder))))


def _measured(case: str, folder: Path) -> dict[str, Any]:
    ingest = _INGEST[case]()
    before = _memory("VmRSS")
    start = time.perf_counter()
    rows = ingest(folder)
    seconds = time.perf_counter() - start
    return {
        "seconds": seconds,
        "rows_per_second": rows / seconds,
        "peak_megabytes": (_memory("VmHWM") - before) / 1e6,
        "ingested_rows": rows,
    }


def _memory(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{field}:"))


def _make(folder: Path, rows: int) -> None:
    """Write the same rows as a SQLite table and as a Parquet file: 12 columns, in order of time."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    dice = np.random.default_rng(2013)
    step = timedelta(days=DAYS) / rows
    database = sqlite3.connect(folder / "rows.db")
    database.execute("PRAGMA synchronous = OFF")
    writer = None
    for first in range(0, rows, ROWS_PER_CHUNK):
        count = min(ROWS_PER_CHUNK, rows - first)
        seconds = (np.arange(first, first + count) * step.total_seconds()).astype("timedelta64[s]")
        times = np.datetime64(START.replace(tzinfo=None), "s") + seconds
        columns: dict[str, Any] = {
            "id": np.arange(first, first + count),
            "at": times.astype("datetime64[us]"),
            "late": dice.integers(0, 2, count),
            **{f"number_{n}": dice.normal(size=count).round(4) for n in range(4)},
            "count": dice.integers(0, 5000, count),
            "hour": dice.integers(0, 24, count),
            **{f"text_{n}": dice.choice(_WORDS[: 10**n * 5], count) for n in range(3)},
        }
        missing = dice.random(count) < 0.05
        table = pa.table(
            {
                name: pa.array(column, mask=missing if name == "number_0" else None)
                for name, column in columns.items()
            }
        )
        writer = writer or pq.ParquetWriter(folder / "rows.parquet", table.schema)
        writer.write_table(table)
        if first == 0:
            database.execute(f"CREATE TABLE rows ({', '.join(table.column_names)})")
        shown = table.set_column(1, "at", pa.array(np.datetime_as_string(times).astype(object)))
        plain = [column.to_pylist() for column in shown.columns]
        plain[1] = [text.replace("T", " ") for text in plain[1]]
        database.executemany(
            f"INSERT INTO rows VALUES ({', '.join('?' * 12)})", zip(*plain, strict=True)
        )
    database.commit()
    database.close()
    if writer:
        writer.close()


_WORDS = [f"word {number}" for number in range(500)]


def _evergreen(kind: str) -> Any:
    import sqlalchemy as sa

    from evergreen.adapters.files_source import FileRows
    from evergreen.adapters.parquet_store import ParquetStore
    from evergreen.adapters.sql_source import SqlRows
    from evergreen.source_spec import FilesSource
    from evergreen.spec import Data
    from evergreen.window import Window

    files = {"type": "files", "paths": ["rows.parquet"], "format": "parquet"}
    data = Data.model_validate(
        {"source": files, "time_column": "at", "key": "id", "label": {"column": "late"}}
        | {"train_window": "60 days", "test_window": "30 days"}
    )

    def ingest(folder: Path) -> int:
        if kind == "sqlite":
            source: Any = SqlRows(sa.make_url(f"sqlite:///{folder}/rows.db"), QUERY, data, "benchmark")
        else:
            source = FileRows(FilesSource.model_validate(files), folder, data, {})
        window = Window(START, START + timedelta(days=DAYS))
        store = ParquetStore(str(folder / f"store-{kind}"), {})
        return store.write("benchmark", window, source.read(window), data).rows

    return ingest


def _pandas() -> Any:
    import pandas as pd
    import pyarrow as pa
    import pyarrow.parquet as pq
    import sqlalchemy as sa

    def ingest(folder: Path) -> int:
        writer, rows = None, 0
        binds = {"start": f"{START:%Y-%m-%d}", "end": f"{START + timedelta(days=DAYS):%Y-%m-%d}"}
        engine = sa.create_engine(f"sqlite:///{folder}/rows.db")
        with engine.connect() as connection:
            for frame in pd.read_sql(
                sa.text(QUERY), connection, params=binds, parse_dates=["at"], chunksize=65_536
            ):
                table = pa.Table.from_pandas(frame, preserve_index=False)
                writer = writer or pq.ParquetWriter(folder / "pandas.parquet", table.schema)
                writer.write_table(table)
                rows += len(frame)
        if writer:
            writer.close()
        return rows

    return ingest


def _pyarrow() -> Any:
    import pyarrow.parquet as pq

    def ingest(folder: Path) -> int:
        rows = 0
        with pq.ParquetFile(folder / "rows.parquet") as reader:
            writer = pq.ParquetWriter(folder / "copy.parquet", reader.schema_arrow)
            for batch in reader.iter_batches(65_536):
                writer.write_batch(batch)
                rows += len(batch)
        writer.close()
        return rows

    return ingest


_INGEST = {
    "sqlite evergreen": lambda: _evergreen("sqlite"),
    "sqlite pandas": _pandas,
    "parquet evergreen": lambda: _evergreen("parquet"),
    "parquet pyarrow": _pyarrow,
}


def _table(figures: list[dict[str, Any]]) -> str:
    lines = [
        "| case | rows | seconds | rows per second | peak memory, MB | speed over peer |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    for figure in figures:
        over = figure.get("speed_over_peer")
        lines.append(
            f"| {figure['case']} | {figure['rows']:,} | {figure['seconds']:.1f} "
            f"| {figure['rows_per_second']:,.0f} | {figure['peak_megabytes']:.0f} "
            f"| {f'{over:.2f}' if over else ''} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
