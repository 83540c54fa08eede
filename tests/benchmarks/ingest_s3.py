"""Rows per second and peak memory of an ingest from PostgreSQL to S3, beside pandas and boto3.

    python -m tests.benchmarks.ingest_s3 --rows 1000000 10000000 --out ingest_s3.json

PostgreSQL is a real one, S3 is moto's server, both on this machine; each case runs in a process of its
own, one after another on the same rows. The peer reads chunks of 65,536 rows through a server-side
cursor, writes them as one Parquet file and uploads it by boto3's own transfer in parts. Memory is the
process's peak less what it held with everything imported. Evergreen's figures include what the peer
leaves out: ordering, one type per column, the content digest, the check for duplicate keys, page
checksums, fsync, the manifest, and conditional writes.
"""

from __future__ import annotations

import argparse
import json
import logging
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

START = datetime(2013, 1, 1, tzinfo=UTC)
DAYS = 90
CASES = ("evergreen", "pandas and boto3")
BUCKET = "benchmark"
LOGIN = {"aws_access_key_id": "bench", "aws_secret_access_key": "bench-secret"}
MOST_GROWTH_MEGABYTES = 150
QUERY = "SELECT * FROM rows WHERE at >= :start AND at < :end"
MAKE = """
CREATE UNLOGGED TABLE rows AS SELECT
    n AS id,
    timestamptz '2013-01-01 00:00:00+00' + n * (interval '90 days' / {rows}) AS at,
    (hashint4(n) % 2 = 0)::int AS late,
    round((hashint4(n * 3) / 1e6)::numeric, 4)::float8 AS number_0,
    round((hashint4(n * 5) / 1e6)::numeric, 4)::float8 AS number_1,
    (hashint4(n * 7) & 8191) AS count,
    (hashint4(n * 11) & 15) AS hour,
    'word ' || (hashint4(n * 13) & 7) AS text_0,
    'word ' || (hashint4(n * 17) & 511) AS text_1
FROM generate_series(0, {rows} - 1) AS n
"""


