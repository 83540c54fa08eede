"""What a replay remembers of sources and logs is what they would have said again."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from evergreen.adapters.prediction_log import ParquetLog
from evergreen.errors import SourceUnavailable
from evergreen.replay.kept import KeptRows
from evergreen.replay.remembered import RememberedLog, RememberedSource
from evergreen.window import Window

FIRST = datetime(2024, 3, 1, tzinfo=UTC)
DAY = timedelta(days=1)


def days(start: int, end: int) -> Window:
    return Window(FIRST + start * DAY, FIRST + end * DAY)


def batch(start: int, end: int, kind: pa.DataType) -> pa.RecordBatch:
    """Return a row for each hour of these days."""
    hours = range(24 * start, 24 * end)
    at = pa.array([FIRST + timedelta(hours=hour) for hour in hours], pa.timestamp("us", "UTC"))
    return pa.record_batch({"at": at, "x": pa.array(hours).cast(kind)})


class Hours:
    """A source whose column x widens on the third day; `failure` is raised by the next read, halfway."""

    def __init__(self) -> None:
        self.asked: list[Window] = []
        self.failure: Exception | None = None

    def read(self, window: Window) -> Iterator[pa.RecordBatch]:
        self.asked.append(window)
        first, last = ((edge - FIRST) // DAY for edge in (window.start, window.end))
        for day in range(first, last):
            if self.failure is not None and day > first:
                failure, self.failure = self.failure, None
                raise failure
            yield batch(day, day + 1, pa.int64() if day < 2 else pa.float64())


def hours_of(batches: Iterator[pa.RecordBatch]) -> list[float]:
    return [value for one in batches for value in one.column("x").to_pylist()]


@pytest.fixture
def source() -> Hours:
    return Hours()


@pytest.fixture
def remembered(source: Hours, tmp_path: Path) -> RememberedSource:
    return RememberedSource(source, tmp_path / "rows", "at")


def test_a_window_is_asked_for_once_and_keeps_its_types(source: Hours, remembered: RememberedSource):
    first = list(remembered.read(days(0, 4)))
    assert list(remembered.read(days(0, 4))) == first
    assert first == list(Hours().read(days(0, 4)))
    assert source.asked == [days(0, 4)]


def test_a_window_within_a_known_one_is_cut_out_of_it(source: Hours, remembered: RememberedSource):
    list(remembered.read(days(0, 4)))
    assert hours_of(remembered.read(days(1, 3))) == [*range(24, 72)]
    noon = timedelta(hours=12)
    cut = Window(FIRST + noon, FIRST + DAY + noon)
    assert hours_of(remembered.read(cut)) == [*range(12, 36)]
    assert source.asked == [days(0, 4)]
    assert hours_of(remembered.read(days(3, 5))) == [*range(72, 120)]
    assert source.asked[1:] == [days(3, 5)], "it reaches beyond what is known"


def test_a_reading_that_fails_halfway_is_not_remembered(source: Hours, remembered: RememberedSource):
    source.failure = SourceUnavailable("gone")
    with pytest.raises(SourceUnavailable):
        list(remembered.read(days(0, 2)))
    assert hours_of(remembered.read(days(0, 2))) == [*range(48)]


def test_rows_that_memory_let_go_come_from_the_file(source: Hours, tmp_path: Path):
    small = RememberedSource(source, tmp_path / "rows", "at", kept=KeptRows(most_bytes=1))
    assert hours_of(small.read(days(0, 2))) == hours_of(small.read(days(0, 2))) == [*range(48)]
    assert source.asked == [days(0, 2)]


def test_what_was_not_asked_for_the_longest_goes_first():
    one = batch(0, 1, pa.int64())
    kept = KeptRows(most_bytes=2 * one.nbytes)
    kept.put("a", (one,))
    kept.put("b", (one,))
    assert kept.get("a") == (one,)
    kept.put("c", (one,))
    assert kept.get("b") is None
    assert kept.get("a") == kept.get("c") == (one,)
    kept.put("large", (one, one, one))
    assert kept.get("large") is None


def test_a_log_shows_what_was_put_in_the_place_of_remembered_rows(tmp_path: Path):
    log = RememberedLog(ParquetLog(str(tmp_path / "log"), {}))
    log.replace("clicks", days(0, 2), [batch(0, 2, pa.int64())], "at")
    rows = log.rows("clicks", "at")
    assert hours_of(rows.read(days(0, 2), ["x"])) == [*range(48)]
    assert hours_of(rows.read(days(0, 1), ["x"])) == [*range(24)]
    log.replace("clicks", days(1, 2), [], "at")
    assert hours_of(rows.read(days(0, 2), ["x"])) == [*range(24)]
    assert hours_of(rows.read(days(0, 1), ["x"])) == [*range(24)]
    assert [one.schema.names for one in rows.read(days(0, 1), ["at"])] == [["at"]]
