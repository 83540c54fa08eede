"""Work on hostile input in a child process: a crash, a hang or a flood of memory names its input."""

from __future__ import annotations

import json
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import process_time
from typing import Any

CURRENT = "current"
WALL_SECONDS = 60


class Meter:
    """Bounds and measures, within the child, what is done with each input.

    An input that takes more than `cpu_seconds` of processor time, or a minute by the clock, ends the
    process by a signal; so does what needs more than `most_bytes` of address space, by `MemoryError`.
    """

    def __init__(self, folder: Path, cpu_seconds: float, most_bytes: int) -> None:
        self._current = folder / CURRENT
        self._cpu_seconds = cpu_seconds
        self.slowest: tuple[float, str] = (0.0, "")
        self.largest: tuple[int, str] = (0, "")
        self.done = 0
        resource.setrlimit(resource.RLIMIT_AS, (most_bytes, most_bytes))

    @contextmanager
    def over(self, name: str) -> Iterator[None]:
        """Bound and measure what is done within the block, under a name."""
        self._current.write_text(name)
        Path("/proc/self/clear_refs").write_text("5")  # the peak is that of this input alone
        signal.setitimer(signal.ITIMER_PROF, self._cpu_seconds)
        signal.alarm(WALL_SECONDS)
        started = process_time()
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
            signal.alarm(0)
            self.slowest = max(self.slowest, (process_time() - started, name))
            self.largest = max(self.largest, (peak_mib(), name))
            self.done += 1


def peak_mib() -> int:
    """Return the most memory this process held since it began, or since its meter was last set."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) // 1024


def run(module: str, folder: Path, *arguments: str) -> Any:
    """Run a module of this package in a child, and return the JSON it prints.

    Raises:
        AssertionError: the child died; the input it was at is named.
    """
    done = subprocess.run(
        [sys.executable, "-m", f"tests.hostile.{module}", str(folder), *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    current = folder / CURRENT
    at = current.read_text() if current.exists() else "nothing"
    assert done.returncode == 0, f"{done.returncode} at {at}: {done.stderr[-2000:]}"
    return json.loads(done.stdout.splitlines()[-1])
