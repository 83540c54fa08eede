"""`python -m tests.chaos`: a fleet of small models on a real Airflow, under faults, and what was lost.

The faults follow from the seed; the log names each with what it hit, and can be replayed: the same moves
at the same times (which process one hits follows from what runs at that moment). After the faults the
fleet is left alone until it rests, one pass of `evergreen__reconcile` is made, and the judge looks.
"""

from __future__ import annotations

import argparse
import json
import logging
import shutil
import sys
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from rich.console import Console
from rich.progress import track

from evergreen.demo.airflow_api import FINISHED
from evergreen.entry_keys import entry_key
from evergreen.names import FLEET_DAG_ID, RECONCILE_DAG_ID
from evergreen.reconcile_results import WAKE_AFTER
from evergreen.watch_questions import past_requests
from evergreen.wiring import open_ledger
from tests.chaos import work
from tests.chaos.faults import FAULTS
from tests.chaos.fleet import NAMES
from tests.chaos.judge import Finding, judge, percentile, recoveries
from tests.chaos.plan import OUTAGES, Move, from_lines, plan
from tests.chaos.world import LEASE_SECONDS, World, world
from tests.waiting import wait_until

log = logging.getLogger(__name__)

REST_SECONDS = 1800
"""How long a fleet may take to rest after the last fault; what is under way then is stuck."""
GRACE_SECONDS = 3 * LEASE_SECONDS


class Log:
    """One JSON line for each move, written at once."""

    def __init__(self, file: IO[str]) -> None:
        self._file = file
        self._lock = threading.Lock()
        self.lines: list[dict[str, Any]] = []

    def add(self, move: Move, when: datetime, hit: dict[str, Any] | None, problem: str | None) -> None:
        """Write down what a move hit."""
        line = asdict(move) | {"when": when.isoformat(), "hit": hit, "problem": problem}
        with self._lock:
            self.lines.append(line)
            self._file.write(json.dumps(line) + "\n")
            self._file.flush()


def main() -> int:
    """Run, judge, and print; 1 where anything was lost, doubled, stuck or wrong."""
    arguments = _arguments()
    console = Console()
    moves = (
        from_lines(arguments.replay.read_text())
        if arguments.replay
        else plan(arguments.seed, arguments.minutes * 60, arguments.kills)
    )
    root = Path(tempfile.mkdtemp(prefix="evergreen-chaos-"))
    arguments.log.parent.mkdir(parents=True, exist_ok=True)
    try:
        with (
            arguments.log.open("w") as file,
            world(root, NAMES[: arguments.models], arguments.parallelism) as fleet,
        ):
            moved = Log(file)
            _unpause(fleet)
            _carry_out(fleet, moves, moved, console)
            rested = _rest(fleet, console)
            passed = _one_pass(fleet, console)
            findings = judge(fleet, moved.lines)
            recovered = recoveries(fleet, moved.lines)
    except BaseException:
        console.print(f"the world is kept in {root}")
        raise
    figures = _figures(arguments, moved.lines, findings, recovered, rested, passed)
    _print(console, figures, findings, moved.lines)
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n")
    if findings:
        console.print(f"the world is kept in {root}")
        return 1
    shutil.rmtree(root)
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=45, help="how long faults go on")
    parser.add_argument("--kills", type=int, default=500, help="faults that hit a process")
    parser.add_argument("--models", type=int, default=len(NAMES), choices=range(1, len(NAMES) + 1))
    parser.add_argument("--parallelism", type=int, default=3, help="tasks that run at once")
    parser.add_argument("--log", type=Path, default=Path(".chaos/moves.jsonl"))
    parser.add_argument("--replay", type=Path, help="a log: its moves, at its times")
    parser.add_argument("--json", type=Path, help="where the figures go, too")
    return parser.parse_args()


def _unpause(fleet: World) -> None:
    for name in fleet.names:
        for kind in ("retrain", "monitor"):
            fleet.api.unpause(f"{name}__{kind}")
    for dag_id in (FLEET_DAG_ID, RECONCILE_DAG_ID):
        fleet.api.unpause(dag_id)


def _carry_out(fleet: World, moves: list[Move], moved: Log, console: Console) -> None:
    """Make every move at its time, each in a thread of its own: some take a minute."""
    began = time.monotonic()
    with ThreadPoolExecutor(16) as pool:
        for move in track(moves, "faults", console=console, transient=True):
            time.sleep(max(0.0, began + move.at - time.monotonic()))
            pool.submit(_make, fleet, move, moved)


