"""Predictions that a team logs itself, in a table or in files, under the names of `logged_rows.py`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from evergreen.column_types import FLOAT, INT
from evergreen.errors import DataUnusable, bounded
from evergreen.logged_rows import VALUE, VERSION, prediction_columns, probability
from evergreen.monitor_spec import LoggedPredictions
from evergreen.names import did_you_mean
from evergreen.ports import DataSource
from evergreen.window import Window

if TYPE_CHECKING:
    from evergreen.profiles.layout import Layout
    from evergreen.profiles.profile import Profile

LONGEST_LOOK_BACK = timedelta(days=2048)
ROUNDING = 1e-6


class LoggedSource:
    """The rows of a source, mapped; a `watch_ports.LoggedRows`.

    Args:
        rows: Reads the team's rows; they need no label.
        time_column: `data.time_column`.
        logged: Which columns hold predictions and version.
        classes: The champion's; none for a regression.
        where: For messages.
    """

    def __init__(
        self,
        rows: DataSource,
        time_column: str,
        logged: LoggedPredictions,
        classes: tuple[str, ...],
        where: str,
    ) -> None:
        self._rows = rows
        self._time_column = time_column
        self._version = logged.version
        self._where = where
        self._columns = _columns_of(logged, classes, where)
        self._classes = classes

    def read(
        self, window: Window, columns: Sequence[str] | None = None, version: int | None = None
    ) -> Iterator[pa.RecordBatch]:
        """Yield the window's rows of a version, or of any; all are pulled, whatever is asked for.

        Raises:
            DataUnusable: a missing column (with those that are there), or predictions that are none.
            SourceUnavailable: the source did not answer.
        """
        for batch in self._rows.read(window):
            mapped = self._mapped(batch)
            if version is not None and VERSION in mapped.schema.names:
                same = pc.equal(mapped.column(VERSION), version)
                mapped = mapped.filter(pc.fill_null(same, True))
            if len(mapped):
                names = mapped.schema.names
                yield mapped if columns is None else mapped.select([c for c in columns if c in names])

    def count(
        self, window: Window, layout: Layout, version: int | None = None
    ) -> Mapping[date, Profile]:
        """Return the profiles of the window's rows by UTC day; days without rows are left out.

        Raises:
            As `read`.
        """
        from evergreen.profiles.count import count_by_day

        return count_by_day(self.read(window, version=version), layout, self._time_column)

    def newest(self, before: datetime) -> datetime | None:
        """Return the time of the newest row before an instant, or None where there is none.

        Looks back a day, then two more, four more, and so on; rows older than `LONGEST_LOOK_BACK` are
        not looked for.

        Raises:
            As `read`.
        """
        end, length = before.astimezone(UTC), timedelta(days=1)
        while length <= LONGEST_LOOK_BACK:
            try:
                start = end - length
            except OverflowError:
                return None
            times = [
                pc.max(batch.column(self._time_column)).as_py()
                for batch in self._rows.read(Window(start, end))
                if len(batch)
            ]
            if times:
                newest: datetime = max(times)
                return newest.astimezone(UTC)
            end, length = start, length * 2
        return None

    def _mapped(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Return the batch with the predictions in our columns and without theirs."""
        found = {name: self._numbers(batch, theirs) for name, theirs in self._columns.items()}
        if self._classes:
            found = {ours: self._shares(found[ours], theirs) for ours, theirs in self._columns.items()}
        if len(self._classes) == 2 and len(found) == 1:
            first, second = prediction_columns(self._classes)
            given = second if second in found else first
            found = {first: found[given], second: found[given]}
            other = first if given == second else second
            found[other] = pc.subtract(pa.scalar(1.0), found[given])
        if self._version is not None:
            found[VERSION] = self._whole_numbers(batch, self._version)
        theirs = {*self._columns.values(), self._version}
        kept = [name for name in batch.schema.names if name not in theirs and name not in found]
        arrays = [batch.column(name) for name in kept] + list(found.values())
        return pa.RecordBatch.from_arrays(arrays, names=[*kept, *found])

    def _numbers(self, batch: pa.RecordBatch, column: str) -> pa.Array:
        values = self._column(batch, column)
        if pa.types.is_null(values.type) or pa.types.is_integer(values.type):
            return values.cast(FLOAT, safe=False)
        if pa.types.is_floating(values.type):
            return values.cast(FLOAT)
        raise DataUnusable(
            f"column {column!r} holds no predictions",
            where=self._where,
            got=str(values.type),
            allowed="numbers",
            fix="name the column of the probability or value, or convert it in the query",
        )

    def _whole_numbers(self, batch: pa.RecordBatch, column: str) -> pa.Array:
        values = self._column(batch, column)
        try:
            return values.cast(INT)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as exc:
            raise DataUnusable(
                f"column {column!r} holds no version numbers",
                where=self._where,
                got=bounded(str(exc), 200),
                allowed="the whole numbers under which versions are registered, such as 3",
                fix="convert it in the query, or leave out monitor.source.version",
            ) from exc

    def _column(self, batch: pa.RecordBatch, column: str) -> pa.Array:
        names = batch.schema.names
        if column not in names:
            raise DataUnusable(
                f"the logged rows have no column {column!r}",
                where=self._where,
                allowed=", ".join(names),
                fix=did_you_mean(column, names) or "name a column of the logged rows",
            )
        return batch.column(column)

    def _shares(self, values: pa.Array, column: str) -> pa.Array:
        """Return probabilities within 0 and 1, from which rounding may have taken them."""
        ends = pc.min_max(values).as_py()
        low, high = ends["min"], ends["max"]
        if low is None or (low >= 0 and high <= 1):
            return values
        if low < -ROUNDING or high > 1 + ROUNDING:
            raise DataUnusable(
                f"column {column!r} holds values that are no probabilities",
                where=self._where,
                got=f"{low:g} to {high:g}",
                allowed="0 to 1",
                fix="name the column of the probability, or divide percentages by 100 in the query",
            )
        return pc.max_element_wise(
            pc.min_element_wise(values, 1.0, skip_nulls=False), 0.0, skip_nulls=False
        )


def _columns_of(logged: LoggedPredictions, classes: tuple[str, ...], where: str) -> dict[str, str]:
    """Return the team's columns by our names.

    Raises:
        DataUnusable: what is named is not what the champion predicts.
    """
    told = ", ".join(map(repr, classes)) if classes else "a value"
    if logged.prediction is not None:
        if len(classes) > 2:
            raise DataUnusable(
                f"one column cannot hold the probabilities of {len(classes)} classes",
                where=f"{where}.prediction",
                got=logged.prediction,
                fix=f"name a column for each of {told} under monitor.source.probabilities",
            )
        return {probability(classes[1]) if classes else VALUE: logged.prediction}
    named = dict(logged.probabilities or {})
    unknown = sorted(named.keys() - {*classes})
    lost = [name for name in classes if name not in named]
    if unknown or not classes or (lost and len(classes) != 2):
        raise DataUnusable(
            "these are not the classes that the champion knows",
            where=f"{where}.probabilities",
            got=", ".join(sorted(named)),
            allowed=told,
            fix=(did_you_mean(unknown[0], classes) if unknown else None)
            or ("name the column of each class" if classes else "name one under prediction"),
        )
    return {probability(name): named[name] for name in classes if name in named}
