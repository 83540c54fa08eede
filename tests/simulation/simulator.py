"""Years of many models in a minute: Evergreen's own protocol under a scheduler that does it every wrong.

One installation is one ledger, one heap of events and one clock; nothing waits. Airflow is modelled by
what it may do to a run: start it late or beside another, lose, double and reorder its events, kill a
task, take a stopped one for dead and try it again while the first still lives, clear it months later.
Whatever is drawn follows from the seed, and the installation's number, alone.
"""

from __future__ import annotations

import hashlib
import heapq
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import Any

from evergreen.approval_results import Asked
from evergreen.cron import times
from evergreen.errors import LeaseHeld
from evergreen.hand import Deed
from evergreen.hand_questions import standing
from evergreen.ledger.chain import entry_of
from evergreen.results import PinnedModel, RunReport
from evergreen.steps import hand
from evergreen.steps.requests import open_requests
from tests.fakes.ledger import FakeLedger
from tests.simulation import acts
from tests.simulation.acts import TASKS, Run
from tests.simulation.luck import Luck
from tests.simulation.processes import Process, Tried
from tests.simulation.rules import Rules, Violation
from tests.simulation.world import BEGINNING, Clock, World, chance, model_file

LEASE_SECONDS = 600.0
TAIL = 80
MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0
MOST_DRAINING_RUNS = 20

Act = Callable[[], str]


@dataclass
class Dag:
    """A model's retrain as Airflow has it: runs that wait, runs under way, processes that are stopped.

    `tail` is what happened since the model was last quiet.
    """

    model: PinnedModel
    luck: Random
    waiting: deque[Run] = field(default_factory=deque)
    active: set[str] = field(default_factory=set)
    past: list[Run] = field(default_factory=list)
    tail: deque[str] = field(default_factory=lambda: deque(maxlen=TAIL))
    drifts: bool = False
    named: int = 0
    stopped: int = 0

    @property
    def name(self) -> str:
        """The model's name."""
        return self.model.spec.name


