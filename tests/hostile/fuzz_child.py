"""The process that atheris runs in: `python -m tests.hostile.fuzz_child FOLDER LIBFUZZER-OPTIONS…`."""

from __future__ import annotations

import json
import random
import resource
import sys
from pathlib import Path
from time import process_time
from typing import Any

import atheris

with atheris.instrument_imports(include=["evergreen"]):
    import evergreen.fleet_file
    import evergreen.lint
    import evergreen.loading
    import evergreen.query  # noqa: F401

from tests.hostile.bounded import peak_mib
from tests.hostile.grammar import changed, seeds
from tests.hostile.reading import Reader

HANG_SECONDS = 1.0
MOST_MIB = 200
MOST_ADDRESSES = 4 << 30
"""Bytes of address space of the whole process; what asks for more is a finding."""
EVERY = 10


class Target:
    """Reads one input in one of its places, and keeps count."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._reader = Reader(folder)
        self._said: dict[str, Any] = {
            "executions": 0,
            "slowest_seconds": 0.0,
            "slowest": "",
            "largest_mib": 0,
        }
        self._write()

    def __call__(self, content: bytes) -> None:
        """Read a content as a model file and in one other place.

        Raises:
            Exception: a finding; atheris keeps the input and ends the process.
        """
        readings = list(self._reader.readings(content))
        other = readings[1 + self._said["executions"] % (len(readings) - 1)]
        for place, read in (readings[0], other):
            Path("/proc/self/clear_refs").write_text("5")
            before, started = peak_mib(), process_time()
            read()
            seconds, more = process_time() - started, peak_mib() - before
            if seconds > self._said["slowest_seconds"]:
                self._said |= {"slowest_seconds": seconds, "slowest": f"{place}, {len(content)} bytes"}
            self._said["largest_mib"] = max(self._said["largest_mib"], peak_mib())
            assert seconds <= HANG_SECONDS, f"{place} took {seconds:.2f} s"
            assert more <= MOST_MIB, f"{place} took {more} MiB more"
        self._said["executions"] += 1
        if self._said["executions"] % EVERY == 0:
            self._write()

    def _write(self) -> None:
        (self._folder / "statistics.json").write_text(json.dumps(self._said))


def mutate(data: bytes, most: int, seed: int) -> bytes:
    """Change an input: by the grammar, or as libFuzzer does it."""
    if random.Random(seed).random() < 1 / 2:
        return changed(data, seed, STARTS)[:most]
    changed_bytes: bytes = atheris.Mutate(data, most)
    return changed_bytes


STARTS = list(seeds().values())

if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_AS, (MOST_ADDRESSES, MOST_ADDRESSES))
    target = Target(Path(sys.argv[1]))
    atheris.Setup([sys.argv[0], *sys.argv[2:]], target, custom_mutator=mutate)
    atheris.Fuzz()
