"""A month of a thousand models on a fake clock: when retrains begin, and how long they wait for a slot.

    python -m tests.benchmarks.month [--models 1000] [--slots 32]

Every model is retrained once a month and checked once a day. A retrain is eight tasks in a row and a
check four; a task takes a time drawn at random (median 20 s, one in twenty over 70 s; the training ten
times that), and holds a slot of one pool meanwhile. Slots are given in the order in which tasks come,
and never more than there are: that a real Airflow keeps to a pool is Airflow's affair, not shown here.
So many slots are Airflow's default (`parallelism`).
"""

from __future__ import annotations

import argparse
import heapq
import random
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np

from evergreen.cron import spread, times
from tests.benchmarks.parse import names
from tests.benchmarks.trials import table, verdict
from tests.simulation.load import load_per_minute

FROM, UNTIL = datetime(2026, 10, 31, 12, tzinfo=UTC), datetime(2026, 11, 30, 12, tzinfo=UTC)
RETRAIN, CHECK = (1, 1, 1, 10, 1, 1, 1, 1), (1, 1, 1, 1)
MEDIAN_SECONDS, SPREAD = 20.0, 0.77
SCHEDULES = {
    "0 6 1 * *, 0 6 * * *": ("0 6 1 * *", "0 6 * * *"),
    "H H(0-5) 1 * *, H H * * *": ("H H(0-5) 1 * *", "H H * * *"),
    "H H H(1-28) * *, H H * * *": ("H H H(1-28) * *", "H H * * *"),
}


@dataclass(frozen=True, slots=True)
class Month:
    """What a month was like.

    Attributes:
        herd: Most runs that fell due within one minute.
        busiest: Most tasks at work at once.
        queue: Most tasks that waited at once.
        waits: Seconds that each run waited for slots, all its tasks together, `(n_runs,)`.
    """

    herd: int
    busiest: int
    queue: int
    waits: np.ndarray


def play(schedules: Iterable[tuple[str, tuple[int, ...]]], slots: int, seed: int) -> Month:
    """Let every run of a month through one pool of slots.

    Args:
        schedules: Of each DAG its cron expression and how many times the usual each task takes.
        slots: How many tasks may be at work at once.
        seed: Of the tasks' times.
    """
    draw = random.Random(seed)
    dags = list(schedules)
    runs = [(at.timestamp(), tasks) for cron, tasks in dags for at in times(cron, FROM, UNTIL)]
    came = [(at, number, 0) for number, (at, _) in enumerate(runs)]
    heapq.heapify(came)
    ends: list[tuple[float, int, int]] = []
    waiting: list[tuple[float, int, int]] = []
    waits, busiest, queue = np.zeros(len(runs)), 0, 0
    while came or ends or waiting:
        now = min(came[0][0] if came else np.inf, ends[0][0] if ends else np.inf)
        while came and came[0][0] <= now:
            heapq.heappush(waiting, heapq.heappop(came))
        while ends and ends[0][0] <= now:
            _, number, task = heapq.heappop(ends)
            if task + 1 < len(runs[number][1]):
                heapq.heappush(waiting, (now, number, task + 1))
        while waiting and len(ends) < slots:
            since, number, task = heapq.heappop(waiting)
            waits[number] += now - since
            seconds = MEDIAN_SECONDS * runs[number][1][task] * draw.lognormvariate(0, SPREAD)
            heapq.heappush(ends, (now + seconds, number, task))
        busiest, queue = max(busiest, len(ends)), max(queue, len(waiting))
    herd = max(load_per_minute((cron for cron, _ in dags), FROM, UNTIL).values())
    return Month(herd, busiest, queue, waits)


def markdown(models: int, slots: int, seed: int) -> str:
    """Return the section."""
    months = {}
    for name, (retrain, check) in SCHEDULES.items():
        dags = [(spread(retrain, model), RETRAIN) for model in names(models)]
        dags += [(spread(check, f"{model}/monitor"), CHECK) for model in names(models)]
        months[name] = play(dags, slots, seed)
    rows = [
        (
            f"`{name}`",
            str(one.herd),
            str(one.busiest),
            f"{one.queue:,}",
            _lasting(np.percentile(one.waits, 50)),
            _lasting(np.percentile(one.waits, 99)),
            _lasting(one.waits.max()),
        )
        for name, one in months.items()
    ]
    head = (
        "retrain, monitor",
        "most due in a minute",
        "most at work",
        "longest queue",
        "wait p50",
        "p99",
        "most",
    )
    together, apart = months[next(iter(SCHEDULES))], months[list(SCHEDULES)[-1]]
    holds = apart.herd * 20 <= together.herd and np.percentile(apart.waits, 99) < 60
    words = (
        "spread by name, no minute has a twentieth of the herd, and 99 % of runs wait less than a minute"
    )
    return f"{models:,} models, {slots} slots:\n\n{table(head, rows)}\n\n{verdict(holds, words)}"


def _lasting(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))


def main() -> None:
    """Print the section."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=int, default=1000)
    parser.add_argument("--slots", type=int, default=32)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    print(markdown(asked.models, asked.slots, asked.seed))


if __name__ == "__main__":
    main()
