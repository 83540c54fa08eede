"""A whole retrain whose disk is full at each of its steps: so much is free when a step begins.

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
FREE_KIB: tuple[int, ...] = (0, 4, 8, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024)
"""What is free when a step begins. MLflow's empty database takes one MiB, other steps much less."""
ENOUGH = "256m"
LAST_PART = "report"


def missing() -> str | None:
    """Return why no small disk can be made here, or None where one can."""
    if os.geteuid() != 0:
        return "only root may mount a small disk"
    probe = subprocess.run(["unshare", "-m", "true"], capture_output=True, text=True, check=False)
    return None if probe.returncode == 0 else f"nothing may be mounted here: {probe.stderr.strip()}"


def tried_sizes(bench: Bench, parts: Sequence[str], free_kib: Sequence[int]) -> list[Tried]:
    """Run the parts with so much space each, and hold the end against two runs on a large disk."""
    undisturbed = []
    for _ in range(2):
        bench.clear()
        for part in parts:
            bench.must_run(part)
        undisturbed.append(bench.look())
    return [tried for free in free_kib for tried in _tried(bench, parts, free, undisturbed)]


def _tried(
    bench: Bench, parts: Sequence[str], free_kib: int, undisturbed: Sequence[Left]
) -> Iterator[Tried]:
    """Yield what came of each part; the whole retrain's end is told with the last one."""
    home = bench.place.home
    bench.clear()
    bench.place.told.unlink(missing_ok=True)
    with small_disk(home, ENOUGH):
        (home / "tmp").mkdir()
        for part in parts:
            began, broken = time.monotonic(), []
            leave_free(home, free_kib)
            code = bench.run(part)
            if code:
                broken += _left(bench)
            give_space(home)
            again = bench.run(part) if code else 0
            if again:
                broken.append(f"with space, {part} {ended_words(again)}: {bench.last_lines()}")
            elif part == parts[-1]:
                broken += _left(bench)
                broken += bench.look().differences(undisturbed)
                broken += oracle.torn(oracle.read_ledger(bench.ledger), home)
            yield Tried(
                *(bench.name, "full disk", "full", f"{part}, {free_kib} KiB free", True),
                *(ended_words(code), time.monotonic() - began, tuple(broken)),
            )
            if again:
                return


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
    _resize(folder, ENOUGH)


def leave_free(folder: Path, kib: int) -> None:
    """Let a small disk be one on which so much is free, or a page where nothing lies on it yet."""
    disk = os.statvfs(folder)
    used = (disk.f_blocks - disk.f_bfree) * disk.f_frsize
    _resize(folder, str(used + kib * 1024 or disk.f_frsize))  # a size of 0 would bound nothing


def _resize(folder: Path, size: str) -> None:
    subprocess.run(["mount", "-o", f"remount,size={size}", folder], check=True)
