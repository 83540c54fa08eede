"""What every prediction log must do; a test class inherits this and says how its bytes are damaged."""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest

from evergreen.column_types import TIME
from evergreen.errors import ArtefactDamaged, DataUnusable
from evergreen.logged_rows import VERSION, probability
from evergreen.profiles.layout import Cells, Layout
from evergreen.watch_ports import LoggedRows, PredictionLog
from evergreen.window import Window

START = datetime(2013, 4, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
LATE = probability("True")


def hours(first: float, last: float) -> Window:
    return Window(START + first * HOUR, START + last * HOUR)


def logged(window: Window, step: timedelta = HOUR / 4, version: int = 1, **columns) -> pa.Table:
    """One row each `step` of a window; a row's key says its time, whoever logged it."""
    count = -(-(window.end - window.start) // step)
    at = [window.start + number * step for number in range(count)]
    return pa.table(
        {
            "at": pa.array(at, TIME),
            "id": pa.array([int((time - START) / timedelta(seconds=1)) for time in at], pa.int64()),
            "fare": pa.array([number / 3 for number in range(count)], pa.float64()),
            "city": pa.array(["abc"[number % 3] for number in range(count)], pa.string()),
            VERSION: pa.array([version] * count, pa.int64()),
            LATE: pa.array(np.linspace(0, 1, count), pa.float64()),
        }
        | columns
    )


def batches(table: pa.Table, size: int = 100) -> Iterator[pa.RecordBatch]:
    return iter(table.combine_chunks().to_batches(max_chunksize=size))


class PredictionLogContract(ABC):
    @abstractmethod
    def damage(self, day: date) -> None:
        """Change the bytes of a day's rows."""

    @abstractmethod
    def files(self) -> list[str]:
        """Return the names of everything that a reader of the log could see, below its URI."""

    @pytest.fixture(autouse=True)
    def _log(self, log: PredictionLog):
        self.log = log

    @property
    def rows(self) -> LoggedRows:
        return self.log.rows("m", "at")

    def put(self, window: Window, table: pa.Table | None = None, size: int = 100) -> str:
        rows = logged(window) if table is None else table
        return self.log.replace("m", window, batches(rows, size), "at")

    def found(self, window: Window | None = None, version: int | None = None) -> dict[int, int]:
        """Return the logged rows' keys with the version that answered; no key may stand twice."""
        keys: dict[int, int] = {}
        for batch in self.rows.read(window or hours(-1000, 1000), version=version):
            pairs = zip(batch.column("id").to_pylist(), batch.column(VERSION).to_pylist(), strict=True)
            for key, answered in pairs:
                assert key not in keys, f"{key} is there twice"
                keys[key] = answered
        return keys

    def test_rows_come_back_as_they_went_in(self):
        window = hours(0, 24)
        self.put(window)
        found = pa.Table.from_batches(self.rows.read(window))
        assert found.column("city").type == pa.dictionary(pa.int32(), pa.string())
        plain = found.set_column(3, "city", found.column("city").cast(pa.string()))
        assert plain.equals(logged(window))

    def test_a_day_is_one_file_that_its_model_and_its_date_name(self):
        uri = self.put(hours(0, 30))
        assert self.files() == ["m/day=2013-04-01/rows.parquet", "m/day=2013-04-02/rows.parquet"]
        assert uri.endswith("/m")

    def test_scoring_a_window_again_replaces_its_rows(self):
        self.put(hours(0, 48))
        self.put(hours(0, 48), logged(hours(0, 48), version=2))
        assert self.found() == dict.fromkeys(range(0, 48 * 3600, 900), 2)

    def test_overlapping_windows_never_double_a_row(self):
        self.put(hours(0, 36))
        self.put(hours(12, 60), logged(hours(12, 60), version=2))
        expected = dict.fromkeys(range(0, 12 * 3600, 900), 1)
        assert self.found() == expected | dict.fromkeys(range(12 * 3600, 60 * 3600, 900), 2)

    def test_hourly_windows_make_up_their_day(self):
        for hour in range(30):
            self.put(hours(hour, hour + 1))
        self.put(hours(5, 6), logged(hours(5, 6), version=2))
        expected = dict.fromkeys(range(0, 30 * 3600, 900), 1)
        assert self.found() == expected | dict.fromkeys(range(5 * 3600, 6 * 3600, 900), 2)
        assert len(self.files()) == 2

    def test_an_empty_window_removes_its_rows_and_no_others(self):
        self.put(hours(0, 72))
        self.log.replace("m", hours(6, 54), iter(()), "at")
        expected = [*range(0, 6 * 3600, 900), *range(54 * 3600, 72 * 3600, 900)]
        assert list(self.found()) == expected
        assert self.files() == ["m/day=2013-04-01/rows.parquet", "m/day=2013-04-03/rows.parquet"]

    def test_whatever_windows_are_scored_in_whatever_order_the_last_of_each_instant_stands(self):
        dice = random.Random(2013)
        expected: dict[int, int] = {}
        for version in range(2, 25):
            first, length = dice.randrange(0, 80), dice.choice([0, 1, 1, 5, 24, 31])
            window = hours(first, first + length)
            rows = logged(window, version=version)
            if dice.random() < 0.3:
                rows = rows.filter(pa.array([dice.random() < 0.5 for _ in range(len(rows))], pa.bool_()))
            if dice.random() < 0.5:
                rows = rows.take(pa.array(dice.sample(range(len(rows)), len(rows)), pa.int64()))
            self.put(window, rows, size=dice.choice([3, 1000]))
            gone = range(first * 3600, (first + length) * 3600)
            expected = {key: version for key, version in expected.items() if key not in gone}
            expected |= dict.fromkeys(rows.column("id").to_pylist(), version)
            assert self.found() == expected

    def test_only_the_columns_asked_for_come_in_that_order_and_absent_ones_are_left_out(self):
        self.put(hours(0, 2))
        (batch,) = self.rows.read(hours(0, 2), [LATE, "no such", "id"])
        assert batch.schema.names == [LATE, "id"]

    def test_a_window_within_a_day_gives_its_rows_only(self):
        self.put(hours(0, 24))
        assert list(self.found(hours(5.2, 5.8))) == [5 * 3600 + 900, 5 * 3600 + 1800, 5 * 3600 + 2700]
        (batch,) = self.rows.read(hours(5, 6), ["fare"])
        assert len(batch) == 4

    def test_rows_of_another_version_are_left_out_where_one_is_asked_for(self):
        self.put(hours(0, 12))
        self.put(hours(12, 24), logged(hours(12, 24), version=2))
        assert set(self.found(version=2).values()) == {2}
        assert len(self.found(version=2)) == 48
        assert self.found(version=3) == {}

    def test_days_of_other_columns_and_types_are_read_as_they_are(self):
        self.put(hours(0, 24))
        second = logged(hours(24, 48)).drop_columns("fare").append_column("new", pa.array([1] * 96))
        self.put(hours(24, 48), second)
        third = logged(hours(48, 72), fare=pa.array(["much"] * 96))
        self.put(hours(48, 72), third)
        types = {
            batch.schema.field("fare").type if "fare" in batch.schema.names else None
            for batch in self.rows.read(hours(0, 72))
        }
        assert types == {pa.float64(), None, pa.dictionary(pa.int32(), pa.string())}
        names = [batch.schema.names for batch in self.rows.read(hours(24, 48), ["fare", "new"])]
        assert names == [["new"]]

    def test_a_day_whose_columns_changed_within_it_has_all_of_them(self):
        self.put(hours(0, 1))
        self.put(hours(1, 2), logged(hours(1, 2), fare=pa.nulls(4)).drop_columns("city"))
        self.put(hours(2, 3), logged(hours(2, 3), new=pa.array([1, 2, 3, 4])))
        (day,) = pa.Table.from_batches(self.rows.read(hours(0, 3))).sort_by("id").to_batches()
        assert day.column("fare").type == pa.float64()
        assert day.column("city").is_null().to_pylist() == [False] * 4 + [True] * 4 + [False] * 4
        assert day.column("new").to_pylist() == [None] * 8 + [1, 2, 3, 4]

    def test_a_column_of_mixed_types_within_a_day_is_text_on_that_day(self):
        self.put(hours(0, 1))
        self.put(hours(1, 2), logged(hours(1, 2), fare=pa.array(["a", None, "b", "c"])))
        found = pa.Table.from_batches(self.rows.read(hours(0, 2), ["fare"])).column("fare")
        assert found.cast(pa.string()).to_pylist()[3:] == ["1", "a", None, "b", "c"]

    def test_text_dates_times_and_missing_values_come_back_from_a_day_written_twice(self):
        odd = {
            "when": pa.array([START, None, START + HOUR, None], TIME),
            "day": pa.array([15_000, None, 1, 2], pa.date32()),
            "flag": pa.array([True, None, False, None]),
            "word": pa.array(["é", None, "", "x" * 1000]),
            "nothing": pa.nulls(4),
            "far": pa.array([float("inf"), None, -float("inf"), 1e300]),
        }
        table = logged(hours(0, 1), **odd)
        self.put(hours(0, 1), table)
        self.put(hours(1, 2), logged(hours(1, 2), **odd))
        found = pa.Table.from_batches(self.rows.read(hours(0, 1)))
        assert found.cast(table.schema).equals(table)

    def test_the_newest_row_before_an_instant_is_found(self):
        assert self.rows.newest(START) is None
        self.put(hours(0, 1))
        self.put(hours(50, 51))
        assert self.rows.newest(START) is None
        assert self.rows.newest(START + HOUR) == START + 0.75 * HOUR
        assert self.rows.newest(START + 0.75 * HOUR) == START + 0.5 * HOUR
        assert self.rows.newest(START + 50 * HOUR) == START + 0.75 * HOUR
        assert self.rows.newest(START + 5000 * HOUR) == START + 50.75 * HOUR

    def test_rows_are_counted_by_day(self):
        layout = Layout(
            (
                Cells("city", "category", "string", categories=("a", "b")),
                Cells(LATE, "number", "double", edges=(0.0, 0.5, 1.0)),
            )
        )
        self.put(hours(12, 24))
        self.put(hours(24, 48), logged(hours(24, 48), version=2))
        counted = self.rows.count(hours(18, 48), layout)
        assert {day: profile.rows for day, profile in counted.items()} == {
            date(2013, 4, 1): 24,
            date(2013, 4, 2): 96,
        }
        assert counted[date(2013, 4, 2)].of("city").tolist() == [0, 32, 32, 32]
        only = self.rows.count(hours(18, 48), layout, version=2)
        assert {day: profile.rows for day, profile in only.items()} == {date(2013, 4, 2): 96}

    def test_nothing_is_there_before_anything_was_scored(self):
        assert self.found() == {}
        assert self.rows.newest(START) is None
        self.log.replace("m", hours(0, 24), iter(()), "at")
        assert self.files() == []

    def test_models_do_not_see_each_others_rows(self):
        self.put(hours(0, 2))
        self.log.replace("other", hours(0, 1), batches(logged(hours(0, 1), version=9)), "at")
        assert set(self.found().values()) == {1}

    def test_a_name_that_is_none_is_refused(self):
        for name in ("../m", "a/b", ""):
            with pytest.raises(ValueError, match="not a model name"):
                self.log.rows(name, "at")

    def test_a_row_outside_the_window_is_refused_and_nothing_is_written(self):
        with pytest.raises(DataUnusable, match="outside the window"):
            self.put(hours(0, 1), logged(hours(0, 2)))
        assert self.files() == []

    def test_rows_that_fail_on_the_way_leave_the_log_as_it_was(self):
        self.put(hours(0, 48))

        def failing():
            yield from batches(logged(hours(0, 48), version=2), 10)
            raise DataUnusable("the last row is odd")

        with pytest.raises(DataUnusable, match="the last row is odd"):
            self.log.replace("m", hours(0, 48), failing(), "at")
        assert set(self.found().values()) == {1}

    def test_a_day_that_cannot_be_read_is_named(self):
        self.put(hours(0, 72))
        self.damage(date(2013, 4, 2))
        with pytest.raises(ArtefactDamaged, match=r"day=2013-04-02/rows\.parquet"):
            list(self.rows.read(hours(0, 72)))
        with pytest.raises(ArtefactDamaged, match=r"day=2013-04-02/rows\.parquet"):
            self.put(hours(47, 49))
        assert len(self.found(hours(0, 24))) == 96

    def test_a_damaged_day_is_mended_by_scoring_the_whole_of_it(self):
        self.put(hours(0, 24))
        self.damage(date(2013, 4, 1))
        self.put(hours(0, 24), logged(hours(0, 24), version=2))
        assert len(self.found()) == 96

    def test_a_time_column_that_was_renamed_is_named_with_the_columns_there_are(self):
        self.put(hours(0, 24))
        with pytest.raises(DataUnusable, match=r"no time column 'when'.*allowed: at, id, fare"):
            list(self.log.rows("m", "when").read(hours(0, 24)))

    def test_a_day_that_another_rewrites_meanwhile_loses_neithers_rows(self, monkeypatch):
        from evergreen.adapters import prediction_log

        self.put(hours(0, 1))
        others = iter([hours(10, 11), hours(11, 12)])

        def meanwhile(name: str) -> None:
            window = next(others, None) if name in {"score.staged", "score.spooled"} else None
            if window is not None:
                self.put(window, logged(window, version=7))

        monkeypatch.setattr(prediction_log, "failpoint", meanwhile)
        self.put(hours(0, 1), logged(hours(0, 1), version=2))
        assert sorted(self.found().values()) == [2] * 4 + [7] * 8
