"""Goes through a scenario part by part, and through a part point by point."""

from __future__ import annotations

import shutil
import sqlite3
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from tests.contracts.web_server import WebServer, web_server
from tests.knife import oracle, strace
from tests.knife.forks import FAILED, RAISED, Forks
from tests.knife.inputs import write_inputs
from tests.knife.oracle import Left
from tests.knife.place import Place, said
from tests.knife.strace import Cut, Point

SCENARIOS = {"ledger": "tests.knife.ledger_parts", "retrain": "tests.knife.retrain_parts"}
KILLED = -9
IN_ANY_ORDER = ("reconcile",)
"""Parts that go on with what they can where something else fails, and do that the next time."""
RECONCILED = "reconcile"
ZIP_SECONDS = 2
"""How exactly a zip file, such as a model, tells when it was made."""
EXPIRED = "UPDATE leases SET expires_at = '2000-01-01T00:00:00.000000Z'"
LOG_LINES = 12


@dataclass(frozen=True, slots=True)
class Tried:
    """What came of a cut: nothing, or how what is left breaks a promise.

    `met`: the cut was made at a file of ours. `ended`: how the process that was cut ended.
    """

    scenario: str
    part: str
    cut: str
    point: str
    met: bool
    ended: str
    seconds: float
    broken: tuple[str, ...] = ()


@dataclass
class Stage:
    """A part with what was there before it, and what undisturbed runs of it leave."""

    part: str
    before: Path
    files_before: Mapping[str, str]
    after: list[Left]
    files_after: Mapping[str, str]
    points: list[Point] = field(default_factory=list)
    hidden: int = 0


