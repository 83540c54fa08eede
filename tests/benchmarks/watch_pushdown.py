"""Counting a window's rows in PostgreSQL against pulling them and counting here.

    python -m tests.benchmarks.watch_pushdown --rows 1000000 --out pushdown.json

A window of 7 days with 12 columns of numbers, 8 of categories and a prediction. Each case runs in a
process of its own against one throw-away server on this machine, so that a network, which pulling would
have to cross, costs nothing here. Memory is the process's peak less what it held with everything
imported; the server's is not in it. Both must give the same counts, or the run fails.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.integration.postgres import start_postgres

START = datetime(2013, 3, 1, tzinfo=UTC)
DAYS = 7
NUMBERS, CATEGORIES = 12, 8
ROWS_PER_CHUNK = 50_000
CASES = ("pulled", "in the database")
QUERY = "SELECT * FROM rows WHERE at >= :start AND at < :end"
_BYTES_RECEIVED = 128
"""Where `tcpi_bytes_received` stands in Linux's `struct tcp_info`."""


def main() -> None:
    """Run both cases for every number of rows, print a Markdown table and write the figures."""
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
    with start_postgres() as server:
        url = server.url.render_as_string(hide_password=False)
        _child("make", url, str(rows))
        figures = [{"case": case, "rows": rows} | _child("measure", url, case) for case in cases]
    if len({figure.pop("counts") for figure in figures}) > 1:
        raise SystemExit("the cases do not count the same")
    for figure in figures:
        figure["speed_over_pulled"] = figures[0]["seconds"] / figure["seconds"]
    return figures


def _child(mode: str, url: str, what: str) -> dict[str, Any]:
    code = f"from tests.benchmarks import watch_pushdown as it; it.child({mode!r}, {url!r}, {what!r})"
    said = subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.PIPE, text=True)
    figures: dict[str, Any] = json.loads(said.stdout)
    return figures


def child(mode: str, url: str, what: str) -> None:
    """Do one thing in this process and print what it took as JSON."""
    if mode == "make":
        _make(url, int(what))
        print("{}")
    else:
        print(json.dumps(_measured(url, what)))


def _measured(url: str, case: str) -> dict[str, Any]:
    import sqlalchemy as sa

    from evergreen.canonical import digest_of
    from evergreen.window import Window

    pulled, pushed, layout = _prepared(url)
    received: list[int] = []

    def closing(connection: Any, _record: Any) -> None:
        with socket.socket(fileno=os.dup(connection.fileno())) as peer:
            told = peer.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _BYTES_RECEIVED + 8)
        received.append(struct.unpack_from("Q", told, _BYTES_RECEIVED)[0])

    sa.event.listen(sa.pool.Pool, "close", closing)
    window = Window(START, START + timedelta(days=DAYS))
    before = _memory("VmRSS")
    start = time.perf_counter()
    days = (pulled if case == "pulled" else pushed).count(window, layout)
    seconds = time.perf_counter() - start
    if len(received) > 1:
        raise SystemExit("the database did not count: the rows were pulled")
    return {
        "seconds": seconds,
        "peak_megabytes": (_memory("VmHWM") - before) / 1e6,
        "wire_megabytes": sum(received) / 1e6,
        "counts": digest_of([[str(day), days[day].counts.tolist()] for day in sorted(days)]),
    }


