"""Loads zip files of a bad kind with bounded memory; prints what became of each."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from evergreen.serving.model_files import fetch, load
from tests.hostile.bounded import Meter
from tests.hostile.trial import NO_TRACKING, outcome
from tests.hostile.zips import zips
from tests.stored_models import honest

CPU_SECONDS = 20
BYTES = 3 * 2**30


def main(folder: Path) -> None:
    files = zips()
    load(fetch(honest(folder / "honest").recorded(), NO_TRACKING, folder / "honest copy"))
    meter = Meter(folder, CPU_SECONDS, BYTES)
    found = {}
    for number, (name, (content, _)) in enumerate(files.items()):
        stored = honest(folder / str(number))
        stored.write("model.skops", content)
        with meter.over(name):
            copy = fetch(stored.recorded(), NO_TRACKING, folder / f"copy {number}")
            found[name] = outcome(lambda copy=copy: load(copy))  # type: ignore[misc]
    print(json.dumps({"found": found, "largest": meter.largest}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
