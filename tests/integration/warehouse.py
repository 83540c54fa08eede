"""A warehouse in PostgreSQL, whose rows are counted there and pulled, and both must agree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

from evergreen.adapters.logged_source import LoggedSource
from evergreen.adapters.sql_counts import SqlCounts
from evergreen.adapters.sql_source import SqlRows
from evergreen.monitor_spec import LoggedPredictions
from evergreen.profiles.layout import Cells, Layout
from evergreen.profiles.profile import Profile, merged
from evergreen.window import Window
from tests.contracts.data_source import data

QUERY = "SELECT * FROM rows WHERE at >= :start AND at < :end"
WEEK = Window(datetime(2013, 3, 8, 5, tzinfo=UTC), datetime(2013, 3, 13, 17, tzinfo=UTC))
"""Not whole days, and New York's clocks change in it."""
COLUMNS = {"id": "bigint", "at": "timestamptz", "answer": "double precision", "version": "bigint"}
ANSWER = Cells("evergreen__prediction", "number", "double", edges=(-1.0, 0.5, 0.7, 1.0))


class Watched(LoggedSource):
    """The rows pulled; it notes that they were."""

    pulls = 0

    def read(self, *asked, **named):
        self.pulls += 1
        return super().read(*asked, **named)


@dataclass
class Warehouse:
    """A database with a table `rows`."""

    url: sa.URL
    run: Any

    def put(self, types: Mapping[str, str], rows: Sequence[Sequence[Any]]) -> None:
        self.run("DROP TABLE IF EXISTS rows")
        names = ", ".join(f'"{name}" {kind}' for name, kind in types.items())
        self.run(f"CREATE TABLE rows ({names})")
        self.run(f"INSERT INTO rows VALUES ({', '.join(['%s'] * len(types))})", rows)

    def sources(
        self, query: str = QUERY, classes=(), named: Mapping[str, Any] | None = None, **fields: Any
    ) -> tuple[SqlCounts, Watched]:
        described = data(**fields)
        source = {"type": "sql", "connection": "w", "query": query}
        named = {"prediction": "answer", "version": "version"} if named is None else named
        logged = LoggedPredictions.model_validate({"source": source, **named})
        rows = SqlRows(self.url, query, described, "m", labelled=False)
        pulled = Watched(rows, described.time_column, logged, classes, "m")
        return SqlCounts(pulled, self.url, query, described, logged, classes, "m"), pulled

    def agree(
        self,
        layout: Layout,
        window: Window = WEEK,
        version: int | None = None,
        pulls: int = 0,
        **asked: Any,
    ) -> Mapping[date, Profile]:
        """Check that the database counts, or the rows are pulled, and that both count the same."""
        counts, pulled = self.sources(**asked)
        pushed = counts.count(window, layout, version)
        assert pulled.pulls == pulls
        wanted = pulled.count(window, layout, version)
        assert list(pushed) == list(wanted)
        for day, profile in wanted.items():
            assert pushed[day].rows == profile.rows, day
            assert pushed[day].problems == profile.problems, day
            assert pushed[day].unseen == profile.unseen, day
            for cells in layout.cells:
                same = pushed[day].of(cells.column).tolist() == profile.of(cells.column).tolist()
                assert same, (day, cells.column, pushed[day].of(cells.column), profile.of(cells.column))
        if wanted:
            columns = merged(wanted.values(), layout).columns
            assert merged(pushed.values(), layout).columns == columns
        return pushed


@pytest.fixture
def postgres(postgres_database):
    url = sa.make_url(postgres_database)
    plain = url.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(plain, autocommit=True) as connection:

        def run(statement, rows=None):
            with connection.cursor() as cursor:
                if rows is None:
                    cursor.execute(statement)
                else:
                    cursor.executemany(statement, rows)

        yield Warehouse(url, run)


def one_row(warehouse, columns: Mapping[str, tuple[str, Any]], at: Any = "2013-03-09 12:00:00Z", **row):
    """Put rows that differ in their columns' values only: as many as the longest of these."""
    types = COLUMNS | {name: kind for name, (kind, _) in columns.items()}
    count = max((len(values) for _, values in columns.values()), default=1)
    plain = {"at": at, "answer": 0.5, "version": 1} | row
    warehouse.put(
        types,
        [
            (i, plain["at"], plain["answer"], plain["version"], *(v[i] for _, v in columns.values()))
            for i in range(count)
        ],
    )