class Bench:
    """A folder of its own, in which one part at a time runs; `ledger` is the ledger's URL."""

    def __init__(self, scenario: str, folder: Path) -> None:
        self.scenario = scenario
        self.folder = folder
        self._stack = ExitStack()
        self.server: WebServer = self._stack.enter_context(web_server())
        folder.mkdir(parents=True)
        write_inputs(folder / "inputs")
        home = folder / "home"
        self.place = Place(
            home, self.ledger_url(home), folder / "told", folder / "inputs", self.server.port
        )
        self.log = folder / "log"
        self.forks = Forks(scenario, self.log)
        self._stack.callback(self.forks.close)
        self._bases = 0

    def ledger_url(self, home: Path) -> str:
        return f"sqlite:///{home / 'ledger.db'}"

    @property
    def name(self) -> str:
        return f"{self.scenario}, SQLite"

    @property
    def ledger(self) -> str:
        """The URL by which the oracle reads the ledger."""
        return self.place.ledger

    def __enter__(self) -> Bench:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def clear(self) -> None:
        """Begin anew, with nothing."""
        self._remove_home()
        (self.place.home / "tmp").mkdir(parents=True)

    def keep(self) -> Path:
        """Put a copy of the home aside, and return its name."""
        self._bases += 1
        kept = self.folder / f"base-{self._bases}"
        shutil.copytree(self.place.home, kept, symlinks=True)
        return kept

    def put_back(self, kept: Path) -> None:
        self._remove_home()
        shutil.copytree(kept, self.place.home, symlinks=True)
        self.place.told.unlink(missing_ok=True)
        self.server.requests.clear()

    def _remove_home(self) -> None:
        shutil.rmtree(self.place.home, ignore_errors=True)

    def run(self, part: str) -> int:
        """Run a part undisturbed, and return its code."""
        self.forks.begin(part, self.place)
        return self.forks.end()

    def must_run(self, part: str) -> None:
        if code := self.run(part):
            raise RuntimeError(f"{part} ended with {code}, undisturbed:\n{self.last_lines()}")

    def stages(self, parts: Sequence[str], wanted: Collection[str]) -> Iterator[Stage]:
        """Run parts in order, and yield the wanted ones: run twice, and with what was there before."""
        self.clear()
        for part in parts:
            if part not in wanted:
                self.must_run(part)
                continue
            before, files_before = self.keep(), oracle.files(self.place.home)
            after = []
            for _ in range(2):
                _let_zip_time_pass()  # what time alone changes must differ between the two
                self.put_back(before)
                self.must_run(part)
                after.append(self.look())
            done = self.keep()
            yield Stage(part, before, files_before, after, oracle.files(self.place.home))
            self.put_back(done)

    def look(self) -> Left:
        return oracle.look(self.ledger, self.place.home)

    def record(self, stage: Stage) -> None:
        """Find the points of a part."""
        self.put_back(stage.before)
        process = self.forks.begin(stage.part, self.place, stopped=True)
        written = strace.recording(process, self.folder / "strace").let_go()
        if code := self.forks.end():
            raise RuntimeError(f"{stage.part} ended with {code} under strace:\n{self.last_lines()}")
        stage.points = strace.points(written, process, self.place.home)
        stage.hidden = strace.hidden(written, process, self.place.home)

    def try_cut(self, stage: Stage, point: Point, cut: Cut) -> Tried:
        """Cut a part off at a point, try again once, and hold what is left against the undisturbed."""
        began = time.monotonic()
        self.put_back(stage.before)
        process = self.forks.begin(stage.part, self.place, stopped=True)
        hold = strace.cutting(process, self.folder / "strace", point, cut)
        written = hold.let_go()
        code = self.forks.end()
        met = strace.injected(written, self.place.home)
        broken = [*self._after_cut(stage, code), *self._after_retry(stage, crashes=1)]
        if cut != "kill" and code == 0:
            broken = [one for one in broken if not oracle.WENT_WITHOUT.match(one)]
        seconds = time.monotonic() - began
        where = f"{point} {' '.join(point.paths)}".replace(str(self.place.home), "")
        return Tried(
            *(self.name, stage.part, cut, where, met, ended_words(code), seconds), tuple(broken)
        )

    def try_reconcile(self, stage: Stage, point: Point) -> Tried:
        """Kill a part at a point, never try it again, and let one reconcile pass deal with it."""
        began = time.monotonic()
        self.put_back(stage.before)
        process = self.forks.begin(stage.part, self.place, stopped=True)
        written = strace.cutting(process, self.folder / "strace", point, "kill").let_go()
        code = self.forks.end()
        met = strace.injected(written, self.place.home)
        broken = [*self._after_cut(stage, code), *self._after_reconcile()]
        where = f"{point} {' '.join(point.paths)}".replace(str(self.place.home), "")
        return Tried(
            *(self.name, stage.part, RECONCILED, where, met, ended_words(code)),
            *(time.monotonic() - began, tuple(broken)),
        )

    def _after_reconcile(self) -> Iterator[str]:
        self.let_leases_expire()
        for part in ("reconcile", "nothing_to_reconcile"):
            if code := self.run(part):
                yield f"{part} {ended_words(code)}: {self.last_lines()}"
                return
        ledger = oracle.read_ledger(self.ledger)
        yield from ledger.broken()
        yield from ledger.lost(one for one in said(self.place.told) if "seq" in one)
        yield from oracle.torn(ledger, self.place.home)
        yield from oracle.unfinished(ledger)

    def let_leases_expire(self) -> None:
        """Let as much time pass as a lease lasts."""
        with closing(sqlite3.connect(self.place.home / "ledger.db")) as database, database:
            database.execute(EXPIRED)

    def _after_cut(self, stage: Stage, code: int) -> Iterator[str]:
        """Yield what must not be so even before anybody tries again."""
        heard = said(self.place.told)
        if oracle.has_tables(self.ledger):
            ledger = oracle.read_ledger(self.ledger)
            yield from ledger.broken()
            yield from ledger.lost(one for one in heard if "seq" in one)
        elif any("seq" in one for one in heard):
            yield "the ledger cannot be read any more"
        yield from oracle.halves(self.place.home, stage.files_before, stage.files_after)
        final = [one for one in heard if "error" in one and not one.get("retryable", True)]
        yield from (f"an error that nobody tries again: {one['error']}" for one in final)

    def _after_retry(self, stage: Stage, crashes: int) -> Iterator[str]:
        if code := self.run(stage.part):
            yield f"the retry {ended_words(code)}: {self.last_lines()}"
            return
        ledger = oracle.read_ledger(self.ledger)
        yield from ledger.broken()
        yield from ledger.lost(one for one in said(self.place.told) if "seq" in one)
        ordered = stage.part not in IN_ANY_ORDER
        yield from self.look().differences(stage.after, ordered=ordered)
        yield from oracle.halves(self.place.home, stage.files_before, stage.files_after)
        yield from oracle.torn(ledger, self.place.home)
        yield from self._messages(crashes)
        if stage.part == "reconcile":
            yield from oracle.unfinished(ledger)
            self.let_leases_expire()
            if self.run("nothing_to_reconcile"):
                yield f"a further pass finds something: {self.last_lines()}"

    def _messages(self, crashes: int) -> Iterator[str]:
        """Yield what is wrong with the messages that arrived while this part ran (L3)."""
        arrived = [request.headers["webhook-id"] for request in self.server.requests]
        again = len(arrived) - len(
            {(one.path, one.headers["webhook-id"]) for one in self.server.requests}
        )
        if again > crashes:
            yield f"{again} messages arrived again after {crashes} crashes"

    def last_lines(self) -> str:
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        return " | ".join(lines[-LOG_LINES:])


def _let_zip_time_pass() -> None:
    time.sleep(ZIP_SECONDS - time.time() % ZIP_SECONDS)


def ended_words(code: int) -> str:
    known = {0: "ended whole", FAILED: "failed", RAISED: "raised", KILLED: "killed"}
    return known.get(code, f"ended with {code}")
