"""A bench whose clock a test moves, with what a crash leaves on it, and passes over it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from evergreen import steps
from evergreen.errors import BadConfiguration, StoreUnavailable
from evergreen.reconcile_results import Reconciliation
from evergreen.results import RunReport
from evergreen.steps import requests
from evergreen.steps.reconcile import Circumstances, reconcile
from evergreen.steps.reconcile.circumstances import grace_of
from evergreen.watch_questions import past_requests
from evergreen.watch_results import RetrainRequest
from tests.fakes.bench import APRIL, MARCH, MAY, Bench, pinned

LEASE = timedelta(seconds=600)
GRACE = grace_of(LEASE.total_seconds())
MINUTE = timedelta(minutes=1)
START = datetime.fromisoformat("2013-06-01T12:00:00+00:00")


class Clock:
    """The database's clock, which moves when it is told to."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now

    def wait(self, span: timedelta) -> None:
        self.now += span


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def bench(tmp_path: Path, clock: Clock) -> Bench:
    made = Bench(tmp_path)
    made.ledger.now = clock
    made.workspace = replace(made.workspace, now=clock)
    return made


def once(bench: Bench, *models: str, dry_run: bool = False, **more: object) -> Reconciliation:
    circumstances = Circumstances(bench.ledger.now(), GRACE, **more)
    return reconcile(bench.workspace, models or ("churn",), circumstances, dry_run=dry_run)


def came(done: Reconciliation) -> list[tuple[str, str]]:
    return [(one.finding.kind, one.became) for one in done.dealt]


def kinds(bench: Bench, since: int = 0) -> list[str]:
    return [row.kind for row in bench.ledger.rows[since:]]


def silent(bench: Bench, **more: object) -> None:
    """Hold that a pass finds nothing and writes nothing, lease included."""
    rows, leases = list(bench.ledger.rows), dict(bench.ledger.leases)
    assert once(bench, **more) == Reconciliation(1)
    assert (bench.ledger.rows, bench.ledger.leases) == (rows, leases)


@contextmanager
def registry_down(bench: Bench) -> Iterator[None]:
    bench.registry.down = True
    yield
    bench.registry.down = False


def cut_at_release(bench: Bench, run: str = "one", as_of: datetime = MARCH) -> str:
    """Leave a run between its intent and the world, with its lease."""
    key = bench.begin(run, as_of)
    bench.until_trained(key)
    bench.good(key, 0.9 if run == "one" else 0.95)
    steps.evaluate(bench.workspace, key)
    steps.register(bench.workspace, key)
    move, bench.registry.move_champion = bench.registry.move_champion, down
    with pytest.raises(StoreUnavailable):
        steps.release(bench.workspace, key)
    bench.registry.move_champion = move
    return key


def down(*_: object) -> None:
    raise StoreUnavailable("the registry did not answer")


def refused(*_: object) -> None:
    raise BadConfiguration("the registry does not know this login")


def request(as_of: datetime = APRIL) -> RetrainRequest:
    return RetrainRequest(f"churn/monitor/{as_of:%Y-%m-%d}", as_of, "x drifted", "watch")


def ask(bench: Bench, *wanted: RetrainRequest) -> None:
    for one in wanted:
        lease = bench.ledger.acquire("churn", one.key, "monitor")
        requests.ask(bench.workspace, one, lease)
        bench.ledger.free(lease)


def serve(bench: Bench, run: str = "woken") -> str:
    begun = steps.resolve_window(
        bench.workspace,
        run_key=f"churn/{run}",
        model=pinned(),
        as_of=MAY,
        reason="test",
        release="auto",
        serves="newest",
    )
    assert not isinstance(begun, RunReport)
    return f"churn/{run}"


def outcomes(bench: Bench) -> list[str | None]:
    return [past.outcome for past in past_requests(bench.ledger, "churn")]
