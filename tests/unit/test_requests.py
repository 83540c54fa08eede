"""The queue of retrain requests: none is lost, none served twice, whatever is killed where."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evergreen import steps
from evergreen.errors import LeaseHeld
from evergreen.results import Retrain, RunReport, ValidationReport
from evergreen.steps import memory, requests
from evergreen.watch_questions import past_requests
from evergreen.watch_results import RequestClosed, RequestTaken, RetrainRequest
from tests.fakes.bench import APRIL, MARCH, MAY, Bench, pinned
from tests.fakes.ledger import FakeLedger


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def request(as_of: datetime, name: str | None = None) -> RetrainRequest:
    key = f"churn/monitor/{name or f'{as_of:%Y-%m-%d}'}"
    return RetrainRequest(key, as_of, f"alarm of {as_of:%B}", "watch")


def ask(workspace, *wanted: RetrainRequest) -> None:
    for one in wanted:
        lease = workspace.ledger.acquire("churn", one.key, "monitor")
        requests.ask(workspace, one, lease)
        workspace.ledger.free(lease)


def begin(
    workspace, run: str, serves: requests.Serves = "newest", as_of=MAY, **more
) -> Retrain | RunReport:
    return steps.resolve_window(
        workspace,
        run_key=f"churn/{run}",
        model=pinned(),
        as_of=as_of,
        reason="test",
        release="auto",
        serves=serves,
        **more,
    )


def reject(workspace, run: str) -> None:
    """Do a run's work in no time: its data is rejected."""
    with memory.holding(workspace, f"churn/{run}", "validate") as lease:
        rejected = ValidationReport(False, 10, (), 0, None, None)
        memory.record(workspace, "validation", f"churn/{run}", rejected, lease)


def ends(workspace) -> dict[str, tuple[str | None, str | None]]:
    """Return, by the day of each request, which run ended it, and how."""
    return {
        past.request.key.rpartition("/")[2]: (past.taken_by, past.outcome)
        for past in past_requests(workspace.ledger, "churn")
    }


def test_a_request_is_served_as_of_its_alarm_and_its_reason_stands_everywhere(bench):
    ask(bench.workspace, request(APRIL))
    begun = begin(bench.workspace, "woken")
    assert begun.windows.as_of == APRIL
    assert begun.reason == "request of the watch: alarm of April"
    bench.until_trained("churn/woken")
    bench.good("churn/woken")
    told = bench.finish("churn/woken")
    assert told.lines[0] == "why: request of the watch: alarm of April"
    assert bench.registry.tags["churn", 1]["evergreen.reason"] == begun.reason
    (closed,) = bench.ledger.bodies("request_closed")
    assert closed == {
        "key": "churn/monitor/2013-04-01",
        "run_key": "churn/woken",
        "outcome": "promoted",
        "superseded_by": None,
    }


def test_a_request_that_is_asked_for_again_stands_as_it_was_asked_first(bench):
    ask(bench.workspace, request(APRIL))
    lease = bench.ledger.acquire("churn", "churn/monitor/again", "monitor")
    again = requests.ask(bench.workspace, replace(request(APRIL), reason="other words"), lease)
    assert again == request(APRIL)
    assert len(bench.ledger.bodies("retrain_requested")) == 1


def test_the_newest_as_of_is_served_and_older_requests_end_with_it_in_whatever_order_they_came(bench):
    ask(bench.workspace, request(APRIL), request(MAY), request(MARCH))
    assert begin(bench.workspace, "woken").windows.as_of == MAY
    reject(bench.workspace, "woken")
    steps.report(bench.workspace, "churn/woken")
    assert set(ends(bench.workspace).values()) == {("churn/woken", "rejected")}
    superseded = {p.request.as_of: p.superseded_by for p in past(bench)}
    newest = "churn/monitor/2013-05-01"
    assert superseded == {MARCH: newest, APRIL: newest, MAY: None}


def past(bench):
    return past_requests(bench.ledger, "churn")


def test_a_later_request_that_comes_while_a_run_serves_an_earlier_one_stays_open(bench):
    ask(bench.workspace, request(MARCH))
    begin(bench.workspace, "woken")
    ask(bench.workspace, request(APRIL))
    reject(bench.workspace, "woken")
    steps.report(bench.workspace, "churn/woken")
    (left,) = requests.open_requests(bench.workspace, "churn")
    assert left.request.as_of == APRIL


