"""Fuzzes what reads model files: `python -m tests.hostile.fuzz SECONDS`, or `make fuzz`.

Coverage of Evergreen's own code guides atheris, which changes raw bytes; every second input is changed
by `grammar` instead. A crash, a hang, a flood of memory or any exception but `InvalidModelFile` is a
finding: its input is kept in `.fuzz/findings`, and the fuzzer goes on with what time is left.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from tests.hostile.grammar import MOST_BYTES, seeds

KEPT = Path(".fuzz")
STATISTICS = "statistics.json"
WALL_SECONDS = 120


@dataclass(frozen=True, slots=True)
class Fuzzed:
    """What the fuzzer did: executions, inputs that failed, and the extremes of single readings."""

    executions: int = 0
    findings: int = 0
    slowest_seconds: float = 0.0
    slowest: str = ""
    largest_mib: int = 0

    def with_child(self, said: dict[str, float], found: bool) -> Fuzzed:
        """Return the sum with one more run of the child."""
        slower = said["slowest_seconds"] > self.slowest_seconds
        return Fuzzed(
            self.executions + int(said["executions"]),
            self.findings + found,
            said["slowest_seconds"] if slower else self.slowest_seconds,
            str(said["slowest"]) if slower else self.slowest,
            max(self.largest_mib, int(said["largest_mib"])),
        )


def fuzz(seconds: float, seed: int) -> Fuzzed:
    """Run the fuzzer for a time; runs again after a finding."""
    corpus, findings = KEPT / "corpus", KEPT / "findings"
    corpus.mkdir(parents=True, exist_ok=True)
    findings.mkdir(parents=True, exist_ok=True)
    for number, content in enumerate(seeds().values()):
        (corpus / f"seed-{number}").write_bytes(content)
    until, total = time.monotonic() + seconds, Fuzzed()
    while (left := until - time.monotonic()) > 1:
        with tempfile.TemporaryDirectory() as folder:
            done = _child(Path(folder), corpus, findings, left, seed + total.findings)
            statistics = Path(folder) / STATISTICS
            if not statistics.exists():
                raise RuntimeError(f"the fuzzer did not begin: {done.stderr[-2000:]}")
            total = total.with_child(json.loads(statistics.read_text()), found=bool(done.returncode))
            if done.returncode:
                print(done.stderr[-4000:], file=sys.stderr)
    return total


def _child(
    folder: Path, corpus: Path, findings: Path, seconds: float, seed: int
) -> subprocess.CompletedProcess[str]:
    options = [
        f"-max_total_time={int(seconds)}",
        f"-timeout={WALL_SECONDS}",
        # Its own limit counts what the process that starts it once took; the child has one of its own.
        "-rss_limit_mb=0",
        f"-max_len={MOST_BYTES}",
        f"-seed={seed}",
        f"-artifact_prefix={findings}/",
        "-print_final_stats=0",
        "-verbosity=0",
    ]
    command = [sys.executable, "-m", "tests.hostile.fuzz_child", str(folder), *options, str(corpus)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def main() -> None:
    """Fuzz, and print what was found; the exit code says whether anything was."""
    parser = argparse.ArgumentParser(prog="python -m tests.hostile.fuzz", description=__doc__)
    parser.add_argument("seconds", type=float, nargs="?", default=600.0)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    found = fuzz(asked.seconds, asked.seed)
    print(
        f"executions {found.executions}, findings {found.findings}, slowest reading "
        f"{found.slowest_seconds:.2f} s ({found.slowest}), highest memory {found.largest_mib} MiB"
    )
    sys.exit(bool(found.findings))


if __name__ == "__main__":
    main()
