"""What every snapshot store must do; a test class inherits this and says how its bytes are damaged."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from datetime import timedelta

import pyarrow as pa
import pytest

from evergreen.column_types import TIME
from evergreen.errors import ArtefactDamaged, DataUnusable, SourceUnavailable
from evergreen.ports import SnapshotStore
from evergreen.results import Snapshot, from_json, to_json
from evergreen.window import Window
from tests.contracts.data_source import MARCH, data, rows

FIRST_HOUR = Window(MARCH.start, MARCH.start + timedelta(hours=1))


def batches(table: pa.Table, size: int = 1000) -> Iterator[pa.RecordBatch]:
    return iter(table.combine_chunks().to_batches(max_chunksize=size))


def mixed_rows(count: int) -> pa.Table:
    """Rows with every type a snapshot may have, with missing values and what is easily confused."""
    numbers = range(count)
    return rows(
        count,
        number=pa.array([None if n % 5 == 0 else n / 3 for n in numbers], pa.float64()),
        text=pa.array([None if n % 7 == 0 else "é" * (n % 4) for n in numbers], pa.string()),
        flag=pa.array([None if n % 3 == 0 else n % 2 == 0 for n in numbers], pa.bool_()),
        when=pa.array([None if n % 4 == 0 else MARCH.start + timedelta(hours=n) for n in numbers], TIME),
        day=pa.array([None if n % 6 == 0 else 15_000 + n for n in numbers], pa.date32()),
        nothing=pa.nulls(count),
    )


class SnapshotStoreContract(ABC):
    @abstractmethod
    def damage(self, snapshot: Snapshot) -> None:
        """Change the rows that stand at the snapshot's URI."""

    @abstractmethod
    def published(self) -> list[str]:
        """Return the names of everything that a reader of the store could see."""

    @pytest.fixture(autouse=True)
    def _store(self, store: SnapshotStore):
        self.store = store

    def write(self, table: pa.Table, size: int = 1000, window: Window = MARCH, **fields) -> Snapshot:
        return self.store.write("m", window, batches(table, size), data(**fields))

    def test_rows_come_back_as_they_went_in(self):
        table = mixed_rows(3000)
        snapshot = self.write(table)
        assert self.store.read(snapshot, MARCH, "at").equals(table)
        assert snapshot.rows == 3000
        assert snapshot.window == MARCH
        assert {(c.name, c.type) for c in snapshot.columns} == {
            (f.name, str(f.type)) for f in table.schema
        }

    def test_the_same_rows_are_the_same_snapshot_whatever_batches_they_come_in(self):
        table = mixed_rows(1000)
        snapshots = [self.write(table, size) for size in (1, 7, 999, 1000)]
        assert len(set(map(str, snapshots))) == 1

    def test_other_rows_are_another_snapshot(self):
        table = mixed_rows(100)
        changed = table.set_column(2, "late", pa.array([1] * 100))
        renamed = table.rename_columns([f"{n}2" if n == "flag" else n for n in table.column_names])
        shuffled = table.take(pa.array([1, 0, *range(2, 100)]))
        digests = [self.write(t).digest for t in (table, changed, renamed, shuffled, table.slice(0, 99))]
        assert len(set(digests)) == 5

    def test_a_snapshot_is_read_after_its_reference_travelled_as_json(self):
        snapshot = from_json(Snapshot, to_json(self.write(mixed_rows(10))))
        assert len(self.store.read(snapshot, MARCH, "at")) == 10

    def test_a_part_of_the_window_is_half_open(self):
        times = [FIRST_HOUR.start, FIRST_HOUR.end - timedelta(microseconds=1), FIRST_HOUR.end]
        snapshot = self.write(rows(3, times))
        assert self.store.read(snapshot, FIRST_HOUR, "at").column("id").to_pylist() == [0, 1]

    def test_a_part_of_the_window_without_rows_is_an_empty_table(self):
        snapshot = self.write(mixed_rows(10))
        later = Window(MARCH.end - timedelta(days=1), MARCH.end)
        table = self.store.read(snapshot, later, "at")
        assert len(table) == 0
        assert table.schema.equals(mixed_rows(1).schema)

    @pytest.mark.parametrize("given", [[], [mixed_rows(1).slice(0, 0).to_batches()]])
    def test_a_window_without_rows_is_refused_by_name(self, given):
        flat = [batch for batches in given for batch in batches]
        with pytest.raises(DataUnusable, match=r"no rows.*") as caught:
            self.store.write("m", MARCH, iter(flat), data())
        assert "2013-03-01" in str(caught.value)
        assert self.published() == []

    def test_a_column_that_widens_has_its_widest_type(self):
        empty = rows(3, x=pa.nulls(3)).to_batches()
        whole = rows(6, x=pa.array(range(6))).slice(3).to_batches()
        fraction = rows(9, x=pa.array([0.5] * 9)).slice(6).to_batches()
        snapshot = self.store.write("m", MARCH, iter(empty + whole + fraction), data())
        table = self.store.read(snapshot, MARCH, "at")
        assert table.column("x").to_pylist() == [None] * 3 + [3.0, 4.0, 5.0] + [0.5] * 3
        at_once = rows(9, x=table.column("x").combine_chunks())
        assert snapshot == self.write(at_once)

    def test_mixed_types_are_refused_with_an_example_of_each(self):
        first = rows(3, x=pa.array([7, 8, 9])).to_batches()
        second = rows(6, x=pa.array(["seven"] * 6)).slice(3).to_batches()
        with pytest.raises(DataUnusable, match=r"'x' holds mixed types.*7.*seven"):
            self.store.write("m", MARCH, iter(first + second), data())
        assert self.published() == []

    def test_a_key_that_stands_twice_is_refused_with_examples(self):
        keys = pa.array(["a", "b", "c", "b", "d", "b", "a"])
        table = rows(7).set_column(0, "id", keys)
        with pytest.raises(DataUnusable, match=r"(?s)b.*\(3 times\).*a.*\(2 times\)") as caught:
            self.write(table, size=2)
        assert "'c'" not in str(caught.value)
        assert self.published() == []

    def test_a_row_without_a_key_is_refused(self):
        table = rows(3).set_column(0, "id", pa.array([1, None, 3]))
        with pytest.raises(DataUnusable, match="key"):
            self.write(table)
        assert self.published() == []

    @pytest.mark.parametrize("missing", ["at", "id", "late"])
    def test_a_missing_column_is_refused_with_those_there_are(self, missing):
        table = rows(3).rename_columns([f"{n}_" if n == missing else n for n in ("id", "at", "late")])
        with pytest.raises(DataUnusable, match=f"'{missing}'.*did you mean '{missing}_'"):
            self.write(table)

    def test_a_source_that_breaks_off_publishes_nothing(self):
        def broken() -> Iterator[pa.RecordBatch]:
            yield from batches(mixed_rows(100))
            raise SourceUnavailable("gone")

        with pytest.raises(SourceUnavailable, match="gone"):
            self.store.write("m", MARCH, broken(), data())
        assert self.published() == []

    def test_damaged_rows_are_never_read(self):
        snapshot = self.write(mixed_rows(100))
        self.damage(snapshot)
        with pytest.raises(ArtefactDamaged, match=snapshot.digest):
            self.store.read(snapshot, MARCH, "at")

    def test_damaged_rows_are_reported_and_not_overwritten(self):
        snapshot = self.write(mixed_rows(100))
        self.damage(snapshot)
        before = self.published()
        with pytest.raises(ArtefactDamaged, match=snapshot.digest):
            self.write(mixed_rows(100))
        assert self.published() == before
        with pytest.raises(ArtefactDamaged):
            self.store.read(snapshot, MARCH, "at")

    def test_an_unknown_time_column_is_named(self):
        with pytest.raises(DataUnusable, match="'at2'"):
            self.store.read(self.write(rows(3)), MARCH, "at2")
