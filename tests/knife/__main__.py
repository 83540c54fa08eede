"""Cut off every call of every part, print what came of it, and exit with 1 on any violation."""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from tests.knife import space, strace
from tests.knife.plan import Order, Part, worked
from tests.knife.sweep import SCENARIOS

MOST_SHOWN = 20
FAST = Path("/dev/shm")
"""Memory: a sync costs nothing there, and what a kill leaves is the same."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the knife and return the exit code."""
    asked = _parser().parse_args(arguments)
    if why := strace.missing():
        print(f"the knife cannot be used here: {why}", file=sys.stderr)
        return 2
    if space.SCENARIO in asked.scenario and (why := space.missing()):
        print(f"no disk is filled, name the other scenarios: {why}", file=sys.stderr)
        return 2
    began = time.monotonic()
    folder = FAST if os.access(FAST, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="knife-", dir=folder) as name:
        orders = [
            Order(
                scenario,
                backend,
                Path(name),
                tuple(asked.part),
                tuple(asked.cut),
                asked.most,
                asked.seed,
            )
            for scenario in asked.scenario
            for backend in asked.backend
        ]
        jobs = [order.of(worker, asked.workers) for order in orders for worker in range(asked.workers)]
        with ProcessPoolExecutor(asked.workers, multiprocessing.get_context("spawn")) as pool:
            parts = [part for found in pool.map(worked, jobs) for part in found]
    print(table(parts, time.monotonic() - began, asked.seed))
    return 1 if any(one.broken for part in parts for one in part.tried) else 0


def table(parts: Iterable[Part], seconds: float, seed: int) -> str:
    """Return the results in Markdown, and the first violations in full."""
    rows: dict[tuple[str, str], list[Part]] = {}
    for part in parts:
        rows.setdefault((part.scenario, part.part), []).append(part)
    lines = ["| ledger | part | points | tried | killed | failed | ended whole | violations |"]
    lines.append("|---|---|---|---|---|---|---|---|")
    whole: Counter[str] = Counter()
    for (scenario, name), found in rows.items():
        tried = [one for part in found for one in part.tried]
        ended = Counter(one.ended for one in tried)
        bad = sum(bool(one.broken) for one in tried)
        failed = len(tried) - ended["killed"] - ended["ended whole"]
        whole.update(points=found[0].points, tried=len(tried), bad=bad, killed=ended["killed"])
        whole.update(failed=failed, whole=ended["ended whole"], hidden=found[0].hidden)
        whole.update(unmet=sum(not one.met for one in tried))
        lines.append(
            f"| {scenario} | {name} | {found[0].points:,} | {len(tried):,} | {ended['killed']:,} | "
            f"{failed:,} | {ended['ended whole']:,} | {bad} |"
        )
    lines.append(
        f"| in all | | {whole['points']:,} | {whole['tried']:,} | {whole['killed']:,} | "
        f"{whole['failed']:,} | {whole['whole']:,} | **{whole['bad']}** |"
    )
    rate = whole["tried"] / seconds
    lines += [
        "",
        f"{whole['tried']:,} points in {seconds / 60:.0f} minutes ({rate:.1f} a second), seed {seed}. "
        f"{whole['unmet']} cuts met another call than the recorded one. {whole['hidden']} calls of "
        "other threads and children are met by no count.",
    ]
    broken = [one for found in rows.values() for part in found for one in part.tried if one.broken]
    for one in broken[:MOST_SHOWN]:
        what = "; ".join(one.broken)
        lines.append(
            f"\n- {one.scenario}, {one.part}, {one.cut} at {one.point} ({one.ended}): {what[:1500]}"
        )
    return "\n".join(lines)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.knife", description=__doc__)
    scenarios = [*SCENARIOS, space.SCENARIO]
    parser.add_argument("--scenario", nargs="+", default=scenarios, choices=scenarios)
    parser.add_argument(
        "--backend", nargs="+", default=["sqlite", "postgres"], choices=["sqlite", "postgres"]
    )
    parser.add_argument("--part", nargs="+", default=[], help="parts; all of them without")
    parser.add_argument(
        "--cut",
        nargs="+",
        default=[],
        help="kill, enospc, eio; on PostgreSQL cut, kill, terminate, stop",
    )
    parser.add_argument(
        "--most",
        type=int,
        default=0,
        help="cuts of a kind at a part; 0: all, or a sample where a part takes seconds",
    )
    parser.add_argument("--seed", type=int, default=7, help="of what is sampled")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    return parser


if __name__ == "__main__":
    sys.exit(main())
