"""A pass closes a run that nobody comes back to, and leaves one alone that may still go on."""

from __future__ import annotations

import pytest

from evergreen import steps
from evergreen.errors import StoreUnavailable
from evergreen.steps import memory
from evergreen.watch_results import RequestTaken
from tests.fakes.bench import MAY, Bench, pinned
from tests.unit.reconcile_bench import (
    GRACE,
    LEASE,
    MINUTE,
    ask,
    bench,
    came,
    clock,
    cut_at_release,
    down,
    once,
    outcomes,
    registry_down,
    request,
    serve,
    silent,
)

__all__ = ["bench", "clock"]


def test_a_run_that_released_and_was_killed_before_its_report_is_closed_as_promoted(bench, clock):
    ask(bench, request())
    key = serve(bench)
    bench.until_trained(key)
    bench.good(key)
    steps.evaluate(bench.workspace, key)
    steps.register(bench.workspace, key)
    steps.release(bench.workspace, key)
    clock.wait(LEASE + MINUTE)
    silent(bench)
    clock.wait(GRACE)
    assert came(once(bench)) == [("abandoned_run", "mended")]
    (ended,) = bench.ledger.bodies("run_finished")
    assert (ended["outcome"], ended["abandoned"]) == ("promoted", False)
    assert outcomes(bench) == ["promoted"]
    silent(bench)


@pytest.mark.parametrize(
    ("ended", "after", "closed"),
    [
        (None, LEASE + MINUTE, False),
        (None, GRACE + MINUTE, True),
        (False, 100 * GRACE, False),
        (True, LEASE + MINUTE, True),
    ],
)
def test_a_silent_run_is_closed_after_a_grace_or_as_the_scheduler_says(
    bench, clock, ended, after, closed
):
    key = bench.begin()
    bench.until_trained(key)
    asked_about = []

    def run_ended(run_key: str) -> bool | None:
        asked_about.append(run_key)
        return ended

    clock.wait(after)
    if not closed:
        silent(bench, run_ended=run_ended)
        return
    assert came(once(bench, run_ended=run_ended)) == [("abandoned_run", "mended")]
    assert set(asked_about) == {key}
    (report,) = bench.ledger.bodies("run_finished")
    assert (report["outcome"], report["abandoned"]) == ("failed", True)
    assert report["lines"][-1].startswith("abandoned: run churn/one began and never said")
    silent(bench, run_ended=run_ended)


def test_a_retrain_that_somebody_named_like_another_duty_is_closed_too(bench, clock):
    bench.begin("score")
    clock.wait(GRACE + MINUTE)
    assert came(once(bench)) == [("abandoned_run", "mended")]


def test_a_run_that_comes_back_after_it_was_closed_goes_on_and_ends_as_it_would_have(bench, clock):
    ask(bench, request())
    key = serve(bench)
    bench.until_trained(key)
    clock.wait(GRACE + MINUTE)
    assert ("abandoned_run", "mended") in came(once(bench))
    assert outcomes(bench) == [None], "its request is open again"
    bench.good(key)
    assert bench.finish(key).outcome == "promoted"
    assert [one["outcome"] for one in bench.ledger.bodies("run_finished")] == ["failed", "promoted"]
    assert outcomes(bench) == ["promoted"]
    clock.wait(10 * GRACE)
    silent(bench)


def test_a_run_that_ended_and_was_cleared_and_killed_is_closed_anew(bench, clock):
    key = cut_at_release(bench)
    assert steps.report(bench.workspace, key, "down").outcome == "failed"
    steps.release(bench.workspace, key)
    clock.wait(GRACE + MINUTE)
    assert came(once(bench)) == [("abandoned_run", "mended")]
    assert [one["outcome"] for one in bench.ledger.bodies("run_finished")] == ["failed", "promoted"]


def test_the_reason_of_a_step_that_failed_stands_in_the_report_of_an_abandoned_run(bench, clock):
    key = bench.begin()
    bench.source.failure = StoreUnavailable("the warehouse is away")
    with pytest.raises(StoreUnavailable):
        steps.ingest(bench.workspace, key)
    clock.wait(GRACE + MINUTE)
    once(bench)
    (report,) = bench.ledger.bodies("run_finished")
    assert any("the warehouse is away" in line for line in report["lines"])
    assert report["abandoned"]


def test_a_run_that_was_promoted_and_failed_when_it_was_cleared_says_anew_what_it_came_to(bench, clock):
    key = bench.begin()
    bench.until_trained(key)
    bench.good(key)
    assert bench.finish(key).outcome == "promoted"
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(bench.deployer, "serving", down)
        with pytest.raises(StoreUnavailable):
            bench.begin()
    assert steps.report(bench.workspace, key, "it failed").outcome == "promoted"
    assert len(bench.ledger.bodies("run_finished")) == 2
    assert steps.report(bench.workspace, key, "it failed").outcome == "promoted"
    assert len(bench.ledger.bodies("run_finished")) == 2
    clock.wait(GRACE + MINUTE)
    silent(bench)


def test_a_run_with_nothing_to_do_that_took_a_request_when_it_was_cleared_failed(bench, clock):
    nothing_to_do(bench)
    ask(bench, request())
    lease = bench.ledger.acquire("churn", "churn/woken")
    taken = RequestTaken(request().key, "churn/woken")
    memory.record_next(bench.workspace, "request_taken", "churn/woken", taken, lease)
    clock.wait(GRACE + MINUTE)
    assert came(once(bench)) == [("abandoned_run", "mended"), ("unserved_request", "left")]
    assert [one["outcome"] for one in bench.ledger.bodies("run_finished")] == ["skipped", "failed"]
    assert outcomes(bench) == [None]


def test_a_run_with_nothing_to_do_says_so_anew_after_a_try_that_failed(bench, clock):
    nothing_to_do(bench)
    cut_at_release(bench)
    bench.ledger.free(bench.ledger.acquire("churn", "churn/one"))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(bench.registry, "move_champion", down)
        with pytest.raises(StoreUnavailable):
            nothing_to_do(bench)
    nothing_to_do(bench)
    assert steps.report(bench.workspace, "churn/woken").outcome == "skipped"


def test_a_run_ends_with_its_release_and_not_before_the_registry_lets_it_be_finished(bench, clock):
    cut_at_release(bench)
    clock.wait(GRACE + MINUTE)
    with registry_down(bench):
        assert came(once(bench)) == [("abandoned_run", "left"), ("not_looked_at", "left")]
    assert list(bench.ledger.bodies("run_finished")) == []
    assert came(once(bench)) == [("unfinished_release", "mended"), ("abandoned_run", "mended")]
    assert [one["outcome"] for one in bench.ledger.bodies("run_finished")] == ["promoted"]


def nothing_to_do(bench: Bench) -> None:
    """Begin a run that was woken for a request which is no more, and end it."""
    begun = steps.resolve_window(
        bench.workspace,
        run_key="churn/woken",
        model=pinned(),
        as_of=MAY,
        reason="test",
        release="auto",
        serves="newest",
    )
    assert begun.outcome == "skipped"
    bench.ledger.free(bench.ledger.acquire("churn", "churn/woken"))
