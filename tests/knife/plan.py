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
STEPS_ON_POSTGRES = 12
"""Steps make hundreds of round trips, and harm is of seven kinds: so many of each are sampled."""

ALONE = ("release", "report", "replace", "rollback")
"""Parts that nobody may try again: what they leave, one pass of reconcile finishes or closes."""


@dataclass(frozen=True, slots=True)
class Order:
    """What one of `workers` workers does; `most` bounds the cuts of a kind at a part, 0: `_most`."""

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
            tried = found[-1].tried
            bad, seconds = sum(bool(one.broken) for one in tried), sum(one.seconds for one in tried)
            done = f"{len(tried)} of {found[-1].points} tried, {bad} bad, {seconds:.0f} s"
            said = f"{bench.name}, {stage.part}: {done}"
            print(said, *(broken for one in tried for broken in one.broken), sep="\n- ", file=sys.stderr)
    return found


def _on_small_disks(order: Order) -> list[Part]:
    if order.backend != "sqlite":
        return []
    chosen = space.FREE_KIB
    if order.most:
        chosen = tuple(sorted(random.Random(order.seed).sample(chosen, min(order.most, len(chosen)))))
    parts = list(importlib.import_module(SCENARIOS["retrain"]).PARTS)
    parts = parts[: parts.index(space.LAST_PART) + 1]
    with Bench("retrain", order.folder) as bench:
        tried = space.tried_sizes(bench, parts, chosen[order.worker :: order.workers])
        return [Part(bench.name, "full disk", len(space.FREE_KIB) * len(parts), 0, tuple(tried))]


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
    chosen = list(_sampled(wanted, _most(order, stage.part), rng))
    tried = tuple(call() for _, call in chosen[order.worker :: order.workers])
    return Part(bench.name, stage.part, len(wanted), stage.hidden, tried)


def _most(order: Order, part: str) -> int:
    """Return how many cuts of a kind are tried at a part; 0: all of them."""
    if order.most or order.scenario != "retrain" or order.backend != "postgres":
        return order.most or HEAVY.get(part, 0)
    return min(HEAVY.get(part, STEPS_ON_POSTGRES), STEPS_ON_POSTGRES)


def _sampled(
    cuts: Sequence[tuple[str, Callable[[], _T]]], most: int, rng: random.Random
) -> Iterator[tuple[str, Callable[[], _T]]]:
    """Yield all cuts, or of each kind so many, in their order."""
    for kind in dict.fromkeys(kind for kind, _ in cuts):
        of_it = [cut for cut in cuts if cut[0] == kind]
        if most and len(of_it) > most:
            of_it = [of_it[place] for place in sorted(rng.sample(range(len(of_it)), most))]
        yield from of_it
