"""Twenty small models on a real Airflow while processes are killed, stopped and cut off.

    python -m tests.benchmarks.chaos [--minutes 45] [--kills 500] [--seed 1] [--figures FILE]

API server, scheduler, dag-processor and triggerer with LocalExecutor, an MLflow server, PostgreSQL for
Airflow and the ledger, the store on a small disk of its own. Meanwhile retrains and checks are asked
for, requests are put into the queue whose events are lost, doubled or shuffled, runs are cleared, months
are filled in. Killed are tasks, their supervisors and every server, each started again as by an init
system; tasks are stopped past their lease and woken; API server, registry and database go away, the disk
fills up. Afterwards the fleet rests, one pass of `evergreen__reconcile` is made, and ledger, registry,
targets, messages and Airflow are read for themselves. Recovery is from the kill of a task to the
beginning of its next try; Airflow notices a task without a heartbeat after 30 s here.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.benchmarks.trials import table, verdict

WORDS = {
    "kill_task": "tasks killed",
    "kill_supervisor": "supervisors of tasks killed",
    "kill_scheduler": "the scheduler killed",
    "kill_dag_processor": "the dag-processor killed",
    "kill_triggerer": "the triggerer killed",
    "kill_api_server": "the API server killed",
    "kill_registry": "the MLflow server killed",
    "stop_task": "tasks stopped for 45 s, past their lease of 30 s, and woken",
    "api_server_away": "the API server away for a minute",
    "registry_away": "the MLflow server away for half a minute",
    "database_restarted": "PostgreSQL ended at once and started again",
    "disk_full": "the store's disk full for 20 s",
}


def markdown(figures: dict[str, Any]) -> str:
    """Return the section of what `tests.chaos` found."""
    hits = figures["by_name"]
    rows = [(words, str(hits.get(name, 0))) for name, words in WORDS.items()]
    rows.append(
        ("work asked for meanwhile", str(sum(hits.values()) - sum(map(int, dict(rows).values()))))
    )
    recovery = figures["recovery_seconds"]
    results = [(kind, str(figures[kind])) for kind in ("lost", "doubled", "stuck", "wrong")]
    whole = not any(figures[kind] for kind in ("lost", "doubled", "stuck", "wrong"))
    told = (
        f"Recovery of {recovery['of']} killed tasks: p50 {recovery['p50']:.0f} s, "
        f"p99 {recovery['p99']:.0f} s."
        if recovery["p50"] is not None
        else "Too few killed tasks were tried again to say how soon."
    )
    head = (
        f"Seed {figures['seed']}, {figures['models']} models, faults for {figures['minutes']:g} minutes"
    )
    return "\n\n".join(
        [
            f"{head}:",
            table(("what was done", "times"), rows),
            table(("what came of it", "cases"), results),
            told,
            verdict(whole, f"nothing lost, doubled, stuck or wrong after {figures['kills']} kills"),
        ]
    )


def main() -> None:
    """Run the faults, or take the figures of a run, and print the section."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=45)
    parser.add_argument("--kills", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--figures", type=Path, help="of a run of `tests.chaos --json FILE`")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures = asked.figures or Path(folder) / "figures.json"
        if asked.figures is None:
            command = [sys.executable, "-m", "tests.chaos", "--json", str(figures)]
            command += ["--log", str(figures.with_suffix(".jsonl")), "--seed", str(asked.seed)]
            command += ["--minutes", str(asked.minutes), "--kills", str(asked.kills)]
            # It ends with 1 where something was lost, which the section says.
            subprocess.run(command, stdout=sys.stderr, check=False)
        print(markdown(json.loads(figures.read_text())))


if __name__ == "__main__":
    main()
