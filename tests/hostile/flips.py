"""Everything Evergreen keeps in files, damaged bit by bit: `python -m tests.hostile.flips FOLDER N`.

Each of N damages flips one bit or cuts the file short, after which the file is read as Evergreen reads
it. It is `found` where that raises `ArtefactDamaged`, `harmless` where what was read is what was
written, and `silent` otherwise, which must never be.
"""

from __future__ import annotations

import json
import random
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from evergreen.adapters.file_store import SmallFiles
from evergreen.adapters.parquet_store import MANIFEST, PART, ParquetStore
from evergreen.adapters.prediction_log import ParquetLog
from evergreen.errors import ArtefactDamaged
from evergreen.quarantine import Folder, to_parquet
from evergreen.serving.model_files import MODEL_FILE, fetch_file
from evergreen.window import Window
from tests.contracts.data_source import MARCH, data
from tests.contracts.prediction_log import batches as logged_batches
from tests.contracts.prediction_log import hours, logged
from tests.contracts.snapshot_store import batches, mixed_rows
from tests.hostile.bounded import Meter
from tests.hostile.trial import NO_TRACKING
from tests.stored_models import honest

CPU_SECONDS = 20
BYTES = 4 * 2**30
CUT = 0.1
"""Share of damages that cut a file short."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A file that Evergreen keeps, and how Evergreen reads it."""

    name: str
    path: Path
    read: Callable[[], Any]


def kept(folder: Path) -> tuple[Kept, ...]:
    """Write one file of every kind below `folder`."""
    store = ParquetStore(str(folder / "store"), {})
    snapshot = store.write("m", MARCH, batches(mixed_rows(2000)), data())
    rows = lambda: store.read(snapshot, MARCH, "at")  # noqa: E731
    log = ParquetLog(str(folder / "log"), {})
    log.replace(
        "m",
        hours(0, 24),
        logged_batches(logged(hours(0, 24), hours(0, 0.05).end - hours(0, 0).end)),
        "at",
    )
    day = folder / "log" / "m" / f"day={date(2013, 4, 1).isoformat()}" / "rows.parquet"
    files = SmallFiles(str(folder / "watch"), {})
    counts = json.dumps({"format": 1, "days": [[n, n * n] for n in range(500)]}).encode()
    small = files.put("m", "profile.json", counts)
    quarantine, table = (
        Folder(str(folder / "store"), {}, "quarantine/m/run"),
        to_parquet(mixed_rows(500)),
    )
    place = quarantine.write("rows.parquet", table)
    stored = honest(folder / "model")
    stored.write("baseline.json", counts)
    model = stored.recorded()
    return (
        Kept("snapshot rows", Path(snapshot.uri) / PART, rows),
        Kept("snapshot manifest", Path(snapshot.uri) / MANIFEST, rows),
        Kept("day of the prediction log", day, lambda: _logged(log)),
        Kept("profile", Path(small.uri), lambda: files.get(small)),
        Kept("quarantined rows", Path(place), lambda: _again(quarantine, table)),
        Kept("model", stored.folder / MODEL_FILE, lambda: fetch_file(model, MODEL_FILE, NO_TRACKING)),
        Kept(
            "baseline",
            stored.folder / "baseline.json",
            lambda: fetch_file(model, "baseline.json", NO_TRACKING),
        ),
    )


def _logged(log: ParquetLog) -> list[Any]:
    window = Window(datetime(2013, 4, 1, tzinfo=UTC), datetime(2013, 4, 2, tzinfo=UTC))
    found = [batch.to_pydict() for batch in log.rows("m", "at").read(window)]
    return [row for batch in found for row in zip(*batch.values(), strict=True)]


def _again(quarantine: Folder, content: bytes) -> bytes:
    """Write the rows again, which a retry does and which looks at what is there.

    The same rows are put at a place of their own where another file stands at the first.
    """
    place = Path(quarantine.write("rows.parquet", content))
    return place.read_bytes()


def damaged(content: bytes, dice: random.Random) -> bytes:
    """Return the content with one bit flipped, or cut short."""
    if dice.random() < CUT:
        return content[: dice.randrange(len(content))]
    changed = bytearray(content)
    changed[dice.randrange(len(changed))] ^= 1 << dice.randrange(8)
    return bytes(changed)


def outcome(one: Kept, right: Any) -> str:
    try:
        read = one.read()
    except ArtefactDamaged:
        return "found"
    return "harmless" if _same(read, right) else "silent"


def _same(read: Any, right: Any) -> bool:
    return bool(read.equals(right) if isinstance(right, pa.Table) else read == right)


def main(folder: Path, count: int) -> None:
    """Damage each kept file in turn, and print what became of every kind."""
    files = kept(folder)
    right = {one.name: one.read() for one in files}
    whole = {one.name: one.path.read_bytes() for one in files}
    meter, dice, found = Meter(folder, CPU_SECONDS, BYTES), random.Random(6), {}
    for one in files:
        tally: Counter[str] = Counter()
        for number in range(-(-count // len(files))):
            one.path.write_bytes(damaged(whole[one.name], dice))
            with meter.over(f"{one.name} {number}"):
                tally[outcome(one, right[one.name])] += 1
        one.path.write_bytes(whole[one.name])
        found[one.name] = dict(tally)
    print(json.dumps({"found": found, "done": meter.done, "slowest": meter.slowest}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
