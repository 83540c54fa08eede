"""What every data source must do; a test class inherits this and says how rows are put into it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest

from evergreen.column_types import CANONICAL, TIME, ColumnsSoFar, conform
from evergreen.errors import DataUnusable
from evergreen.ports import DataSource
from evergreen.row_digest import RowDigest
from evergreen.spec import Data
from evergreen.window import Window

MARCH = Window(datetime(2013, 3, 1, tzinfo=UTC), datetime(2013, 4, 1, tzinfo=UTC))
NEW_YORK = "America/New_York"


def data(**fields: Any) -> Data:
    """The data section of a model file; the source is whatever the test made."""
    plain = {
        "source": {"type": "files", "paths": ["*"], "format": "csv"},
        "time_column": "at",
        "key": "id",
        "label": {"column": "late"},
        "train_window": "1 month",
        "test_window": "1 month",
    }
    return Data.model_validate(plain | fields)


def rows(count: int, at: list[datetime] | None = None, **columns: pa.Array) -> pa.Table:
    """Rows with a key, a label and times: one a minute through March unless `at` says other."""
    times = at or [MARCH.start + timedelta(minutes=minute) for minute in range(count)]
    zone = "UTC" if times[0].tzinfo else None
    whole = {
        "id": pa.array(range(count), pa.int64()),
        "at": pa.array(times, pa.timestamp("us", zone)),
        "late": pa.array([number % 2 for number in range(count)], pa.int64()),
    }
    return pa.table(whole | columns)


def table_of(batches: list[pa.RecordBatch]) -> pa.Table:
    """The batches as one table in the types they widened to."""
    columns = ColumnsSoFar()
    schema = [columns.add(batch, "test") for batch in batches][-1]
    return pa.Table.from_batches([conform(batch, schema) for batch in batches])


def digest_of(batches: list[pa.RecordBatch]) -> str:
    table = table_of(batches)
    digest = RowDigest(table.schema)
    for batch in table.to_batches():
        digest.update(batch)
    return digest.hexdigest()


class DataSourceContract(ABC):
    @abstractmethod
    def source(self, table: pa.Table, data: Data) -> DataSource:
        """Put the table where a source finds it and return that source."""

    @pytest.fixture(autouse=True)
    def _places(self, tmp_path):
        self.folder = tmp_path

    def read(self, table: pa.Table, window: Window = MARCH, **fields: Any) -> list[pa.RecordBatch]:
        return list(self.source(table, data(**fields)).read(window))

    def test_a_window_is_half_open_and_its_times_are_utc(self):
        tick = timedelta(seconds=1)
        times = [MARCH.start - tick, MARCH.start, MARCH.end - tick, MARCH.end]
        table = table_of(self.read(rows(4, times)))
        assert table.column("id").to_pylist() == [1, 2]
        assert table.schema.field("at").type == TIME
        assert table.column("at").to_pylist() == times[1:3]

    def test_a_window_that_begins_and_ends_within_a_minute_is_half_open_too(self):
        window = Window(MARCH.start + timedelta(hours=5, seconds=30), MARCH.start + timedelta(hours=6))
        tick = timedelta(seconds=1)
        times = [window.start - tick, window.start, window.end - tick, window.end]
        assert table_of(self.read(rows(4, times), window)).column("id").to_pylist() == [1, 2]

    def test_the_same_rows_come_in_the_same_order(self):
        source = self.source(rows(5000), data())
        assert digest_of(list(source.read(MARCH))) == digest_of(list(source.read(MARCH)))

    def test_batches_are_bounded_and_of_canonical_types(self):
        count = 40_000
        text = pa.array([f"text of row {number}, long enough" for number in range(count)])
        batches = self.read(rows(count, text=text))
        assert max(map(len, batches)) < count
        assert sum(map(len, batches)) == count
        assert {kind for batch in batches for kind in batch.schema.types} <= set(CANONICAL)

    def test_a_window_without_rows_yields_nothing(self):
        long_ago = Window(datetime(2001, 1, 1, tzinfo=UTC), datetime(2001, 2, 1, tzinfo=UTC))
        assert self.read(rows(10), long_ago) == []

    def test_a_column_that_is_empty_for_many_rows_gets_the_type_of_its_first_value(self):
        count = 40_000
        late_number = pa.array([None] * (count - 1) + [1.5], pa.float64())
        late_text = pa.array([None] * (count - 1) + ["x"], pa.string())
        table = table_of(self.read(rows(count, number=late_number, text=late_text)))
        assert table.schema.field("number").type == pa.float64()
        assert table.schema.field("text").type == pa.string()
        assert table.column("text").null_count == count - 1

    def test_whole_numbers_among_fractions_are_fractions(self):
        count = 40_000
        number = pa.array([1.0] * (count - 1) + [1.5])
        assert (
            table_of(self.read(rows(count, number=number))).schema.field("number").type == pa.float64()
        )

    def test_nan_is_missing_and_infinity_stays(self):
        number = pa.array([float("nan"), float("inf"), -float("inf"), None, 2.5])
        table = table_of(self.read(rows(5, number=number)))
        assert table.column("number").to_pylist() == [None, float("inf"), -float("inf"), None, 2.5]

    def test_large_keys_stay_exact(self):
        table = rows(3).set_column(0, "id", pa.array([2**60, 2**60 + 1, 2**53 + 1]))
        assert set(table_of(self.read(table)).column("id").to_pylist()) == {
            2**60,
            2**60 + 1,
            2**53 + 1,
        }

    def test_text_comes_as_it_is(self):
        texts = [
            "Zürich",
            "東京",
            "a,b",
            'say "hi"',
            "line\nbreak",
            "it's",
            "'; DROP TABLE rows; --",
            None,
        ]
        table = table_of(self.read(rows(len(texts), text=pa.array(texts))))
        assert table.column("text").to_pylist() == texts

    def test_ten_thousand_categories_pass(self):
        text = pa.array([f"category {number}" for number in range(10_000)])
        table = table_of(self.read(rows(10_000, text=text)))
        assert len(table.column("text").unique()) == 10_000

    @pytest.mark.parametrize("missing", ["at", "id", "late"])
    def test_a_missing_column_is_named_with_those_there_are(self, missing):
        table = rows(3).rename_columns([f"{n}_" if n == missing else n for n in ("id", "at", "late")])
        with pytest.raises(DataUnusable) as caught:
            self.read(table)
        said = str(caught.value)
        assert f"{missing!r}" in said
        assert f"{missing}_" in said
        assert not caught.value.retryable

    def test_times_without_a_zone_are_wall_clock_times_of_the_models_zone(self):
        walls = [
            datetime.fromisoformat("2013-02-28 18:59"),
            datetime.fromisoformat("2013-02-28 19:00"),
            datetime.fromisoformat("2013-03-31 19:59"),
        ]
        walls.append(
            datetime.fromisoformat("2013-03-31 20:00")
        )  # midnight in UTC: daylight saving began on 10 March
        table = table_of(self.read(rows(4, walls), time_zone=NEW_YORK))
        assert table.column("id").to_pylist() == [1, 2]
        assert table.column("at")[0].as_py() == MARCH.start

    def test_the_repeated_hour_of_a_clock_is_read_as_its_first(self):
        hour = Window(datetime(2013, 11, 3, 5, tzinfo=UTC), datetime(2013, 11, 3, 6, tzinfo=UTC))
        next_hour = Window(hour.end, hour.end + timedelta(hours=1))
        walls = [datetime.fromisoformat("2013-11-03 01:30"), datetime.fromisoformat("2013-11-03 02:30")]
        source = self.source(rows(2, walls), data(time_zone=NEW_YORK))
        read = table_of(list(source.read(hour)))
        assert read.column("at").to_pylist() == [datetime(2013, 11, 3, 5, 30, tzinfo=UTC)]
        assert list(source.read(next_hour)) == []

    def test_dates_are_midnights_of_the_models_zone(self):
        days = pa.array(
            [datetime.fromisoformat("2013-02-28").date(), datetime.fromisoformat("2013-03-01").date()],
            pa.date32(),
        )
        table = rows(2).set_column(1, "at", days)
        window = Window(MARCH.start, MARCH.start + timedelta(days=1))
        read = table_of(self.read(table, window, time_zone=NEW_YORK))
        assert read.column("at").to_pylist() == [datetime(2013, 3, 1, 5, tzinfo=UTC)]

    def test_a_reader_that_stops_early_leaves_nothing_open(self):
        batches = self.source(rows(40_000), data()).read(MARCH)
        next(iter(batches))
        batches.close()  # warnings of unclosed files and connections are errors here