def _memory(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{field}:"))


def _prepared(url: str) -> tuple[Any, Any, Any]:
    """Return the rows pulled, the rows counted where they are, and a layout of other rows."""
    import pyarrow as pa
    import sqlalchemy as sa

    from evergreen.adapters.logged_source import LoggedSource
    from evergreen.adapters.sql_counts import SqlCounts, counting, newest  # noqa: F401
    from evergreen.adapters.sql_source import SqlRows
    from evergreen.monitor_spec import LoggedPredictions
    from evergreen.profiles.lay_out import lay_out
    from evergreen.profiles.layout import Layout
    from evergreen.results import ColumnType
    from evergreen.spec import Data

    source = {"type": "sql", "connection": "warehouse", "query": QUERY}
    data = Data.model_validate(
        {"source": source, "time_column": "at", "key": "id", "label": {"column": "late"}}
        | {"train_window": "60 days", "test_window": "30 days"}
    )
    logged = LoggedPredictions.model_validate({"source": source, "prediction": "answer"})
    rows = SqlRows(sa.make_url(url), QUERY, data, "benchmark", labelled=False)
    pulled = LoggedSource(rows, "at", logged, ("False", "True"), "benchmark")
    pushed = SqlCounts(pulled, sa.make_url(url), QUERY, data, logged, ("False", "True"), "benchmark")
    columns = _columns(20_000, 2012)
    del columns["id"], columns["at"], columns["late"]
    table = pa.table(columns)
    cells = lay_out(table, [ColumnType(field.name, str(field.type)) for field in table.schema]).cells
    answer = replace(cells[-1], column="evergreen__p__True")
    return pulled, pushed, Layout((*cells[:-1], answer))


def _columns(count: int, seed: int, first: int = 0, of: int = 1) -> dict[str, Any]:
    import numpy as np

    dice = np.random.default_rng(seed)
    microseconds = ((np.arange(first, first + count)) * (DAYS * 86_400e6 / of)).astype(np.int64)
    words = [f"word {number}" for number in range(80)]
    shares = 1 / np.arange(1, len(words) + 1)
    columns: dict[str, Any] = {
        "id": np.arange(first, first + count),
        "at": np.datetime64(START.replace(tzinfo=None), "us") + microseconds.astype("timedelta64[us]"),
        "late": dice.integers(0, 2, count),
    }
    for number in range(NUMBERS):
        values = dice.normal(size=count) if number % 3 else dice.integers(0, 5000, count) * 1.0
        columns[f"number_{number}"] = values.round(4)
    for number in range(CATEGORIES):
        some = 5 * 2 ** (number // 2)
        weights = shares[:some] / shares[:some].sum()
        columns[f"category_{number}"] = dice.choice(words[:some], count, p=weights)
    return columns | {"answer": dice.random(count).round(6)}


def _make(url: str, rows: int) -> None:
    """Write the table, in order of time."""
    import io

    import psycopg
    import pyarrow as pa
    import pyarrow.csv as csv
    import sqlalchemy as sa

    plain = sa.make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    kinds = {"id": "bigint", "at": "timestamptz", "late": "integer"}
    kinds |= {f"number_{n}": "double precision" for n in range(NUMBERS)}
    kinds |= {f"category_{n}": "text" for n in range(CATEGORIES)} | {"answer": "double precision"}
    with psycopg.connect(plain, autocommit=True) as connection:
        named = ", ".join(f"{name} {kind}" for name, kind in kinds.items())
        connection.execute(f"CREATE TABLE rows ({named})")
        for first in range(0, rows, ROWS_PER_CHUNK):
            count = min(ROWS_PER_CHUNK, rows - first)
            table = pa.table(_columns(count, 2013 + first, first, rows))
            zoned = table.column("at").cast(pa.timestamp("us", "UTC"))
            table = table.set_column(1, "at", zoned)
            content = io.BytesIO()
            csv.write_csv(table, content, csv.WriteOptions(include_header=False))
            with connection.cursor().copy("COPY rows FROM STDIN (FORMAT csv)") as copy:
                copy.write(content.getvalue())
        connection.execute("CREATE INDEX ON rows (at)")
        connection.execute("ANALYZE rows")


def _table(figures: list[dict[str, Any]]) -> str:
    lines = [
        "| counted | rows | seconds | speed over pulled | peak memory, MB | over the wire, MB |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    lines += [
        f"| {figure['case']} | {figure['rows']:,} | {figure['seconds']:.1f} "
        f"| {figure['speed_over_pulled']:.1f} | {figure['peak_megabytes']:.0f} "
        f"| {figure['wire_megabytes']:.2f} |"
        for figure in figures
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
