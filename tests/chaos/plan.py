"""What is done to the fleet, and when: it follows from the seed alone, and can be read back."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable
from dataclasses import asdict, dataclass

FAULTS = {
    "kill_task": 0.50,
    "kill_supervisor": 0.09,
    "kill_scheduler": 0.05,
    "kill_dag_processor": 0.05,
    "kill_triggerer": 0.05,
    "kill_api_server": 0.04,
    "kill_registry": 0.04,
    "stop_task": 0.18,
}
"""Faults that hit a process, by their share. `stop_task` stops one past its lease and wakes it again."""

OUTAGES = {
    "api_server_away": 1 / 600,
    "registry_away": 1 / 420,
    "database_restarted": 1 / 360,
    "disk_full": 1 / 300,
}
"""Faults that last, by how many there are a second."""

WORK = {
    "retrain": 0.30,
    "monitor": 0.20,
    "ask": 0.14,
    "ask_unheard": 0.06,
    "ask_doubled": 0.08,
    "ask_shuffled": 0.04,
    "clear_task": 0.08,
    "clear_run": 0.04,
    "backfill": 0.06,
}
"""What a fleet is asked to do meanwhile, by its share."""

WORK_EVERY_SECONDS = 6.0
QUIET_END = 0.9
"""After this part of the time no outage begins, so that each one is over when the judging begins."""


@dataclass(frozen=True, slots=True)
class Move:
    """One thing that is done.

    Attributes:
        at: Seconds since the beginning.
        name: A name of `FAULTS`, `OUTAGES` or `WORK`.
        pick: In [0, 1): which of those that can be hit, in a fixed order.
    """

    at: float
    name: str
    pick: float


def plan(seed: int, seconds: float, kills: int) -> list[Move]:
    """Return the moves of a run in the order of their times; the same arguments give the same ones."""
    draw = random.Random(seed)

    def moves(names: dict[str, float], number: int, until: float) -> list[Move]:
        chosen = draw.choices(list(names), list(names.values()), k=number)
        return [Move(round(draw.uniform(0, until), 2), name, round(draw.random(), 6)) for name in chosen]

    found = moves(FAULTS, kills, seconds)
    found += moves(WORK, int(seconds / WORK_EVERY_SECONDS), seconds)
    for name, rate in OUTAGES.items():
        found += moves({name: 1.0}, max(1, round(seconds * rate)), seconds * QUIET_END)
    return sorted(found, key=lambda move: (move.at, move.name, move.pick))


def to_lines(moves: Iterable[Move]) -> str:
    """Return moves as JSON lines."""
    return "".join(json.dumps(asdict(move)) + "\n" for move in moves)


def from_lines(text: str) -> list[Move]:
    """Return the moves of a log: of each line what `Move` has."""
    read = (json.loads(line) for line in text.splitlines() if line.strip())
    return [Move(line["at"], line["name"], line["pick"]) for line in read if "pick" in line]
