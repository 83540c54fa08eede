"""A whole retrain on disks of many sizes, each too small for it somewhere else.

What does not fit must fail loudly and leave the ledger readable; once there is space, the same task goes
on, and the end is that of a retrain whose disk was never full.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.knife import oracle
from tests.knife.oracle import Left
from tests.knife.place import said
from tests.knife.sweep import Bench, Tried, ended_words

SCENARIO = "space"
SIZES = tuple(f"{size}k" for size in (256, 512, *range(896, 2305, 128), 3072, 4096))
"""MLflow's empty database alone takes one MiB, so the steps after it meet the larger ones."""
ENOUGH = "256m"
LAST_PART = "report"
SPACE = "disk of "


def missing() -> str | None:
    """Return why no small disk can be made here, or None where one can."""
    if os.geteuid() != 0:
        return "only root may mount a small disk"
    probe = subprocess.run(["unshare", "-m", "true"], capture_output=True, text=True, check=False)
    return None if probe.returncode == 0 else f"nothing may be mounted here: {probe.stderr.strip()}"


def tried_sizes(bench: Bench, parts: Sequence[str], sizes: Sequence[str]) -> list[Tried]:
    """Run the parts on a disk of each size, and hold the end against two runs on a large one."""
    undisturbed = []
    for _ in range(2):
        bench.clear()
        for part in parts:
            bench.must_run(part)
        undisturbed.append(bench.look())
    return [_tried(bench, parts, size, undisturbed) for size in sizes]


def _tried(bench: Bench, parts: Sequence[str], size: str, undisturbed: Sequence[Left]) -> Tried:
    began, full = time.monotonic(), []
    home = bench.place.home
    broken: list[str] = []
    bench.clear()
    bench.place.told.unlink(missing_ok=True)
    with small_disk(home, size):
        (home / "tmp").mkdir()
        for part in parts:
            if (code := bench.run(part)) == 0:
                continue
            full.append(f"{part} {ended_words(code)}")
            broken += _left(bench)
            give_space(home)
            if code := bench.run(part):
                broken.append(f"with space, {part} {ended_words(code)}: {bench.last_lines()}")
                break
        if not broken:
            broken += _left(bench)
            broken += bench.look().differences(undisturbed)
            broken += oracle.torn(oracle.read_ledger(bench.ledger), home)
    met, ended = bool(full), "failed" if full else "ended whole"
    where = "; ".join(full) or "all fitted"
    return Tried(
        *(bench.name, "a whole retrain", f"{SPACE}{size}", where, met, ended),
        *(time.monotonic() - began, tuple(broken)),
    )


def _left(bench: Bench) -> Iterator[str]:
    """Yield what a full disk must not do to the ledger, or to who reads it."""
    heard = said(bench.place.told)
    if oracle.has_tables(bench.ledger):
        ledger = oracle.read_ledger(bench.ledger)
        yield from ledger.broken()
        yield from ledger.lost(one for one in heard if "seq" in one)
    elif any("seq" in one for one in heard):
        yield "the ledger cannot be read any more"
    final = [one for one in heard if "error" in one and not one.get("retryable", True)]
    yield from (f"an error that nobody tries again: {one['error']}" for one in final)


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[None]:
    """Let a folder be a disk of a size, in memory."""
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def give_space(folder: Path) -> None:
    subprocess.run(["mount", "-o", f"remount,size={ENOUGH}", folder], check=True)
