"""Many installations side by side: what came of a seed, however many processes ran it."""

from __future__ import annotations

import hashlib
import logging
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial

from tests.simulation.luck import Luck
from tests.simulation.rules import Violation
from tests.simulation.simulator import Simulation

MODELS_OF_ONE = 20
"""How many models share one installation: its ledger, its registry and their outages."""


@dataclass(frozen=True, slots=True)
class Result:
    """What a simulation came to. `violations` are texts, empty where every rule held."""

    model_years: float
    events: int
    calls: int
    entries: int
    counts: Counter[str] = field(default_factory=Counter)
    digest: str = ""
    violations: tuple[str, ...] = ()
    seconds: float = 0.0


def simulate(
    seed: int,
    models: int,
    years: float,
    *,
    luck: Luck | None = None,
    jobs: int = 1,
    only: int | None = None,
) -> Result:
    """Simulate a fleet and return what it came to; the digest depends on all but `jobs`.

    Args:
        seed: What everything is drawn from.
        models: How many models, `MODELS_OF_ONE` to an installation.
        years: How long each is simulated.
        luck: What goes wrong; the usual where it is None.
        jobs: How many processes share the installations.
        only: The number of the one installation to simulate, as a violation names it.
    """
    begun = time.perf_counter()
    sizes = [min(MODELS_OF_ONE, models - first) for first in range(0, models, MODELS_OF_ONE)]
    wanted = [(n, size) for n, size in enumerate(sizes) if only in (None, n)]
    one = partial(_installation, seed, years, luck or Luck())
    if jobs == 1:
        results = [one(each) for each in wanted]
    else:
        with ProcessPoolExecutor(jobs) as pool:
            results = list(pool.map(one, wanted))
    return _together(results, time.perf_counter() - begun)


def _installation(seed: int, years: float, luck: Luck, wanted: tuple[int, int]) -> Result:
    number, models = wanted
    simulation = Simulation(seed, number, models, years, luck)
    violations: tuple[str, ...] = ()
    try:
        with _silence():
            simulation.run()
    except Violation as exc:
        violations = (str(exc),)
    counts = simulation.counts + Counter(simulation.rules.counts)
    requests = (one for known in simulation.rules.models.values() for one in known.requests.values())
    counts["ended"] = sum(one.outcome is not None for one in requests)
    return Result(
        models * years,
        simulation.counts["events"],
        simulation.calls,
        len(simulation.ledger.rows),
        counts,
        simulation.digest,
        violations,
    )


@contextmanager
def _silence() -> Iterator[None]:
    """Let Evergreen log nothing: centuries of it would be all that is seen."""
    log = logging.getLogger("evergreen")
    usual = log.level
    log.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        log.setLevel(usual)


def _together(results: Sequence[Result], seconds: float) -> Result:
    return Result(
        sum(one.model_years for one in results),
        sum(one.events for one in results),
        sum(one.calls for one in results),
        sum(one.entries for one in results),
        sum((one.counts for one in results), Counter()),
        hashlib.sha256(" ".join(one.digest for one in results).encode()).hexdigest(),
        tuple(text for one in results for text in one.violations),
        seconds,
    )


def told(result: Result) -> str:
    """Return a result in lines for people."""
    counts, minute = result.counts, 60 / max(result.seconds, 1e-9)
    rows = {
        "model-years": f"{result.model_years:,.0f}",
        "events": f"{result.events:,}",
        "calls of a port": f"{result.calls:,}",
        "ledger entries": f"{result.entries:,}",
        "retrains begun": f"{counts['run_started']:,}",
        "releases": f"{counts['release']:,}",
        "rollbacks": f"{counts['rollbacks']:,}",
        "requests asked, ended": f"{counts['retrain_requested']:,}, {counts['ended']:,}",
        "mended by reconcile": f"{counts['mended']:,}",
        "processes killed": f"{counts['killed']:,}",
        "processes stopped and woken": f"{counts['stopped']:,}",
        "violations": f"{len(result.violations):,}",
        "wall seconds": f"{result.seconds:.1f}",
        "events a minute": f"{result.events * minute:,.0f}",
        "calls a minute": f"{result.calls * minute:,.0f}",
        "digest": result.digest,
    }
    lines = [f"{name:<30} {value}" for name, value in rows.items()]
    return "\n".join([*lines, *result.violations])
