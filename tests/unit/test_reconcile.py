"""A pass finds what a crash left and mends it, says so once, and leaves what is well alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from evergreen import steps
from evergreen.approval_results import Answer
from evergreen.entry_keys import entry_key
from evergreen.errors import BadConfiguration, StoreUnavailable
from evergreen.hand import Deed
from evergreen.ports import Pointer
from evergreen.reconcile_results import Finding, Reconciliation
from evergreen.results import RunReport, Version, to_json
from evergreen.steps import hand, memory, requests
from evergreen.steps.approve import answer
from evergreen.steps.reconcile import Circumstances, known_models, reconcile
from evergreen.steps.reconcile.circumstances import STUCK_AFTER, WAKE_AFTER, grace_of
from evergreen.steps.reconcile.one_pass import BY_WHOMEVER
from evergreen.watch_questions import past_requests
from evergreen.watch_results import RequestTaken, RetrainRequest
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


def test_a_healthy_model_and_one_that_nobody_knows_are_left_alone(bench, clock):
    bench.whole()
    clock.wait(10 * GRACE)
    silent(bench)
    assert once(bench, "unheard_of") == Reconciliation(1)


def test_a_release_that_was_cut_off_is_finished_once_its_lease_ran_out(bench, clock):
    key = cut_at_release(bench)
    silent(bench)
    clock.wait(LEASE + MINUTE)
    before = len(bench.ledger.rows)
    done = once(bench)
    assert came(done) == [("unfinished_release", "mended")]
    assert done.left == ()
    assert kinds(bench, before) == ["reconcile_intended", "release", "reconciled"]
    assert (bench.registry.champion("churn"), bench.serving()) == (1, 1)
    assert bench.ledger.holder("churn") is None
    assert key in done.dealt[0].finding.words
    silent(bench)
    # The run comes back and finds that it was done for it.
    assert steps.report(bench.workspace, key).outcome == "promoted"
    assert bench.ledger.bodies("run_finished")[-1]["abandoned"] is False


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


def test_an_alias_that_was_moved_by_hand_is_put_back_each_time_and_said_each_time(bench):
    bench.whole()
    bench.whole("two", APRIL, 0.95)
    for times in (1, 2):
        bench.registry.aliases["churn"]["champion"] = 1
        done = once(bench)
        assert came(done) == [("astray_champion", "mended")]
        assert done.dealt[0].finding.command == 'evergreen rollback churn --to 1 --why "…"'
        assert bench.registry.champion("churn") == 2
        assert len(bench.ledger.bodies("reconciled")) == times
        silent(bench)


def test_an_alias_that_is_gone_or_on_a_version_that_never_served_is_put_back(bench):
    bench.whole()
    for stray in (None, 7):
        bench.registry.aliases["churn"]["champion"] = stray
        done = once(bench)
        assert came(done) == [("astray_champion", "mended")]
        assert done.dealt[0].finding.command == "evergreen history churn"
        assert bench.registry.champion("churn") == 1


def test_a_target_that_went_astray_is_put_back(bench):
    bench.whole()
    bench.deployer.pointers.clear()
    assert came(once(bench)) == [("astray_target", "mended")]
    assert bench.serving() == 1
    silent(bench)


def test_where_the_target_heard_of_a_later_release_than_the_ledger_a_person_is_told(bench):
    bench.whole()
    stranger = Version("churn", 5, "k", bench.registry.versions["churn"][0].model)
    bench.deployer.pointers["churn"] = Pointer("churn", 5, replace(stranger.model, digest="f" * 64))
    bench.deployer.fences["churn"] = 999
    bench.registry.aliases["churn"]["champion"] = 5
    for _ in range(2):
        done = once(bench)
        assert came(done) == [("astray_target", "left"), ("astray_champion", "left")]
        assert not done.dealt[0].passes
        assert "later release" in done.dealt[0].why
    assert bench.registry.champion("churn") == 5, "the ledger may be an old copy: nothing is touched"
    (told,) = bench.ledger.bodies("reconciled")
    assert told["kind"] == "unmended"


def test_an_intent_of_an_old_copy_of_the_ledger_moves_neither_alias_nor_target(bench, clock):
    bench.whole()
    cut_at_release(bench, "two", APRIL)
    later = replace(bench.registry.versions["churn"][1].model, digest="f" * 64)
    bench.deployer.pointers["churn"] = Pointer("churn", 5, later, 999)
    bench.deployer.fences["churn"] = 999
    bench.registry.aliases["churn"]["champion"] = 5
    clock.wait(LEASE + MINUTE)
    for _ in range(2):
        done = once(bench)
        assert came(done) == [("unfinished_release", "left")]
        assert "later release" in done.dealt[0].why
    assert (bench.registry.champion("churn"), bench.serving()) == (5, 5)
    (told,) = bench.ledger.bodies("reconciled")
    assert told["kind"] == "unmended"


def test_a_version_that_the_registry_lost_is_told_once_and_not_mended(bench):
    bench.whole()
    bench.registry.versions["churn"].clear()
    bench.registry.aliases["churn"].clear()
    for _ in range(2):
        assert came(once(bench)) == [("lost_version", "told")]
    assert len(bench.ledger.bodies("reconciled")) == 1
    assert bench.registry.champion("churn") is None


def test_an_intent_whose_version_the_registry_lost_is_told_too(bench, clock):
    cut_at_release(bench)
    bench.registry.versions["churn"].clear()
    clock.wait(LEASE + MINUTE)
    done = once(bench)
    assert came(done) == [("lost_version", "told")]
    assert "did not finish" in done.dealt[0].finding.words


def test_a_champion_that_the_ledger_does_not_know_is_told(bench, clock):
    key = bench.begin()
    steps.report(bench.workspace, key, "a task was killed")
    bench.registry.aliases["churn"] = {"champion": 3}
    assert came(once(bench)) == [("unknown_champion", "told")]
    assert bench.registry.champion("churn") == 3


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


def waiting(bench: Bench, **approval: object) -> str:
    model = pinned(release={"approval": {"timeout": "1 day", "approvers": ["bob"], **approval}})
    key = bench.begin("cli/one", model=model)
    bench.until_trained(key)
    bench.good(key)
    steps.approve.ask(bench.workspace, key)
    return key


def test_a_run_that_waits_for_people_or_was_just_approved_is_left_alone(bench, clock):
    key = waiting(bench)
    clock.wait(timedelta(hours=20))
    silent(bench)
    answer(bench.ledger, key, Answer("approve", "bob", "cli", clock(), "fine"))
    clock.wait(timedelta(hours=20))
    silent(bench)
    clock.wait(timedelta(hours=20))
    assert came(once(bench)) == [("abandoned_run", "mended")]


def test_a_question_whose_time_is_over_is_closed_and_its_run_with_it(bench, clock):
    waiting(bench)
    clock.wait(timedelta(days=2))
    done = once(bench)
    assert came(done) == [("overdue_question", "mended"), ("abandoned_run", "mended")]
    assert done.dealt[1].finding.does == "it is closed as kept"
    (answered,) = bench.ledger.bodies("approval_answered")
    assert answered["answer"] == "timeout"
    (report,) = bench.ledger.bodies("run_finished")
    assert (report["outcome"], report["abandoned"]) == ("kept", False)


def test_a_request_whose_run_ended_and_did_not_close_it_is_closed_as_the_run_ended(bench, monkeypatch):
    ask(bench, request())
    key = serve(bench)
    with monkeypatch.context() as patched:
        patched.setattr(requests, "close", lambda *_: None)
        steps.report(bench.workspace, key, "the node died")
    assert outcomes(bench) == [None]
    assert came(once(bench)) == [("unended_request", "mended")]
    assert outcomes(bench) == ["failed"]
    silent(bench)


def test_a_request_that_no_run_serves_wakes_the_retrain_until_one_does_and_is_written_once(bench, clock):
    ask(bench, request(MARCH), request(APRIL))
    woken: list[RetrainRequest] = []
    silent(bench, wake=lambda one, _: woken.append(one))
    clock.wait(WAKE_AFTER)
    for _ in range(3):
        assert came(once(bench, wake=lambda one, _: woken.append(one))) == [
            ("unserved_request", "mended")
        ]
    assert woken == [request(APRIL)] * 3
    assert len(bench.ledger.bodies("reconciled")) == 1
    serve(bench)
    silent(bench, wake=lambda one, _: woken.append(one))


def test_where_nobody_can_be_woken_the_command_is_said_and_nothing_is_written(bench, clock):
    ask(bench, request())
    clock.wait(WAKE_AFTER)
    before = len(bench.ledger.rows)
    done = once(bench)
    assert came(done) == [("unserved_request", "left")]
    assert done.dealt[0].finding.command == "evergreen run churn --requested"
    assert len(bench.ledger.rows) == before


def test_a_paused_retrain_is_not_woken(bench, clock):
    ask(bench, request())
    hand.do(bench.workspace, "churn", Deed("pause", "bob", "holidays", only="retrain"))
    clock.wait(WAKE_AFTER)
    silent(bench, wake=lambda *_: pytest.fail("it is paused"))


def test_a_request_of_abandoned_runs_is_served_anew_thrice_and_then_failed(bench, clock):
    ask(bench, request())
    woken: list[RetrainRequest] = []
    for number in (1, 2):
        serve(bench, f"run {number}")
        clock.wait(GRACE + MINUTE)
        done = once(bench, wake=lambda one, _: woken.append(one), stuck_after=timedelta(days=9))
        assert came(done) == [("abandoned_run", "mended"), ("unserved_request", "mended")]
        assert outcomes(bench) == [None]
    serve(bench, "run 3")
    clock.wait(GRACE + MINUTE)
    assert came(once(bench, wake=lambda one, _: woken.append(one))) == [("abandoned_run", "mended")]
    assert outcomes(bench) == ["failed"]
    assert len(woken) == 2


def test_a_run_killed_right_after_it_took_a_request_is_closed_and_the_request_served_anew(bench, clock):
    ask(bench, request())
    lease = bench.ledger.acquire("churn", "churn/woken")
    taken = RequestTaken(request().key, "churn/woken")
    memory.record_next(bench.workspace, "request_taken", "churn/woken", taken, lease)
    clock.wait(GRACE + MINUTE)
    woken: list[RetrainRequest] = []
    assert came(once(bench, wake=lambda one, _: woken.append(one)))[0] == ("abandoned_run", "mended")
    assert woken == [request()]


def test_a_request_older_than_any_should_become_is_told_once_whoever_is_at_work(bench, clock):
    ask(bench, request())
    serve(bench)
    clock.wait(STUCK_AFTER)
    bench.ledger.acquire("churn", "churn/woken")
    for _ in range(2):
        done = once(bench)
        assert came(done) == [("stuck_request", "told")]
        assert "run churn/woken took it" in done.dealt[0].finding.words
    (told,) = bench.ledger.bodies("reconciled")
    assert told["command"] == "evergreen run churn --requested"


def test_a_stuck_request_of_a_paused_model_says_who_paused_it(bench, clock):
    ask(bench, request())
    hand.do(bench.workspace, "churn", Deed("pause", "bob", "holidays", only="retrain"))
    clock.wait(STUCK_AFTER)
    (one,) = once(bench).dealt
    assert one.finding.kind == "stuck_request"
    assert "paused by bob" in one.finding.words


def test_a_registry_that_is_down_is_said_and_hides_neither_other_parts_nor_other_models(bench, clock):
    cut_at_release(bench)
    ask(bench, request())
    clock.wait(STUCK_AFTER)
    woken: list[RetrainRequest] = []
    with registry_down(bench):
        done = once(bench, "churn", "other", wake=lambda one, _: woken.append(one))
    assert came(done) == [
        ("abandoned_run", "mended"),
        ("unserved_request", "mended"),
        ("not_looked_at", "left"),
        ("stuck_request", "told"),
    ]
    assert woken == [request()]
    assert done.models == 2
    assert done.dealt[2].passes
    assert "did not answer" in done.dealt[2].finding.words
    assert came(once(bench))[0] == ("unfinished_release", "mended")


def test_a_defect_met_with_one_model_stops_no_other(bench, clock, monkeypatch):
    ask(bench, request())
    clock.wait(WAKE_AFTER)
    real = bench.ledger.last

    def last(model: str, kind: str, before=None):
        if (model, kind) == ("broken", "run_started"):
            raise RuntimeError("a defect")
        return real(model, kind, before)

    monkeypatch.setattr(bench.ledger, "last", last)
    done = once(bench, "broken", "churn", wake=lambda *_: None)
    assert came(done) == [("unmended", "told"), ("unserved_request", "mended")]


def test_a_dry_run_says_what_there_is_and_changes_nothing(bench, clock):
    cut_at_release(bench)
    clock.wait(GRACE + MINUTE)
    rows, leases = list(bench.ledger.rows), dict(bench.ledger.leases)
    done = once(bench, dry_run=True)
    assert came(done) == [("unfinished_release", "found"), ("abandoned_run", "found")]
    assert len(done.left) == 2
    assert (bench.ledger.rows, bench.ledger.leases) == (rows, leases)
    assert bench.registry.champion("churn") is None


def test_a_run_that_begins_between_look_and_lease_is_left_alone(bench, clock, monkeypatch):
    bench.whole()
    bench.registry.aliases["churn"]["champion"] = 7
    real = bench.ledger.acquire

    def acquire(model: str, holder: str, duty="retrain"):
        if holder.endswith("/pass"):
            real(model, "churn/sooner", duty)
        return real(model, holder, duty)

    monkeypatch.setattr(bench.ledger, "acquire", acquire)
    (one,) = once(bench).dealt
    assert (one.finding.kind, one.became, one.passes) == ("not_looked_at", "left", True)
    assert "churn/sooner" in one.why
    assert bench.registry.champion("churn") == 7
    assert bench.ledger.holder("churn") == "churn/sooner"


def test_of_two_passes_at_once_the_first_is_fenced_off_and_all_is_done_once(bench):
    bench.whole()
    bench.registry.aliases["churn"]["champion"] = 7
    move, seconds = bench.registry.move_champion, []

    def moved_by_two(version: Version, expected: int | None) -> None:
        bench.registry.move_champion = move
        seconds.append(once(bench))
        move(version, expected)

    bench.registry.move_champion = moved_by_two
    assert came(once(bench)) == [("astray_champion", "mended")]
    assert came(seconds[0]) == [("astray_champion", "mended")]
    assert kinds(bench)[-2:] == ["reconcile_intended", "reconciled"]
    assert bench.registry.champion("churn") == 1
    silent(bench)


def test_what_was_done_and_not_written_down_is_written_down_by_the_next_pass(bench, monkeypatch):
    bench.whole()
    bench.registry.aliases["churn"]["champion"] = 7

    def killed(name: str) -> None:
        if name == "reconcile.mended":
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("evergreen.steps.reconcile.one_pass.failpoint", killed)
        with pytest.raises(KeyboardInterrupt):
            once(bench)
    assert bench.ledger.bodies("reconciled") == []
    assert came(once(bench)) == [("cut_off", "mended")]
    (done,) = bench.ledger.bodies("reconciled")
    (intended,) = bench.ledger.bodies("reconcile_intended")
    assert done == {**intended, "does": BY_WHOMEVER}
    silent(bench)


def test_what_could_not_be_mended_and_others_put_right_is_not_said_to_be_the_pass_s_own(bench):
    bench.whole()
    bench.registry.aliases["churn"]["champion"] = 7
    move, bench.registry.move_champion = bench.registry.move_champion, down
    assert came(once(bench)) == [("astray_champion", "left")]
    bench.registry.move_champion = move
    bench.registry.aliases["churn"]["champion"] = 1
    bench.whole("two", APRIL, 0.95)
    assert came(once(bench)) == [("cut_off", "mended")]
    (done,) = bench.ledger.bodies("reconciled")
    assert "by others" in done["does"]


@pytest.mark.parametrize("part", ["releases", "state"])
def test_what_cannot_be_looked_at_is_told_each_time_anew_and_that_it_is_over(bench, monkeypatch, part):
    bench.whole()
    ask(bench, request())
    for times in (1, 2):
        with monkeypatch.context() as patched:
            if part == "releases":
                patched.setattr(bench.registry, "champion", refused)
            else:
                patched.setattr("evergreen.steps.reconcile.requests.stuck", refused)
            for _ in range(2):
                assert once(bench).dealt[0].finding.refers_to == f"look/{part}"
        assert len(bench.ledger.bodies("reconciled")) == 2 * times - 1
        assert ("over", "mended") in came(once(bench))
        assert [one["mends"] for one in bench.ledger.bodies("reconciled")] == [False, True] * times
        silent(bench)


def test_a_version_that_is_lost_again_after_it_was_restored_is_told_again(bench):
    bench.whole()
    versions, aliases = bench.registry.versions["churn"], bench.registry.aliases["churn"]
    for times in (1, 2):
        bench.registry.versions["churn"], bench.registry.aliases["churn"] = [], {}
        assert came(once(bench)) == [("lost_version", "told")]
        bench.registry.versions["churn"], bench.registry.aliases["churn"] = versions, aliases
        assert came(once(bench)) == [("over", "mended")]
        assert len(bench.ledger.bodies("reconciled")) == 2 * times
        silent(bench)


def test_what_could_not_be_mended_is_over_where_others_put_it_right(bench, monkeypatch):
    bench.whole()
    bench.registry.aliases["churn"]["champion"] = 7
    with monkeypatch.context() as patched:
        patched.setattr(bench.registry, "move_champion", refused)
        for _ in range(2):
            assert came(once(bench)) == [("astray_champion", "left")]
    bench.registry.aliases["churn"]["champion"] = 1
    assert came(once(bench)) == [("cut_off", "mended"), ("over", "mended")]
    told, over = (one for one in bench.ledger.bodies("reconciled") if one["kind"] == "unmended")
    assert over["words"] == f"it is no longer so that {told['words']}"
    silent(bench)


def test_a_lease_that_a_run_takes_over_meanwhile_ends_the_pass(bench, clock):
    bench.whole()
    bench.registry.aliases["churn"]["champion"] = 7
    look, seen = bench.registry.champion, []

    def overtaken(name: str) -> int | None:
        seen.append(name)
        if len(seen) == 3:  # about to put it back
            clock.wait(2 * LEASE)
            bench.ledger.acquire("churn", "churn/next")
        return look(name)

    bench.registry.champion = overtaken
    (one,) = once(bench).dealt
    assert (one.finding.kind, one.became, one.passes) == ("astray_champion", "left", True)
    assert "taken over" in one.why
    assert bench.ledger.holder("churn") == "churn/next"
    assert look("churn") == 7


def test_models_are_those_of_the_ledger_and_of_the_files_whatever_is_in_them(bench, tmp_path):
    bench.begin()
    bench.ledger.append("event", "event/x", {}, bench.ledger.acquire("Somebody's DAG", "x", "alerts"))
    (tmp_path / "fresh.yaml").write_text("][")
    (tmp_path / "No Name.yaml").write_text("")
    assert known_models(bench.ledger, [tmp_path, tmp_path / "gone"]) == ["churn", "fresh"]


def test_the_key_of_a_finding_is_made_of_what_was_found():
    one = Finding("m", "abandoned_run", "m/one/7", "w", "d")
    assert entry_key("reconciled", one.run_key, 2) == "reconciled#2/m/reconcile/abandoned_run/m/one/7"
    assert to_json(one)["refers_to"] == "m/one/7"
