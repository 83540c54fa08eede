"""A pass mends all it finds, model by model, whatever one part meets, and says so once."""

from __future__ import annotations

import pytest

from evergreen import steps
from evergreen.entry_keys import entry_key
from evergreen.reconcile_results import WAKE_AFTER, Finding, Reconciliation
from evergreen.results import Version, to_json
from evergreen.steps.known_models import known_models
from evergreen.steps.reconcile.circumstances import STUCK_AFTER
from evergreen.steps.reconcile.one_pass import BY_WHOMEVER
from evergreen.watch_results import RetrainRequest
from tests.fakes.bench import APRIL, MAY
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
    kinds,
    once,
    refused,
    registry_down,
    request,
    silent,
)

__all__ = ["bench", "clock"]


def test_a_healthy_model_and_one_that_nobody_knows_are_left_alone(bench, clock):
    bench.whole()
    clock.wait(10 * GRACE)
    silent(bench)
    assert once(bench, "unheard_of") == Reconciliation(1)


def test_a_registry_that_is_down_is_said_and_hides_neither_other_parts_nor_other_models(bench, clock):
    cut_at_release(bench)
    ask(bench, request())
    clock.wait(STUCK_AFTER)
    woken: list[RetrainRequest] = []
    with registry_down(bench):
        done = once(bench, "churn", "other", wake=lambda one, _: woken.append(one))
    assert came(done) == [
        ("abandoned_run", "left"),
        ("unserved_request", "mended"),
        ("not_looked_at", "left"),
        ("stuck_request", "told"),
    ]
    assert woken == [request()]
    assert done.models == 2
    assert done.dealt[0].passes
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


def test_the_lease_of_a_pass_that_was_killed_when_all_was_done_is_given_back(bench):
    bench.whole()
    bench.ledger.acquire("churn", "churn/reconcile/pass")
    assert came(once(bench)) == []
    assert bench.ledger.holder("churn") is None
    silent(bench)
    bench.ledger.acquire("churn", "churn/live")
    silent(bench)


def test_a_release_whose_version_is_lost_meanwhile_is_not_said_to_be_put_right(bench, clock):
    bench.whole()
    cut_at_release(bench, "two", APRIL)
    clock.wait(LEASE + MINUTE)
    move, bench.registry.move_champion = bench.registry.move_champion, down
    assert came(once(bench)) == [("unfinished_release", "left")]
    bench.registry.move_champion = move
    lost = bench.registry.versions["churn"].pop()
    assert ("cut_off", "mended") not in came(once(bench))
    bench.registry.versions["churn"].append(lost)
    assert ("unfinished_release", "mended") in came(once(bench))
    assert bench.serving() == 2


def test_a_release_that_was_given_up_ends_its_run_and_puts_the_champion_back(bench, clock):
    bench.whole()
    key = cut_at_release(bench, "two", APRIL)
    bench.registry.versions["churn"].pop()
    clock.wait(GRACE + MINUTE)
    assert ("lost_version", "told") in came(once(bench))
    bench.begin("three", MAY)
    steps.report(bench.workspace, "churn/three", "it failed")
    assert ("abandoned_run", "mended") in came(once(bench))
    reports = {one["run_key"]: one for one in bench.ledger.bodies("run_finished")}
    assert reports[key]["outcome"] == "failed"
    assert any("given up: the registry does not hold version 2" in one for one in reports[key]["lines"])
    assert (bench.registry.champion("churn"), bench.serving()) == (1, 1)
    silent(bench)
