"""How much goes wrong, and how often: what a simulation draws from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random

MINUTE, HOUR = 60.0, 3600.0
MOST_PASSES = 40
"""A fate may meet a process at any of its passes up to this one; most tasks have fewer."""


@dataclass(frozen=True, slots=True)
class Luck:
    """Shares are of tries or events; `yearly` is per model and year, `outages` per part and year."""

    killed: float = 0.02
    stopped: float = 0.01
    lost: float = 0.1
    doubled: float = 0.1
    runs_beside: float = 0.1
    cleared: float = 0.05
    retries: int = 3
    outages: float = 6.0
    yearly: Mapping[str, float] = field(
        default_factory=lambda: {
            "pin": 0.5,
            "pause": 0.5,
            "rollback": 1.0,
            "backfill": 0.5,
            "by_hand": 2.0,
            "reconcile": 50.0,
        }
    )

    @classmethod
    def none(cls) -> Luck:
        """Nothing goes wrong."""
        return cls(0, 0, 0, 0, 0, 0, 3, 0, {})

    def fate(self, luck: Random) -> tuple[int | None, int | None]:
        """Return the pass at which a process dies, and the one at which it stops."""
        lot = luck.random()
        if lot < self.killed:
            return luck.randint(1, MOST_PASSES), None
        if lot < self.killed + self.stopped:
            return None, luck.randint(1, MOST_PASSES)
        return None, None

    def noticed_after(self, luck: Random) -> float:
        """Return after how many seconds a killed or stopped task is tried again."""
        return luck.uniform(10, 20 * MINUTE)

    def deliveries(self, luck: Random) -> int:
        """Return how many times an event arrives."""
        lot = luck.random()
        return 0 if lot < self.lost else 2 if lot < self.lost + self.doubled else 1

    def delay(self, luck: Random) -> float:
        """Return after how many seconds an event arrives: mostly at once, sometimes after later ones."""
        return luck.uniform(1, 30) if luck.random() < 0.9 else luck.expovariate(1 / (24 * HOUR))
