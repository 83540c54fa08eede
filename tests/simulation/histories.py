"""Golden histories: ledgers of earlier versions, and what was read from them then.

    python -m tests.simulation.histories NAME    adds one for each seed of a new version

A history that stands is never written again: code that reads it otherwise than before is to be mended,
or the change told in the changelog and the answers of that history changed by hand.
"""

from __future__ import annotations

import gzip
import json
import sys
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from evergreen import retraining
from evergreen.hand_questions import known_until, releases, rolled_back, standing
from evergreen.ledger.chain import Row
from evergreen.ledger.questions import history
from evergreen.results import Retrain
from evergreen.steps.champions import champion_at
from evergreen.steps.memory import recall
from evergreen.steps.summary import summarise
from evergreen.watch_questions import past_requests, verdicts
from evergreen.watch_results import Check
from tests.fakes.ledger import FakeLedger
from tests.simulation.luck import Luck
from tests.simulation.simulator import Simulation

FOLDER = Path(__file__).parents[1] / "golden" / "histories"
SEEDS = range(5)
YEARS = 0.5
MODELS = 3
EVENTFUL = Luck(
    killed=0.1,
    stopped=0.05,
    cleared=0.2,
    yearly={"pin": 2, "pause": 2, "rollback": 6, "backfill": 2, "by_hand": 4, "reconcile": 50},
)


def answers(ledger: FakeLedger) -> dict[str, Any]:
    """Return what the readers of a ledger and the policy say of it, model by model."""
    return {model: _of_model(ledger, model) for model in sorted({row.model for row in ledger.rows})}


def _of_model(ledger: FakeLedger, model: str) -> dict[str, Any]:
    newest = next(entry.at for entry in reversed(list(ledger.entries(model=model))))
    workspace: Any = SimpleNamespace(ledger=ledger, now=lambda: newest)
    runs = [past.run_key for past in history(ledger, model)]
    told = {
        key: summarise(workspace, key) for key in runs if recall(workspace, "run_started", key, Retrain)
    }
    seen = verdicts(ledger, model)
    known = known_until(ledger, model)
    return {
        "requests": [
            [past.request.key, past.taken_by, past.outcome, past.superseded_by]
            for past in past_requests(ledger, model)
        ],
        "standing": [standing(ledger, model).version, sorted(standing(ledger, model).paused)],
        "champions": [[e.seq, one.version.number, str(one.as_of)] for e, one in releases(ledger, model)],
        "rolled_back": sorted(rolled_back(ledger, model)),
        "known_until": str(known),
        "served_at": [_version_at(workspace, model, verdict.as_of) for verdict in seen],
        "runs": {key: [one.outcome, one.champion_before, one.challenger] for key, one in told.items()},
        "decisions": [_decision(ledger, model, verdict) for verdict in seen],
    }


def _version_at(workspace: Any, model: str, instant: Any) -> int | None:
    release = champion_at(workspace, model, instant)
    return None if release is None else release.version.number


def _decision(ledger: FakeLedger, model: str, verdict: Any) -> list[str | None]:
    """Decide again after a check, knowing all that the ledger knows by its end."""
    check = recall(SimpleNamespace(ledger=ledger), "check_started", verdict.run_key, Check)  # type: ignore[arg-type]
    monitor = check.model.spec.monitor if check else None
    others = [past for past in past_requests(ledger, model) if past.request.key != verdict.run_key]
    policy = monitor.retrain if monitor else None
    made = retraining.decide(policy, verdict, verdicts(ledger, model), others, None, "log_loss")
    return [verdict.run_key, made.action]


def read(path: Path) -> tuple[FakeLedger, dict[str, Any]]:
    """Return the ledger of a history, and what was read from it when it was made."""
    *lines, last = gzip.decompress(path.read_bytes()).decode().splitlines()
    return FakeLedger.of(Row(**json.loads(line)) for line in lines), json.loads(last)


def write(path: Path, seed: int) -> None:
    """Simulate a history and keep it with its answers; it must not be there yet."""
    simulation = Simulation(seed, 0, MODELS, YEARS, EVENTFUL)
    simulation.run()
    lines = [asdict(row) for row in simulation.ledger.rows]
    text = "\n".join(json.dumps(line) for line in [*lines, answers(simulation.ledger)])
    with path.open("xb") as file:
        file.write(gzip.compress(text.encode(), mtime=0))


if __name__ == "__main__":
    FOLDER.mkdir(parents=True, exist_ok=True)
    for seed in SEEDS:
        write(FOLDER / f"{sys.argv[1]}-{seed}.jsonl.gz", seed)
