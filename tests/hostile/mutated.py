"""Reads changed model files with bounded time and memory: `python -m tests.hostile.mutated FOLDER N`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from tests.hostile.bounded import Meter
from tests.hostile.grammar import changed, seeds
from tests.hostile.reading import Reader

CPU_SECONDS = 1.0
BYTES = 2**30


def main(folder: Path, count: int) -> None:
    """Change every seed in turn, read it as a model file and as one more; print what was slow."""
    starts = list(seeds().values())
    reader, meter = Reader(folder), Meter(folder, CPU_SECONDS, BYTES)
    taken = 0
    for number in range(count):
        content = changed(starts[number % len(starts)], number, starts)
        readings = list(reader.readings(content))
        for place, read in (readings[0], readings[1 + number % (len(readings) - 1)]):
            with meter.over(f"{place} of seed {number}"):
                taken += read()
    print(
        json.dumps(
            {"read": meter.done, "taken": taken, "slowest": meter.slowest, "largest": meter.largest}
        )
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
