"""Which cuts are tried, by whom, and the work of one worker."""

from __future__ import annotations

import importlib
import random
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeVar, get_args

from tests.knife import space
from tests.knife.postgres_bench import PostgresBench
from tests.knife.strace import Cut
from tests.knife.sweep import RECONCILED, SCENARIOS, Bench, Stage, Tried

_T = TypeVar("_T")

PREPARING = ("second_version", "half_released", "nothing_to_reconcile")
"""Parts that only prepare: their steps are cut at under their own names."""
HEAVY = {"track": 40, "train": 60, "evaluate": 20, "refit": 40, "score": 30, "judge": 12}
"""Parts that run for seconds, or make thousands of calls: of each kind of cut so many are sampled."""

ALONE = ("release", "report", "replace", "rollback")
"""Parts that nobody may try again: what they leave, one pass of reconcile finishes or closes."""


@dataclass(frozen=True, slots=True)
class Order:
    """What one of `workers` workers does; `most` bounds the cuts of a kind at a part, 0: HEAVY does."""

    scenario: str
    backend: str
    folder: Path
    parts: tuple[str, ...] = ()
    cuts: tuple[str, ...] = ()
    most: int = 0
    seed: int = 7
    worker: int = 0
    workers: int = 1

    def of(self, worker: int, workers: int) -> Order:
        folder = self.folder / f"{self.scenario}-{self.backend}-{worker}"
        return replace(self, worker=worker, workers=workers, folder=folder)


@dataclass(frozen=True, slots=True)
class Part:
    """How many points a part has, and what came of the cuts that were tried there."""

    scenario: str
    part: str
    points: int
    hidden: int
    tried: tuple[Tried, ...]


def worked(order: Order) -> list[Part]:
    """Do what an order asks for, in its folder."""
    if order.scenario == space.SCENARIO:
        return _on_small_disks(order)
    parts = list(importlib.import_module(SCENARIOS[order.scenario]).PARTS)
    asked = [one for one in order.parts or parts if one in parts and one not in PREPARING]
    if not asked:
        return []
    kind = PostgresBench if order.backend == "postgres" else Bench
    found = []
    with kind(order.scenario, order.folder) as bench:
        last = max(parts.index(one) for one in asked)
        for stage in bench.stages(parts[: last + 1], asked):
            found.append(_tried(bench, stage, order))
            bad = sum(bool(one.broken) for one in found[-1].tried)
            said = f"{bench.name}, {stage.part}: {len(found[-1].tried)} tried, {bad} bad"
            print(said, file=sys.stderr, flush=True)
    return found


def _on_small_disks(order: Order) -> list[Part]:
    sizes = space.SIZES[order.worker :: order.workers]
    if order.backend != "sqlite" or not sizes:
        return []
    parts = list(importlib.import_module(SCENARIOS["retrain"]).PARTS)
    with Bench("retrain", order.folder) as bench:
        tried = space.tried_sizes(bench, parts[: parts.index(space.LAST_PART) + 1], sizes)
        return [Part(bench.name, "disk full", len(space.SIZES), 0, tuple(tried))]


def _tried(bench: Bench, stage: Stage, order: Order) -> Part:
    rng = random.Random(f"{order.seed} {stage.part}")
    if isinstance(bench, PostgresBench):
        all_of_it = [
            (f"{deed} {where}", partial(bench.try_harm, stage, number, words, deed, where))
            for number, words, deed, where in bench.harms(stage)
        ]
    else:
        bench.record(stage)
        all_of_it = [
            (cut, partial(bench.try_cut, stage, point, cut))
            for cut in get_args(Cut)
            for point in stage.points
        ]
        if stage.part in ALONE:
            all_of_it += [
                (RECONCILED, partial(bench.try_reconcile, stage, point)) for point in stage.points
            ]
    wanted = [one for one in all_of_it if not order.cuts or one[0].partition(" ")[0] in order.cuts]
    chosen = list(_sampled(wanted, order.most or HEAVY.get(stage.part, 0), rng))
    tried = tuple(call() for _, call in chosen[order.worker :: order.workers])
    return Part(bench.name, stage.part, len(wanted), stage.hidden, tried)


def _sampled(
    cuts: Sequence[tuple[str, Callable[[], _T]]], most: int, rng: random.Random
) -> Iterator[tuple[str, Callable[[], _T]]]:
    """Yield all cuts, or of each kind so many, in their order."""
    for kind in dict.fromkeys(kind for kind, _ in cuts):
        of_it = [cut for cut in cuts if cut[0] == kind]
        if most and len(of_it) > most:
            of_it = [of_it[place] for place in sorted(rng.sample(range(len(of_it)), most))]
        yield from of_it
