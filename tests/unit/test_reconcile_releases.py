"""A pass finishes a release that was cut off, and puts back what went astray of one that was not."""

from __future__ import annotations

from dataclasses import replace

from evergreen import steps
from evergreen.ports import Pointer
from evergreen.results import Version
from tests.fakes.bench import APRIL
from tests.unit.reconcile_bench import (
    LEASE,
    MINUTE,
    bench,
    came,
    clock,
    cut_at_release,
    kinds,
    once,
    silent,
)

__all__ = ["bench", "clock"]


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