def _make(fleet: World, move: Move, moved: Log) -> None:
    when, hit, problem = datetime.now(UTC), None, None
    try:
        if move.name in FAULTS:
            hit = FAULTS[move.name](fleet, move.pick)
            if hit and "task" in hit:
                hit |= _where_it_was(fleet, hit["task"])
        elif work.under_way(fleet) < work.MOST_RUNS:
            hit = work.WORK[move.name](fleet, move.pick)
        else:
            problem = "busy"
    except Exception as exc:  # noqa: BLE001 - a move that fails is written down, and the run goes on
        problem = f"{type(exc).__name__}: {exc}"[:300]
    moved.add(move, when, hit, problem)


def _where_it_was(fleet: World, task: str) -> dict[str, str]:
    """Return the run and the name of a task, by the id that its process bore."""
    with suppress(Exception):
        path = "/api/v2/dags/~/dagRuns/~/taskInstances/list"
        body = {"page_limit": 100, "order_by": "-start_date"}
        for one in fleet.api._send("POST", path, json=body)["task_instances"]:
            if one["id"] == task:
                return {"dag": one["dag_id"], "run_id": one["dag_run_id"], "task_id": one["task_id"]}
    return {}


def _rest(fleet: World, console: Console) -> float:
    """Wait until no run was under way for a while; return the seconds it took."""
    began = time.monotonic()
    busy_at = began

    def rests() -> bool:
        nonlocal busy_at
        if any(
            run["state"] not in FINISHED and not run["dag_id"].startswith("evergreen__")
            for run in work.all_runs(fleet)
        ):
            busy_at = time.monotonic()
        return time.monotonic() - busy_at > GRACE_SECONDS

    with console.status("the fleet comes to rest"):
        wait_until(rests, REST_SECONDS, every_seconds=2)
    return time.monotonic() - began


def _one_pass(fleet: World, console: Console) -> str:
    """Wait until what is open is old enough, then make one pass in Airflow; return how it ended.

    What is to be told then is told by `evergreen__fleet`, once.
    """

    def old_enough() -> bool:
        young = _youngest_open(fleet)
        return young is None or datetime.now(UTC) - young >= WAKE_AFTER

    with console.status("what is left half done grows old"):
        wait_until(old_enough, REST_SECONDS, every_seconds=5)
    ended = _run(fleet, RECONCILE_DAG_ID)
    _rest(fleet, console)
    _run(fleet, FLEET_DAG_ID)
    return ended


def _run(fleet: World, dag_id: str) -> str:
    run_id = fleet.api.trigger(dag_id)

    def state() -> str:
        return str(fleet.api.run(dag_id, run_id)["state"])

    wait_until(lambda: state() in FINISHED, REST_SECONDS, every_seconds=2)
    return state()


def _youngest_open(fleet: World) -> datetime | None:
    """Return when the youngest request that is open was asked for, or None where none is."""
    with open_ledger(fleet.settings) as ledger:
        asked = [
            ledger.find(entry_key("retrain_requested", past.request.key)).at
            for name in fleet.names
            for past in past_requests(ledger, name)
            if past.open
        ]
    return max(asked, default=None)


def _figures(
    arguments: argparse.Namespace,
    lines: list[dict[str, Any]],
    findings: list[Finding],
    recovered: list[float],
    rested: float,
    passed: str,
) -> dict[str, Any]:
    hit = [line for line in lines if line["hit"]]
    counts = Counter(finding.kind for finding in findings)
    return {
        "seed": arguments.seed,
        "minutes": arguments.minutes,
        "models": arguments.models,
        "kills": sum(1 for line in hit if line["name"].startswith("kill_")),
        "stopped": sum(1 for line in hit if line["name"] == "stop_task"),
        "outages": sum(1 for line in hit if line["name"] in OUTAGES),
        "by_name": dict(sorted(Counter(line["name"] for line in hit).items())),
        "in_vain": sum(1 for line in lines if not line["hit"]),
        **{kind: counts[kind] for kind in ("lost", "doubled", "stuck", "wrong")},
        "recovery_seconds": {
            "of": len(recovered),
            "p50": percentile(recovered, 50),
            "p99": percentile(recovered, 99),
        },
        "rest_seconds": round(rested, 1),
        "reconcile": passed,
    }


def _print(
    console: Console, figures: dict[str, Any], findings: list[Finding], lines: list[dict[str, Any]]
) -> None:
    console.print_json(data=figures)
    for finding in findings:
        console.print(f"[red]{finding.kind}[/red]: {finding.what}")
    problems = Counter(line["problem"] for line in lines if line["problem"])
    for problem, count in problems.most_common(8):
        console.print(f"{count} moves: {problem}")


if __name__ == "__main__":
    sys.exit(main())