def main() -> None:
    """Run every case for every number of rows, print a Markdown table and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000])
    parser.add_argument("--out", type=Path, help="write the figures here as JSON")
    arguments = parser.parse_args()
    figures = [figure for rows in arguments.rows for figure in _run(rows)]
    print(_table(figures))
    if arguments.out:
        arguments.out.write_text(json.dumps(figures, indent=2) + "\n")


def _run(rows: int) -> list[dict[str, Any]]:
    import boto3
    import sqlalchemy as sa
    from moto.server import ThreadedMotoServer

    from tests.integration.postgres import start_postgres

    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    with ExitStack() as stack:
        postgres = stack.enter_context(start_postgres())
        server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
        server.start()
        stack.callback(server.stop)
        host, port = server.get_host_and_port()
        endpoint = f"http://{host}:{port}"
        boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1", **LOGIN).create_bucket(
            Bucket=BUCKET
        )
        url = postgres.url.render_as_string(hide_password=False)
        engine = sa.create_engine(url)
        with engine.begin() as connection:
            connection.exec_driver_sql(MAKE.format(rows=rows).replace("%", "%%"))
            connection.exec_driver_sql("CREATE INDEX ON rows (at, id)")
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql("VACUUM ANALYZE rows")
        engine.dispose()
        figures = {case: {"case": case, "rows": rows} | _child(case, url, endpoint) for case in CASES}
        if any(figure["ingested_rows"] != rows for figure in figures.values()):
            raise SystemExit(f"not all rows arrived: {figures}")
        ours, peer = figures.values()
        ours["speed_over_peer"] = peer["seconds"] / ours["seconds"]
        return list(figures.values())


def _child(case: str, url: str, endpoint: str) -> dict[str, Any]:
    code = "from tests.benchmarks import ingest_s3; ingest_s3.child()"
    said = subprocess.run(
        [sys.executable, "-c", code],
        input=json.dumps([case, url, endpoint]),
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    figures: dict[str, Any] = json.loads(said.stdout)
    return figures


def child() -> None:
    """Do one case in this process and print what it took as JSON."""
    case, url, endpoint = json.load(sys.stdin)
    ingest = (_evergreen if case == CASES[0] else _pandas)(url, endpoint)
    before = _memory("VmRSS")
    start, cpu = time.perf_counter(), time.process_time()
    rows = ingest()
    seconds = time.perf_counter() - start
    figures = {
        "seconds": seconds,
        "cpu_seconds": time.process_time() - cpu,
        "rows_per_second": rows / seconds,
        "peak_megabytes": (_memory("VmHWM") - before) / 1e6,
        "ingested_rows": rows,
    }
    print(json.dumps(figures))


def _memory(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{field}:"))


def _evergreen(url: str, endpoint: str) -> Any:
    import s3fs  # noqa: F401 -- imported before memory is measured
    import sqlalchemy as sa

    from evergreen.adapters.parquet_store import ParquetStore
    from evergreen.adapters.sql_source import SqlRows
    from evergreen.connections import Connection
    from evergreen.spec import Data
    from evergreen.window import Window

    data = Data.model_validate(
        {"source": {"type": "sql", "connection": "c", "query": QUERY}, "time_column": "at", "key": "id"}
        | {"label": {"column": "late"}, "train_window": "60 days", "test_window": "30 days"}
    )
    extra = {"endpoint_url": endpoint, "region_name": "us-east-1"}
    lake = Connection(
        "lake",
        "aws",
        login=LOGIN["aws_access_key_id"],
        password=LOGIN["aws_secret_access_key"],
        extra=extra,
    )

    def ingest() -> int:
        window = Window(START, START + timedelta(days=DAYS))
        source = SqlRows(sa.make_url(url), QUERY, data, "benchmark")
        store = ParquetStore(f"s3://{BUCKET}/evergreen", lake.storage_options())
        return store.write("benchmark", window, source.read(window), data).rows

    return ingest


def _pandas(url: str, endpoint: str) -> Any:
    import boto3
    import pandas as pd
    import pyarrow as pa
    import pyarrow.parquet as pq
    import sqlalchemy as sa

    def ingest() -> int:
        rows = 0
        binds = {"start": START, "end": START + timedelta(days=DAYS)}
        engine = sa.create_engine(url)
        with tempfile.TemporaryDirectory() as folder, engine.connect() as connection:
            path = Path(folder) / "rows.parquet"
            writer = None
            streamed = connection.execution_options(stream_results=True, max_row_buffer=65_536)
            for frame in pd.read_sql(sa.text(QUERY), streamed, params=binds, chunksize=65_536):
                table = pa.Table.from_pandas(frame, preserve_index=False)
                writer = writer or pq.ParquetWriter(path, table.schema, compression="zstd")
                writer.write_table(table)
                rows += len(frame)
            if writer:
                writer.close()
            client = boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1", **LOGIN)
            client.upload_file(str(path), BUCKET, "pandas/rows.parquet")
        engine.dispose()
        return rows

    return ingest


def _table(figures: list[dict[str, Any]]) -> str:
    lines = [
        "| case | rows | seconds | of CPU | rows per second | peak memory, MB | speed over peer |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    for figure in figures:
        over = figure.get("speed_over_peer")
        lines.append(
            f"| {figure['case']} | {figure['rows']:,} | {figure['seconds']:.1f} "
            f"| {figure['cpu_seconds']:.1f} | {figure['rows_per_second']:,.0f} "
            f"| {figure['peak_megabytes']:.0f} | {f'{over:.2f}' if over else ''} |"
        )
    ours = [figure["peak_megabytes"] for figure in figures if figure["case"] == CASES[0]]
    if len(ours) > 1:
        grown = max(ours) - ours[0]
        verdict = "holds" if grown <= MOST_GROWTH_MEGABYTES else "does not hold"
        lines.append("")
        lines.append(
            f"Memory does not grow with the rows ({MOST_GROWTH_MEGABYTES} MB are allowed, for parts in "
            f"flight): {verdict}, {grown:.0f} MB more."
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