def test_a_run_of_the_schedule_serves_requests_up_to_its_own_as_of(bench):
    ask(bench.workspace, request(MARCH), request(MAY))
    begun = begin(bench.workspace, "scheduled", "earlier", APRIL)
    assert begun.windows.as_of == APRIL
    assert begun.reason == "test; serves the request of the watch: alarm of March"
    reject(bench.workspace, "scheduled")
    steps.report(bench.workspace, "churn/scheduled")
    assert ends(bench.workspace) == {
        "2013-03-01": ("churn/scheduled", "rejected"),
        "2013-05-01": (None, None),
    }


@pytest.mark.parametrize("serves", ["none", "earlier"])
def test_a_run_that_no_request_fits_goes_on_as_it_was_asked_for(bench, serves):
    ask(bench.workspace, request(MAY))
    assert begin(bench.workspace, "other", serves, APRIL).reason == "test"
    assert ends(bench.workspace) == {"2013-05-01": (None, None)}


def test_a_backfill_leaves_the_queue_alone(bench):
    ask(bench.workspace, request(MARCH))
    assert begin(bench.workspace, "backfill", "none", APRIL).reason == "test"
    assert ends(bench.workspace) == {"2013-03-01": (None, None)}


def test_a_run_that_is_woken_twice_is_skipped_the_second_time_and_says_who_served(bench):
    ask(bench.workspace, request(APRIL))
    begin(bench.workspace, "first")
    reject(bench.workspace, "first")
    steps.report(bench.workspace, "churn/first")
    skipped = begin(bench.workspace, "second", woken_by=["churn/monitor/2013-04-01"])
    assert (skipped.outcome, skipped.as_of) == ("skipped", None)
    assert skipped.summary == (
        "churn: skipped, the request as of 2013-04-01 00:00 was served already by run churn/first "
        "(rejected)"
    )
    assert steps.report(bench.workspace, "churn/second") == skipped
    assert len(bench.ledger.bodies("run_finished")) == 2
    assert bench.ledger.holder("churn") is None
    assert not steps.failed_for_good(bench.workspace, "churn/second")


def test_a_run_that_is_woken_without_any_request_is_skipped(bench):
    assert begin(bench.workspace, "woken").lines == (
        "no retrain is asked for that was not served already",
    )


def test_a_skipped_run_that_is_cleared_serves_what_is_asked_for_by_then(bench):
    begin(bench.workspace, "woken")
    steps.report(bench.workspace, "churn/woken")
    ask(bench.workspace, request(APRIL))
    assert begin(bench.workspace, "woken").windows.as_of == APRIL
    reject(bench.workspace, "woken")
    assert steps.report(bench.workspace, "churn/woken").outcome == "rejected"
    assert ends(bench.workspace) == {"2013-04-01": ("churn/woken", "rejected")}


def test_a_skipped_run_whose_next_try_fails_has_failed(bench):
    begin(bench.workspace, "woken")
    assert (
        steps.report(bench.workspace, "churn/woken", "failed task: resolve_window").outcome == "failed"
    )


def test_a_failed_run_ends_its_request_and_a_cleared_one_ends_it_anew(bench):
    ask(bench.workspace, request(MARCH), request(APRIL))
    begin(bench.workspace, "woken")
    steps.report(bench.workspace, "churn/woken", "failed task: ingest")
    assert set(ends(bench.workspace).values()) == {("churn/woken", "failed")}
    assert begin(bench.workspace, "other").outcome == "skipped"
    steps.report(bench.workspace, "churn/other")
    reject(bench.workspace, "woken")
    for _ in range(2):
        steps.report(bench.workspace, "churn/woken")
    assert set(ends(bench.workspace).values()) == {("churn/woken", "rejected")}
    assert len(bench.ledger.bodies("request_closed")) == 4


def test_a_request_whose_as_of_gives_no_windows_ends_with_the_failure(bench):
    from evergreen.errors import DataUnusable

    ask(bench.workspace, request(datetime(1, 1, 2, tzinfo=UTC), "early"))
    with pytest.raises(DataUnusable):
        begin(bench.workspace, "woken")
    steps.report(bench.workspace, "churn/woken", "failed task: resolve_window")
    assert ends(bench.workspace) == {"early": ("churn/woken", "failed")}


