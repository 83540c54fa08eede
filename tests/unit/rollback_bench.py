"""Two champions of which the second serves, and ways to roll back, be killed at it, be half done."""

from __future__ import annotations

import sys
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from evergreen import steps
from evergreen.errors import (
    StoreUnavailable,
)
from evergreen.results import Release, RunReport
from evergreen.steps.rollback import planned, rollback
from tests.fakes.bench import APRIL, MARCH, MAY, Bench

DAY = timedelta(days=1)


WHY = "it says no to everybody"


MODULES = ("steps.rollback", "steps.settle")


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """Version 1 as of March, version 2 as of April, which serves."""
    bench = Bench(tmp_path)
    bench.whole("one", MARCH, 0.6)
    bench.whole("two", APRIL, 0.7)
    return bench


def undo(bench: Bench, to: int | None = None, why: str = WHY, who: str = "ana") -> Release:
    return rollback(bench.workspace, planned(bench.workspace, "churn", to), who, why)


def champions(bench: Bench) -> tuple[int | None, int | None, int | None]:
    """Who is champion by the ledger, by the registry, by the target."""
    entry = bench.ledger.last("churn", "release")
    number = None if entry is None else entry.body["version"]["number"]
    return number, bench.registry.champion("churn"), bench.serving()


def again(bench: Bench, run: str, when: datetime, certainty: float) -> RunReport:
    return bench.whole(run, when, certainty)


def release_half_done(bench: Bench, run: str = "three", when: datetime = MAY) -> str:
    """Leave a release whose alias is moved and whose target did not take it."""
    key = bench.begin(run, when)
    bench.until_trained(key)
    bench.good(key, 0.9)
    bench.deployer.unavailable = True
    with pytest.raises(StoreUnavailable):
        bench.finish(key)
    steps.report(bench.workspace, key, "release failed")
    bench.deployer.unavailable = False
    return key


class Killed(BaseException):
    """Ends a step where no clean-up may run."""


def kill(bench: Bench, monkeypatch: pytest.MonkeyPatch, at: str) -> None:
    """Roll back and die at a failpoint, the lease still held."""

    def failpoint(name: str) -> None:
        if name == at:
            raise Killed(name)

    with monkeypatch.context() as patched:
        for module in MODULES:
            patched.setattr(sys.modules[f"evergreen.{module}"], "failpoint", failpoint)
        patched.setattr(bench.ledger, "free", lambda lease: None)
        with pytest.raises(Killed):
            undo(bench)
    assert bench.ledger.holder("churn") is not None