class Simulation:
    """One installation with its models, from `BEGINNING` on."""

    def __init__(self, seed: int, number: int, models: int, years: float, luck: Luck) -> None:
        self.counts: Counter[str] = Counter()
        self.calls = 0
        self._luck, self._name = luck, f"{seed}/{number}"
        self._clock = Clock()
        self.ledger = FakeLedger(LEASE_SECONDS, self._clock)
        self.world = World(self.ledger, self._clock, seed=self._name)
        self.rules = Rules(self.world.registry, self.world.deployer)
        self._until = BEGINNING + timedelta(days=365.25 * years)
        self._heap: list[tuple[datetime, int, str, Dag | None, Act]] = []
        self._serial = 0
        self._trace = hashlib.sha256()
        self.dags = [
            Dag(_model(f"m{number}_{n}", n), Random(f"{self._name}/{n}")) for n in range(models)
        ]

    @property
    def digest(self) -> str:
        """The digest of everything that happened and of everything that was written."""
        return hashlib.sha256(f"{self._trace.hexdigest()} {self.ledger.head.hash}".encode()).hexdigest()

    def run(self) -> None:
        """Let the years pass, then let everything come to rest.

        Raises:
            Violation: a rule did not hold; it says when, and what led to it.
        """
        with self.world.drawing_lots():
            for dag in self.dags:
                self._plan(dag)
            if self._luck.outages:
                self._break(Random(f"{self._name}/outages"))
            while self._heap:
                self._next()
            for dag in self.dags:
                self._come_to_rest(dag)
        if not self.ledger.verify().ok:
            raise Violation("the chain does not verify")

    # --- The heap -----------------------------------------------------------------------------------

    def _at(self, at: datetime, what: str, dag: Dag | None, act: Act) -> None:
        self._serial += 1
        heapq.heappush(self._heap, (at, self._serial, what, dag, act))

    def _in(self, seconds: float, what: str, dag: Dag | None, act: Act) -> None:
        self._at(self._clock.now + timedelta(seconds=seconds), what, dag, act)

    def _next(self) -> None:
        at, _, what, dag, act = heapq.heappop(self._heap)
        self._clock.now = max(at, self._clock.now)
        self._happens(what, dag, act)

    def _happens(self, what: str, dag: Dag | None, act: Act) -> None:
        """Do one event, then hold the rules against what came of it."""
        self.counts["events"] += 1
        before = len(self.ledger.rows)
        line = f"{self._clock.now:%Y-%m-%d %H:%M:%S} {'' if dag is None else dag.name} {what}"
        try:
            line = f"{line}: {act()}"
            if dag is not None:
                self._hold(dag, before, line)
        except Exception as exc:
            tail = [] if dag is None else [*dag.tail, line, *self._written(before)]
            told = "\n  ".join([f"{type(exc).__name__}: {exc}", *tail])
            raise Violation(f"installation {self._name}, {line}\n  {told}") from exc

    def _hold(self, dag: Dag, before: int, line: str) -> None:
        for row in self.ledger.rows[before:]:
            self.rules.read(entry_of(row))
        self.rules.look_at(dag.name)
        self._trace.update(line.encode())
        if not (dag.active or dag.waiting or dag.stopped or self.rules.of(dag.name).intent):
            dag.tail.clear()
        dag.tail.extend([line, *self._written(before)])

    def _written(self, before: int) -> list[str]:
        return [f"    wrote {row.key}" for row in self.ledger.rows[before:]]

    # --- Airflow ------------------------------------------------------------------------------------

    def _plan(self, dag: Dag) -> None:
        """Lay out what schedules, people and chance will do to a model in all the years."""
        spec = dag.model.spec
        for at in times(str(spec.schedule), BEGINNING, self._until):
            self._at(at, "schedule", dag, lambda at=at: self._add(dag, at, "earlier"))
        for at in times(str(spec.monitor and spec.monitor.schedule), BEGINNING, self._until):
            self._at(at, "check", dag, lambda at=at: self._look(dag, at, 1))
        for name, yearly in self._luck.yearly.items():
            for at in _poisson(dag.luck, yearly, self._until):
                self._at(at, name, dag, lambda name=name: getattr(self, f"_{name}")(dag))

    def _add(self, dag: Dag, as_of: datetime, serves: Any, **more: Any) -> str:
        dag.named += 1
        run = Run(f"{dag.name}/{dag.named}", dag.model, as_of, serves, **more)
        dag.waiting.append(run)
        beside = dag.luck.random() < self._luck.runs_beside
        return f"run {run.key} waits, {self._start(dag, beside=beside)}"

    def _start(self, dag: Dag, *, beside: bool = False) -> str:
        """Start the next run where none is under way; `max_active_runs` does not always hold."""
        if not dag.waiting or (dag.active and not beside):
            return f"{len(dag.active)} under way"
        run = dag.waiting.popleft()
        dag.active.add(run.key)
        self.counts["runs"] += 1
        self._in(dag.luck.uniform(1, 20), f"begins {run.key}", dag, lambda: self._task(dag, run, 0, 1))
        return f"{run.key} starts"

    def _task(self, dag: Dag, run: Run, number: int, tries: int, failure: str | None = None) -> str:
        """Try a task; what Airflow does next depends on how the try ends."""
        name = TASKS[number]
        tried = self._try(dag, lambda workspace: acts.task(workspace, run, name, failure))
        self.counts[f"tasks {tried.end}"] += 1
        told = f"{name} of {run.key}, try {tries}: {tried}"
        if name == "report" and (tried.end in {"done", "failed"} or tries > self._luck.retries):
            return f"{told}; {self._over(dag, run)}"
        if tried.end == "done":
            self._after(dag, run, number, tried.value)
        elif self._gives_up(tried, tries):
            self._report(dag, run, f"failed task: {name}")
        else:
            late = self._luck.noticed_after(dag.luck)
            if tried.end == "failed":
                late = MINUTE * 2 ** min(tries, 6)
            again = lambda: self._task(dag, run, number, tries + 1, failure)  # noqa: E731
            self._in(late, f"tries again {run.key}", dag, again)
        return told

    def _gives_up(self, tried: Tried, tries: int) -> bool:
        """Return whether Airflow tries no more; a held lease is waited for beyond its retries."""
        if isinstance(tried.error, LeaseHeld):
            return False
        return tries > self._luck.retries or (tried.error is not None and not tried.error.retryable)

    def _after(self, dag: Dag, run: Run, number: int, value: Any) -> None:
        if isinstance(value, RunReport):
            self._report(dag, run, None)
        elif isinstance(value, Asked):
            self._ask_people(dag, run, number, value)
        else:
            seconds = dag.luck.uniform(2, 1800 if TASKS[number + 1] == "train" else 30)
            self._in(seconds, f"goes on {run.key}", dag, lambda: self._task(dag, run, number + 1, 1))

    def _report(self, dag: Dag, run: Run, failure: str | None) -> None:
        last = len(TASKS) - 1
        self._in(5, f"ends {run.key}", dag, lambda: self._task(dag, run, last, 1, failure))

    def _over(self, dag: Dag, run: Run) -> str:
        dag.active.discard(run.key)
        dag.past.append(run)
        if dag.luck.random() < self._luck.cleared:
            number = dag.luck.randrange(len(TASKS))
            late = dag.luck.expovariate(1 / (20 * DAY))
            self._in(late, f"clears {run.key}", dag, lambda: self._task(dag, run, number, 1))
        return f"over; {self._start(dag)}"

    def _ask_people(self, dag: Dag, run: Run, number: int, asked: Asked) -> None:
        wait = (asked.deadline - asked.asked_at).total_seconds()
        late = dag.luck.uniform(0.01, 1.3) * wait
        word: Any = dag.luck.choice(["approve", "approve", "approve", "reject", "more_data"])
        if late < wait:
            self._in(late, f"{word} {run.key}", dag, lambda: self._answer(dag, run, word))
        goes_on = min(late, wait) + dag.luck.uniform(1, 60)
        self._in(goes_on, f"goes on {run.key}", dag, lambda: self._task(dag, run, number, 1))

    # --- The watch and its events -------------------------------------------------------------------

    def _look(self, dag: Dag, as_of: datetime, tries: int) -> str:
        if tries == 1 and dag.luck.random() < 0.06:
            dag.drifts = not dag.drifts
        alarm = dag.luck.random() < (0.7 if dag.drifts else 0.02)
        key = f"{dag.name}/monitor/{as_of:%Y-%m-%dT%H}"
        tried = self._try(dag, lambda w: acts.look(w, key, dag.model, as_of, alarm=alarm))
        if tried.end != "done" and tries <= self._luck.retries:
            late = self._luck.noticed_after(dag.luck)
            self._in(late, "check again", dag, lambda: self._look(dag, as_of, tries + 1))
        elif tried.end == "done" and tried.value.open_requests:
            self._wake(dag, tried.value.open_requests[-1])
        return f"{key} alarm={alarm}: {tried if tried.end != 'done' else tried.value.action}"

    def _wake(self, dag: Dag, request: str) -> None:
        """Emit an event, which may be lost, come late, or come twice."""
        for _ in range(self._luck.deliveries(dag.luck)):
            late = self._luck.delay(dag.luck)
            self._in(
                late,
                "event",
                dag,
                lambda: self._add(dag, self._clock.now, "newest", woken_by=(request,)),
            )

    def _reconcile(self, dag: Dag) -> str:
        """Make a pass that knows what Airflow knows of the runs, and wakes what was lost."""
        over = {run.key for run in dag.past}
        ended = {**dict.fromkeys(over, True), **dict.fromkeys(dag.active, False)}
        known = self._try(
            dag,
            lambda seen: acts.pass_over(
                seen, dag.name, ended.get, lambda one, _: self._wake(dag, one.key)
            ),
        )
        if known.end != "done":
            return str(known)
        dealt = known.value.dealt
        self.counts["mended"] += sum(one.became == "mended" for one in dealt)
        return ", ".join(f"{one.finding.kind} {one.became}" for one in dealt) or "nothing to do"

    # --- People -------------------------------------------------------------------------------------

    def _answer(self, dag: Dag, run: Run, word: Any) -> str:
        return str(self._try(dag, lambda workspace: acts.answer(workspace, run.key, word)))

    def _deed(self, dag: Dag, action: Any) -> str:
        return str(self._try(dag, lambda w: hand.do(w, dag.name, Deed(action, "ana", "so"))))

    def _pin(self, dag: Dag) -> str:
        self._in(dag.luck.expovariate(1 / (40 * DAY)), "unpin", dag, lambda: self._deed(dag, "unpin"))
        return self._deed(dag, "pin")

    def _pause(self, dag: Dag) -> str:
        self._in(dag.luck.expovariate(1 / (30 * DAY)), "resume", dag, lambda: self._deed(dag, "resume"))
        return self._deed(dag, "pause")

    def _rollback(self, dag: Dag) -> str:
        tried = self._try(dag, lambda workspace: acts.roll_back(workspace, dag.name, None))
        self.counts["rollbacks"] += tried.end == "done"
        return str(tried)

    def _backfill(self, dag: Dag) -> str:
        days = sorted(dag.luck.uniform(10, 400) for _ in range(3))
        told = [self._add(dag, self._clock.now - timedelta(days=day), "none") for day in days]
        return "; ".join(told)

    def _by_hand(self, dag: Dag) -> str:
        wish: Any = dag.luck.choice(["auto", "never", "unopposed"])
        serves: Any = "none" if wish == "never" else "earlier"
        return self._add(dag, self._clock.now, serves, release=wish, triggered_by="bob")

    # --- Bad luck -----------------------------------------------------------------------------------

    def _try(self, dag: Dag, work: Callable[[Any], Any]) -> Tried:
        dies_at, stops_at = self._luck.fate(dag.luck)
        process = Process(dies_at, stops_at)
        seen = process.workspace(self.world.workspace, self.rules.leased)
        tried = process.run(lambda: work(seen))
        self.calls += process.passes // 2
        self.counts["killed"] += tried.end == "killed"
        if tried.end == "stopped":
            self.counts["stopped"] += 1
            late = dag.luck.expovariate(1 / (6 * HOUR))
            dag.stopped += 1
            self._in(late, "wakes a stopped process", dag, lambda: self._wake_process(dag, process))
        return tried

    def _wake_process(self, dag: Dag, process: Process) -> str:
        dag.stopped -= 1
        return str(process.wake())

    def _break(self, luck: Random) -> None:
        """Let registry, target and source be away for hours, now and then."""
        parts: dict[str, Callable[[bool], None]] = {
            "registry": lambda down: setattr(self.world.registry, "down", down),
            "target": lambda down: setattr(self.world.deployer, "unavailable", down),
            "source": lambda down: setattr(self.world.source, "down", down),
        }
        for name, put in parts.items():
            for at in _poisson(luck, self._luck.outages, self._until):
                hours = luck.expovariate(1 / 5)
                self._at(at, f"{name} goes", None, lambda put=put: str(put(True)))
                until = at + timedelta(hours=hours)
                self._at(until, f"{name} comes back", None, lambda put=put: str(put(False)))

    def _come_to_rest(self, dag: Dag) -> None:
        """Nothing breaks any more: the retrain is woken for as long as requests are open."""
        self._luck = Luck.none()
        for action in ("unpin", "resume"):
            self._happens(action, dag, lambda action=action: self._deed(dag, action))
        self._clock.pass_(10 * DAY)
        for _ in range(MOST_DRAINING_RUNS):
            if not open_requests(self.world.workspace, dag.name):
                break
            self._happens("rest", dag, lambda: self._add(dag, self._clock.now, "newest"))
            while self._heap:
                self._next()
        self._happens("rest", dag, lambda: self._add(dag, self._clock.now, "none"))
        while self._heap:
            self._next()
        if standing(self.ledger, dag.name).withheld is not None:
            raise Violation(f"{dag.name} is pinned or paused, though that was taken back")
        self.rules.at_rest(dag.name)


def _model(name: str, number: int) -> PinnedModel:
    """Return one of the kinds of model files: with and without approval, spread over days and hours."""
    day, hour = 1 + int(chance(name, "day") * 28), int(chance(name, "hour") * 24)
    approval = [None, None, {"timeout": "3 days"}, {"timeout": "1 days", "on_timeout": "release"}]
    asks = approval[number % len(approval)]
    return model_file(
        name,
        schedule=f"{int(chance(name, 'minute') * 60)} {hour} {day} * *",
        release={} if asks is None else {"approval": asks},
    )


def _poisson(luck: Random, yearly: float, until: datetime) -> list[datetime]:
    found, at = [], BEGINNING
    while yearly > 0:
        at += timedelta(days=luck.expovariate(yearly / 365.25))
        if at > until:
            break
        found.append(at)
    return found