def test_a_request_whose_run_was_killed_for_good_is_open_for_the_next(bench):
    clock = stopped_clock(bench.ledger)
    ask(bench.workspace, request(APRIL))
    begin(bench.workspace, "killed")
    with pytest.raises(LeaseHeld):
        begin(bench.workspace, "next")
    clock.now += timedelta(hours=1)
    assert begin(bench.workspace, "next").windows.as_of == APRIL
    reject(bench.workspace, "next")
    steps.report(bench.workspace, "churn/next")
    assert ends(bench.workspace) == {"2013-04-01": ("churn/next", "rejected")}
    # Whoever clears the killed run gets a retrain, and the request's end stays what it was.
    reject(bench.workspace, "killed")
    steps.report(bench.workspace, "churn/killed")
    assert ends(bench.workspace) == {"2013-04-01": ("churn/next", "rejected")}


def test_a_run_that_decided_and_was_killed_before_its_report_has_served_its_request(bench):
    clock = stopped_clock(bench.ledger)
    ask(bench.workspace, request(APRIL))
    begin(bench.workspace, "killed")
    reject(bench.workspace, "killed")
    clock.now += timedelta(hours=1)
    assert begin(bench.workspace, "next").outcome == "skipped"
    assert ends(bench.workspace) == {"2013-04-01": ("churn/killed", "rejected")}


def test_requests_of_another_model_are_left_alone(bench):
    lease = bench.ledger.acquire("other", "other/monitor/1", "monitor")
    requests.ask(bench.workspace, RetrainRequest("other/monitor/1", MARCH, "r", "watch"), lease)
    assert begin(bench.workspace, "woken").outcome == "skipped"


@dataclass
class Clock:
    now: datetime = MAY


def stopped_clock(ledger: FakeLedger) -> Clock:
    clock = Clock()
    ledger.now = lambda: clock.now
    return clock


class Killed(BaseException):
    """The process is gone: nothing catches it."""


@contextmanager
def killed_at(ledger: FakeLedger, write: int | None, *, before: bool) -> Iterator[None]:
    """Kill whoever runs inside at its `write`-th write to the ledger, before or after it is done."""
    append, count = ledger.append, 0

    def counted(*args, **kwargs):
        nonlocal count
        count += 1
        if count == write and before:
            raise Killed
        entry = append(*args, **kwargs)
        if count == write:
            raise Killed
        return entry

    ledger.append = counted
    try:
        with suppress(Killed):
            yield
    finally:
        ledger.append = append


@dataclass(frozen=True)
class Run:
    """A run of the schedule (as of a day) or a woken one, killed at a write or not, retried or not."""

    day: int | None
    killed_at: int | None = None
    before: bool = False
    retried: bool = False


days = st.integers(0, 60)
runs = st.builds(
    Run,
    st.none() | days,
    st.none() | st.integers(1, 7),
    st.booleans(),
    st.booleans(),
)


def go_through(workspace, name: str, run: Run) -> None:
    as_of = MARCH + timedelta(days=run.day or 0)
    begun = begin(workspace, name, "newest" if run.day is None else "earlier", as_of)
    if isinstance(begun, Retrain):
        reject(workspace, name)
    steps.report(workspace, f"churn/{name}")


@given(st.lists(days | runs, max_size=14))
@settings(max_examples=300, deadline=None)
def test_whatever_is_killed_where_each_request_ends_once_and_is_served_once(story):
    ledger = FakeLedger()
    clock = stopped_clock(ledger)
    workspace = SimpleNamespace(
        ledger=ledger, checkpoints=(), code_version=lambda model: "1", now=lambda: clock.now
    )
    for number, act in enumerate([*story, Run(None), Run(None), Run(None)]):
        clock.now += timedelta(hours=1)
        if isinstance(act, int):
            ask(workspace, request(MARCH + timedelta(days=act), f"{number}"))
            continue
        with killed_at(ledger, act.killed_at, before=act.before):
            go_through(workspace, f"{number}", act)
        if act.retried:
            go_through(workspace, f"{number}", act)
    worked = {memory_run(row.key) for row in ledger.rows if row.kind == "validation"}
    found = past_requests(ledger, "churn")
    assert [one for one in found if one.open] == []
    takings = [RequestTaken(**body) for body in ledger.bodies("request_taken")]
    assert max(Counter(t.key for t in takings if t.run_key in worked).values(), default=0) <= 1
    closings = [RequestClosed(**body) for body in ledger.bodies("request_closed")]
    assert Counter(closing.key for closing in closings) == Counter(one.request.key for one in found)
    by_key = {one.request.key: one for one in found}
    for one in found:
        assert (one.outcome, one.taken_by in worked) == ("rejected", True)
        if one.superseded_by is not None:
            assert by_key[one.superseded_by].request.as_of >= one.request.as_of
            assert by_key[one.superseded_by].taken_by == one.taken_by


def memory_run(key: str) -> str:
    return key.partition("/")[2]
