"""Whatever is killed, stopped, woken, doubled, lost and re-run, in whatever order, the rules hold.

Hypothesis plays Airflow, people and bad luck against the real steps; the rules are a small model of the
protocol in plain values, `tests/simulation/rules.py`. The ledger is the real one in SQLite for some
stories; for many more it is the one in memory, which keeps the same contract in a tenth of the time.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from contextlib import ExitStack
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from sqlalchemy import event

from evergreen.approval_questions import standing
from evergreen.approval_results import Asked
from evergreen.hand import Deed
from evergreen.ledger import open_ledger
from evergreen.ledger.chain import instant_text
from evergreen.results import RunReport
from evergreen.steps import approve, hand
from evergreen.steps.requests import open_requests
from tests.fakes.ledger import FakeLedger
from tests.simulation import acts
from tests.simulation.acts import TASKS, Run
from tests.simulation.processes import Process, Tried
from tests.simulation.rules import Rules
from tests.simulation.world import Clock, World, model_file

MODEL = "churn"
LEASE_SECONDS = 600
MOST_DRAINING_RUNS = 30

passes = st.integers(1, 40)
fates = st.one_of(
    st.none(), st.none(), passes.map(lambda n: ("dies", n)), passes.map(lambda n: ("stops", n))
)
which = st.integers(0, 10**6)


@pytest.fixture(scope="module", autouse=True)
def empty_ledger(tmp_path_factory):
    """Make the ledger that each story begins with a copy of."""
    path = tmp_path_factory.mktemp("ledger") / "ledger.db"
    open_ledger(f"sqlite:///{path}", LEASE_SECONDS).close()
    InSqlite.empty = path
    return path


class InMemory(RuleBasedStateMachine):
    """One model, its runs as Airflow has them, and the processes that were stopped on the way."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.ledger = self.opened()
        self.world = World(self.ledger, self.clock, seed=1)
        self.rules = Rules(self.world.registry, self.world.deployer)
        self.runs: list[Run] = []
        self.next: dict[str, int] = {}
        self.stopped: list[Process] = []
        self.events: list[str] = []
        self.names = 0
        self.patches = ExitStack()
        self.patches.enter_context(self.world.drawing_lots())

    def opened(self) -> Any:
        return FakeLedger(LEASE_SECONDS, self.clock)

    @initialize(approval=st.sampled_from([None, "keep", "release"]))
    def one_model(self, approval: str | None) -> None:
        asks = approval and {"approval": {"on_timeout": approval, "timeout": "1 days"}}
        self.model = model_file(MODEL, release=asks or {})

    # --- Airflow ------------------------------------------------------------------------------------

    @rule(kind=st.sampled_from(["schedule", "schedule", "backfill", "never"]), day=st.integers(1, 60))
    def begin(self, kind: str, day: int) -> None:
        """A run is due, or asked for; several may be under way."""
        as_of = self.clock.now - timedelta(days=day) if kind == "backfill" else self.clock.now
        self._add(
            as_of,
            serves="earlier" if kind == "schedule" else "none",
            release="never" if kind == "never" else "auto",
            triggered_by="bob" if kind == "never" else None,
        )

    @precondition(lambda self: self.events)
    @rule(at=which, again=st.booleans())
    def wake_up(self, at: int, again: bool) -> None:
        """An event arrives, in whatever order, and perhaps once more later."""
        key = self._of(self.events, at)
        if not again:
            self.events.remove(key)
        self._add(self.clock.now, serves="newest", woken_by=(key,))

    @precondition(lambda self: self.events)
    @rule(at=which)
    def lose_an_event(self, at: int) -> None:
        self.events.remove(self._of(self.events, at))

    @precondition(lambda self: self.runs)
    @rule(at=which, fate=fates)
    def go_on(self, at: int, fate: Any) -> None:
        """A run's next task is tried."""
        run = self._of(self.runs, at)
        self._task(run, TASKS[min(self.next[run.key], len(TASKS) - 1)], fate)

    @precondition(lambda self: self.runs)
    @rule(at=which, fate=fates)
    def go_on_to_the_end(self, at: int, fate: Any) -> None:
        """All that is left of a run is done; the fate meets its last task but the report."""
        self._to_the_end(self._of(self.runs, at), fate)

    @precondition(lambda self: self.runs)
    @rule(at=which, name=st.sampled_from(TASKS), fate=fates)
    def clear(self, at: int, name: str, fate: Any) -> None:
        """A person clears a task of a run, over or not, and it runs again, as do those after it."""
        run = self._of(self.runs, at)
        self.next[run.key] = min(TASKS.index(name), self.next[run.key])
        self._task(run, TASKS[self.next[run.key]], fate)

    @precondition(lambda self: self.stopped)
    @rule(at=which)
    def wake(self, at: int) -> None:
        """A stopped process goes on as if nothing had happened."""
        process = self._of(self.stopped, at)
        self.stopped.remove(process)
        process.wake()

    # --- The watch, people, bad luck ----------------------------------------------------------------

    @rule(alarm=st.sampled_from([True, True, False]), days_ago=st.sampled_from([0, 0, 30]), fate=fates)
    def look(self, alarm: bool, days_ago: int, fate: Any) -> None:
        """A check is made, now or for the past; it wakes the retrain while a request is open."""
        self.names += 1
        key, as_of = f"{MODEL}/monitor/{self.names}", self.clock.now - timedelta(days=days_ago)
        tried = self._try(lambda w: acts.look(w, key, self.model, as_of, alarm=alarm), fate)
        if tried.end == "done" and tried.value.open_requests:
            self.events.append(tried.value.open_requests[-1])

    @rule(hours=st.sampled_from([0.1, 0.2, 1, 30, 24 * 8, 24 * 15]))
    def wait(self, hours: float) -> None:
        self.clock.pass_(hours * 3600)

    @rule(action=st.sampled_from(["pin", "unpin", "pause", "resume"]), fate=fates)
    def decide(self, action: Any, fate: Any) -> None:
        self._try(lambda w: hand.do(w, MODEL, Deed(action, "ana", "so")), fate)

    @rule(to=st.none() | st.integers(1, 3), fate=fates)
    def roll_back(self, to: int | None, fate: Any) -> None:
        self._try(lambda w: acts.roll_back(w, MODEL, to), fate)

    @precondition(lambda self: self._waiting())
    @rule(at=which, word=st.sampled_from(["approve", "approve", "reject"]), fate=fates)
    def answer(self, at: int, word: Any, fate: Any) -> None:
        run = self._of(self._waiting(), at)
        self._try(lambda w: acts.answer(w, run.key, word), fate)

    @rule(fate=fates)
    def reconcile(self, fate: Any) -> None:
        """A pass is made, by hand or by Airflow; nobody knows what became of the runs."""
        self._try(
            lambda w: acts.pass_over(
                w, MODEL, lambda run_key: None, lambda one, _: self.events.append(one.key)
            ),
            fate,
        )

    @rule()
    def end_what_is_overdue(self) -> None:
        approve.end_overdue(self.ledger, self.clock.now)

    @rule(what=st.sampled_from(["registry", "target", "source"]), down=st.booleans())
    def break_or_mend(self, what: str, down: bool) -> None:
        if what == "registry":
            self.world.registry.down = down
        elif what == "target":
            self.world.deployer.unavailable = down
        else:
            self.world.source.down = down

    # --- What must hold -----------------------------------------------------------------------------

    @invariant()
    def the_rules_hold(self) -> None:
        for entry in self.ledger.entries(after=self.rules.seq):
            self.rules.read(entry)
        self.rules.look_at(MODEL)
        assert self.ledger.verify().ok

    def teardown(self) -> None:
        try:
            self._come_to_rest()
            self.the_rules_hold()
            self.rules.at_rest(MODEL)
        finally:
            for process in self.stopped:
                process.kill()
            self.patches.close()
            self.ledger.close()

    def _come_to_rest(self) -> None:
        """Nothing breaks any more: all go on, and the retrain is woken while requests are open."""
        for what in ("registry", "target", "source"):
            self.break_or_mend(what, down=False)
        while self.stopped:
            self.stopped.pop().wake()
        for run in self.runs:
            self.clock.pass_(3600)
            self._task(run, "report", None)
        for action in ("unpin", "resume"):
            self.decide(action, None)
        self.clock.pass_(10 * 24 * 3600)
        for _ in range(MOST_DRAINING_RUNS):
            if not open_requests(self.world.workspace, MODEL):
                break
            self._to_the_end(self._add(self.clock.now, serves="newest"), None)
            self.clock.pass_(3600)
        self._to_the_end(self._add(self.clock.now), None)

    # --- How ----------------------------------------------------------------------------------------

    def _add(self, as_of: datetime, **more: Any) -> Run:
        self.names += 1
        run = Run(f"{MODEL}/{self.names}", self.model, as_of, **more)
        self.runs.append(run)
        self.next[run.key] = 0
        return run

    def _to_the_end(self, run: Run, fate: Any) -> None:
        failure = None
        for number in range(self.next[run.key], len(TASKS) - 1):
            tried = self._task(run, TASKS[number], fate if number == len(TASKS) - 2 else None)
            if isinstance(tried.value, Asked):
                self._try(lambda w: acts.answer(w, run.key, "approve"), None)
                tried = self._task(run, TASKS[number], None)
            if tried.end != "done" or isinstance(tried.value, RunReport):
                failure = None if tried.end == "done" else f"failed task: {TASKS[number]}"
                break
        self._task(run, "report", None, failure)

    def _task(self, run: Run, name: str, fate: Any, failure: str | None = None) -> Tried:
        tried = self._try(lambda w: acts.task(w, run, name, failure), fate)
        if tried.end == "done" and TASKS.index(name) == self.next[run.key]:
            self.next[run.key] += 1
        return tried

    def _try(self, work: Callable[[Any], Any], fate: Any) -> Tried:
        how, at = fate or (None, None)
        process = Process(dies_at=at if how == "dies" else None, stops_at=at if how == "stops" else None)
        seen = process.workspace(self.world.workspace, self.rules.leased)
        tried = process.run(lambda: work(seen))
        if tried.end == "stopped":
            self.stopped.append(process)
        return tried

    def _waiting(self) -> list[Run]:
        if self.model.spec.approval is None:
            return []
        told = {run.key: standing(self.ledger, run.key) for run in self.runs}
        return [run for run in self.runs if (one := told[run.key]) is not None and not one.answered]

    @staticmethod
    def _of(several: list[Any], at: int) -> Any:
        return several[at % len(several)]


class InSqlite(InMemory):
    """The same over the real ledger; what it does not wait for is the disk."""

    empty: Path

    def opened(self) -> Any:
        self.folder = Path(mkdtemp(prefix="protocol-"))
        shutil.copy(self.empty, self.folder / "ledger.db")
        ledger = open_ledger(f"sqlite:///{self.folder / 'ledger.db'}", LEASE_SECONDS)
        database = ledger._database
        event.listen(database._engine, "connect", lambda raw, _: raw.execute("PRAGMA synchronous = OFF"))
        database.now = lambda _: instant_text(self.clock.now)
        return ledger

    def teardown(self) -> None:
        try:
            super().teardown()
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)


TestInMemory = InMemory.TestCase
TestInSqlite = InSqlite.TestCase
TestInMemory.settings = settings(
    max_examples=int(os.environ.get("PROTOCOL_EXAMPLES", "200")),
    stateful_step_count=40,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
TestInSqlite.settings = settings(TestInMemory.settings, max_examples=20)
