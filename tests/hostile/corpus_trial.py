"""Reads the corpus of hostile model files with bounded time and memory; prints what became of each."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from evergreen.errors import InvalidModelFile
from evergreen.loading import load_model
from tests.hostile.bounded import Meter
from tests.hostile.model_corpus import contents, values

CPU_SECONDS = 1.0
BYTES = 2**30


def main(folder: Path) -> None:
    path = folder / "flights.yaml"
    whole, each = contents(), values()
    meter = Meter(folder, CPU_SECONDS, BYTES)
    taken = []
    for name, content in (*whole.items(), *each.items()):
        path.write_bytes(content)
        with meter.over(name):
            try:
                load_model(path)
                taken.append(name)
            except InvalidModelFile:
                continue
    refused = [name for name in whole if name not in taken]
    print(
        json.dumps(
            {
                "whole": len(whole),
                "refused": len(refused),
                "taken": taken,
                "read": meter.done,
                "slowest": meter.slowest,
                "largest": meter.largest,
            }
        )
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
