"""A sample of rows that stream by. Needs pyarrow; memory does not grow with rows."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pyarrow as pa


def sample(batches: Iterable[pa.RecordBatch], most: int, seed: int = 0) -> pa.Table | None:
    """Return so many rows at most, any as likely as any other; None where there was no batch.

    Each row draws a number, and those with the least are kept (Vitter's reservoir, by keys). The same
    batches give the same rows. Columns' types may widen from batch to batch.
    """
    dice = np.random.default_rng(seed)
    kept: pa.Table | None = None
    keys: np.ndarray = np.empty(0)
    for batch in batches:
        drawn = dice.random(len(batch))
        low = drawn < (np.partition(keys, most - 1)[most - 1] if len(keys) >= most else np.inf)
        fresh = _plain(pa.Table.from_batches([batch])).filter(pa.array(low))
        kept = fresh if kept is None else pa.concat_tables([kept, fresh], promote_options="permissive")
        keys = np.append(keys, drawn[low])
        if len(keys) > 2 * most:
            kept, keys = _least(kept, keys, most)
    return None if kept is None else _least(kept, keys, most)[0]


def _least(rows: pa.Table, keys: np.ndarray, most: int) -> tuple[pa.Table, np.ndarray]:
    if len(keys) <= most:
        return rows, keys
    places = np.sort(np.argpartition(keys, most - 1)[:most])
    return rows.take(pa.array(places)), keys[places]


def _plain(rows: pa.Table) -> pa.Table:
    for place, field in enumerate(rows.schema):
        if pa.types.is_dictionary(field.type):
            values = rows.column(place).cast(field.type.value_type)
            rows = rows.set_column(place, field.name, values)
    return rows
