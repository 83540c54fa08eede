"""Every data source keeps the contract, the fake too."""

from __future__ import annotations

import sqlite3

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa

from evergreen.adapters.files_source import FileRows
from evergreen.adapters.sql_source import SqlRows
from evergreen.source_spec import FilesSource
from evergreen.spec import Data
from tests.contracts.data_source import DataSourceContract
from tests.fakes.source import FakeSource

QUERY = 'SELECT * FROM "rows"'


def query_for(table: pa.Table) -> str:
    """A query on the time column, whatever the test named it."""
    name = next(n for n in table.column_names if n.startswith("at"))
    return f'SELECT * FROM "rows" WHERE "{name}" >= :start AND "{name}" < :end'


class TestFakeSource(DataSourceContract):
    def source(self, table: pa.Table, data: Data) -> FakeSource:
        return FakeSource(table, data)


class TestSqliteRows(DataSourceContract):
    def source(self, table: pa.Table, data: Data) -> SqlRows:
        path = self.folder / "warehouse.db"
        values = [
            [
                value if value is None or not name.startswith("at") else _sqlite_text(value)
                for value in column
            ]
            for name, column in zip(table.column_names, table.to_pydict().values(), strict=True)
        ]
        connection = sqlite3.connect(path)
        connection.execute("DROP TABLE IF EXISTS rows")
        names = ", ".join(f'"{name}"' for name in table.column_names)
        connection.execute(f"CREATE TABLE rows ({names})")
        marks = ", ".join("?" * table.num_columns)
        connection.executemany(f"INSERT INTO rows VALUES ({marks})", zip(*values, strict=True))
        connection.commit()
        connection.close()
        return SqlRows(sa.make_url(f"sqlite:///{path}"), query_for(table), data, "model m")


def _sqlite_text(value):
    return value.replace(tzinfo=None).isoformat(" ") if hasattr(value, "hour") else value.isoformat()


@pytest.mark.needs_postgres
class TestPostgresRows(DataSourceContract):
    @pytest.fixture(autouse=True)
    def _database(self, postgres_database):
        self.url = sa.make_url(postgres_database)

    def source(self, table: pa.Table, data: Data) -> SqlRows:
        import psycopg

        kinds = {pa.int64(): "bigint", pa.float64(): "double precision", pa.string(): "text"}
        kinds |= {pa.timestamp("us"): "timestamp", pa.timestamp("us", "UTC"): "timestamptz"}
        kinds[pa.date32()] = "date"
        columns = ", ".join(f'"{field.name}" {kinds[field.type]}' for field in table.schema)
        with psycopg.connect(
            self.url.set(drivername="postgresql").render_as_string(False)
        ) as connection:
            connection.execute(f"CREATE TABLE rows ({columns})")
            with connection.cursor().copy("COPY rows FROM STDIN") as copy:
                for row in zip(*table.to_pydict().values(), strict=True):
                    copy.write_row(row)
        return SqlRows(self.url, query_for(table), data, "model m")


class FilesContract(DataSourceContract):
    def files(self, table: pa.Table, data: Data) -> FileRows:
        source = FilesSource.model_validate(
            {"type": "files", "paths": [f"lake/*.{self.kind}"], "format": self.kind}
        )
        (self.folder / "lake").mkdir(exist_ok=True)
        return FileRows(source, self.folder, data, {})


class TestCsvRows(FilesContract):
    kind = "csv"

    def source(self, table: pa.Table, data: Data) -> FileRows:
        files = self.files(table, data)
        pa_csv.write_csv(table, self.folder / "lake" / "rows.csv")
        return files


class TestParquetRows(FilesContract):
    kind = "parquet"

    def source(self, table: pa.Table, data: Data) -> FileRows:
        files = self.files(table, data)
        half = len(table) // 2
        pq.write_table(table.slice(0, half), self.folder / "lake" / "rows-1.parquet", row_group_size=999)
        pq.write_table(table.slice(half), self.folder / "lake" / "rows-2.parquet")
        return files
