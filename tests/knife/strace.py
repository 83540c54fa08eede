"""Takes hold of a stopped process with strace: to write down its write-like calls, or to cut one off."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

CALLS = (
    *("write", "writev", "pwrite64", "pwritev", "pwritev2", "sendfile", "copy_file_range"),
    *("fsync", "fdatasync", "sync_file_range", "ftruncate", "truncate", "fallocate"),
    *("rename", "renameat", "renameat2", "link", "linkat", "symlink", "symlinkat"),
    *("unlink", "unlinkat", "rmdir", "mkdir", "mkdirat", "open", "openat", "creat"),
)
"""Opening counts where it may make a file: `O_CREAT`."""

Cut = Literal["kill", "enospc", "eio"]
_INJECTED = {"kill": "signal=KILL", "enospc": "error=ENOSPC", "eio": "error=EIO"}
_LINE = re.compile(r"^(?P<thread>\d+) +(?P<call>[a-z0-9_]+)\((?P<arguments>.*)$")
_PATH = re.compile(r'<(?P<open>/[^>]*)>|"(?P<named>[^"]*)"')


@dataclass(frozen=True, slots=True)
class Point:
    """The `number`-th call of its name that a thread made, and the files that it was about.

    `main`: it is the first thread of the process, so that others need not be watched.
    """

    main: bool
    call: str
    number: int
    paths: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.call} {self.number}"


def missing() -> str | None:
    """Return why processes cannot be taken hold of here, or None where they can."""
    if shutil.which("strace") is None:
        return "strace is not installed (apt-get install strace)"
    probe = ["strace", "-o", os.devnull, "-e", "inject=getpid:error=EIO", "true"]
    done = subprocess.run(probe, capture_output=True, text=True, check=False)
    return None if done.returncode == 0 else f"strace may not trace here: {done.stderr.strip()[-200:]}"


class Hold:
    """strace on a process that has stopped itself; `let_go` lets that run, and returns once it ended."""

    def __init__(self, process: int, out: Path, options: Sequence[str], *, whole: bool) -> None:
        out.unlink(missing_ok=True)
        self._process = process
        self._out = out
        follow = ["-f"] if whole else []  # what is not followed runs at its own speed
        command = ["strace", *follow, "-y", "-s", "160", "-o", str(out), *options, "-p", str(process)]
        self._strace = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        assert self._strace.stderr is not None
        told = self._strace.stderr.readline()
        if "attached" not in told:
            raise RuntimeError(f"strace: {told}{self._strace.communicate()[1]}")

    def let_go(self) -> str:
        """Let the process run to its end and return what strace wrote down."""
        os.kill(self._process, signal.SIGCONT)
        self._strace.communicate()  # closes its pipes, too
        return self._out.read_text(encoding="utf-8", errors="replace")


def recording(process: int, out: Path) -> Hold:
    """Take hold of a process to write down its write-like calls."""
    return Hold(process, out, ["-e", f"trace={','.join(CALLS)}"], whole=True)


def cutting(process: int, out: Path, point: Point, cut: Cut) -> Hold:
    """Take hold of a process to cut it off at a point."""
    inject = f"inject={point.call}:{_INJECTED[cut]}:when={point.number}"
    return Hold(process, out, ["-e", f"trace={point.call}", "-e", inject], whole=not point.main)


def points(written: str, process: int, home: Path) -> list[Point]:
    """Return the calls of a recording that were about files below `home`, in their order.

    A call that another thread (or a child) makes with a number that one before it reached, too, is left
    out: counts are per thread, so a cut there would meet that one. `hidden` counts them.
    """
    return [point for point, first in _all_points(written, process, home) if first]


def hidden(written: str, process: int, home: Path) -> int:
    """Return how many calls of other threads no cut can reach."""
    return sum(not first for _, first in _all_points(written, process, home))


def _all_points(written: str, process: int, home: Path) -> Iterator[tuple[Point, bool]]:
    counts: Counter[tuple[int, str]] = Counter()
    reached: set[tuple[str, int]] = set()
    for line in written.splitlines():
        found = _LINE.match(line)
        if found is None or found["call"] not in CALLS:  # signals, ends, and the second half of a call
            continue
        thread, call = int(found["thread"]), found["call"]
        counts[thread, call] += 1
        number = counts[thread, call]
        first = (call, number) not in reached
        reached.add((call, number))
        paths = _paths(call, found["arguments"])
        if any(path.startswith(f"{home}/") or path == str(home) for path in paths) and _writes(line):
            yield Point(thread == process, call, number, paths), first or thread == process


def _paths(call: str, arguments: str) -> tuple[str, ...]:
    """Return the files a call is about: by their names, or by what stands behind a descriptor."""
    if call in ("write", "writev", "pwrite64", "pwritev", "pwritev2"):  # what follows is content
        arguments = arguments.partition(",")[0]
    folder, paths = "", []
    for found in _PATH.finditer(arguments.partition(") = ")[0]):
        if found["open"] is not None:
            folder = found["open"]
            paths.append(folder)
        elif found["named"].startswith("/"):
            paths.append(found["named"])
        else:
            paths.append(f"{folder}/{found['named']}")
    return tuple(paths)


def _writes(line: str) -> bool:
    return "open" not in line.split("(")[0] or "O_CREAT" in line


def injected(written: str, home: Path) -> bool:
    """Return whether a cut was made at a call about files below `home`."""
    return any(
        str(home) in line for line in written.splitlines() if "(INJECTED)" in line or _killed(line)
    )


def _killed(line: str) -> bool:
    return line.rstrip().endswith(("= ?", "<unfinished ...>"))
