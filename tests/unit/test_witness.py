"""A ledger that lost what a checkpoint saw begins nothing, until a person adopts it."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from evergreen import steps
from evergreen.adapters.checkpoint_place import CheckpointFiles
from evergreen.approval_results import Answer
from evergreen.checkpoints import PER_ERA
from evergreen.errors import (
    ChainBroken,
    LeaseLost,
    LedgerBehind,
    NotAllowed,
    StoreUnavailable,
)
from evergreen.hand import Deed
from evergreen.steps.adopt import adopt, loss
from evergreen.steps.alerts.fleet import look_over
from evergreen.steps.approve import answer
from evergreen.steps.eras import era_of
from evergreen.steps.hand import do
from evergreen.steps.rollback import planned, rollback
from evergreen.steps.score import score
from evergreen.steps.watch.profile import profile
from evergreen.steps.witness import refuse_behind, witness
from tests.fakes.bench import APRIL, MARCH, MAY, Bench, pinned
from tests.fakes.ledger import FakeLedger


def place_at(path: Path) -> CheckpointFiles:
    return CheckpointFiles(str(path), dict)


class Silent:
    """A place that does not answer."""

    uri = "s3://gone"

    def put(self, checkpoint):
        raise StoreUnavailable("down", where=self.uri)

    def newest(self):
        raise StoreUnavailable("down", where=self.uri)

    def found(self):
        raise StoreUnavailable("down", where=self.uri)


class Restorable(Bench):
    """A bench with a place of checkpoints, whose ledger can be set back to an earlier state."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.place = place_at(folder / "checkpoints")
        self._give([self.place])

    def _give(self, places) -> None:
        self.workspace = replace(self.workspace, checkpoints=tuple(places))

    def also(self, place) -> None:
        self._give([*self.workspace.checkpoints, place])

    def restore(self, entries: int, leases=None) -> None:
        """Let the ledger be a backup of when it had so many entries; the world stays."""
        kept = self.ledger.rows[:entries]
        leases = dict(self.ledger.leases if leases is None else leases)
        self.ledger.__init__()
        self.ledger.leases = leases
        for row in kept:
            self.ledger.rows.append(row)
            entry = self.ledger.at(row.seq)
            self.ledger._by_key[row.key] = entry
            self.ledger._by_kind.setdefault((row.model, row.kind), []).append(entry)

    def begin_anything(self):
        return self.begin("later", MAY)


@pytest.fixture
def bench(tmp_path):
    bench = Restorable(tmp_path)
    bench.whole("one", MARCH)
    return bench


def test_the_report_of_a_run_keeps_a_checkpoint_of_the_head(bench):
    newest = bench.place.newest()
    assert (newest.seq, newest.hash) == (bench.ledger.head.seq, bench.ledger.head.hash)
    assert newest.ledger == bench.ledger.rows[0].hash


def test_a_head_that_did_not_move_is_not_written_again(bench, tmp_path):
    files = sorted((tmp_path / "checkpoints").rglob("*.json"))
    done = witness(bench.ledger, bench.workspace.checkpoints)
    assert done.kept == (bench.place.uri,)
    assert sorted((tmp_path / "checkpoints").rglob("*.json")) == files


@pytest.mark.parametrize("lost", [1, 3])
def test_no_run_begins_on_a_restored_older_backup(bench, lost):
    bench.restore(len(bench.ledger.rows) - lost)
    before = list(bench.ledger.rows)
    for begin in (
        bench.begin_anything,
        lambda: score(bench.workspace, "churn/score/x", pinned(), APRIL, "test"),
        lambda: profile(bench.workspace, "churn/monitor/x", pinned(), APRIL, "test"),
        lambda: do(bench.workspace, "churn", Deed("pause", "ada", "why")),
    ):
        with pytest.raises(LedgerBehind, match="reconcile --adopt") as raised:
            begin()
        assert f"missing: entry {len(before) + lost}" in str(raised.value)
    assert bench.ledger.rows == before, "nothing was written"


def test_a_run_under_way_releases_nothing_on_a_restored_older_backup(bench):
    key = bench.begin("two", APRIL)
    bench.until_trained(key)
    bench.good(key, 0.98)
    steps.evaluate(bench.workspace, key)
    steps.register(bench.workspace, key)
    witness(bench.ledger, bench.workspace.checkpoints)
    bench.restore(len(bench.ledger.rows) - 1)
    with pytest.raises(LedgerBehind):
        steps.release(bench.workspace, key)
    assert bench.serving() == 1


def test_no_rollback_is_made_on_a_restored_older_backup(bench):
    bench.whole("two", APRIL, certainty=0.98)
    plan = planned(bench.workspace, "churn", None)
    bench.restore(len(bench.ledger.rows) - 1)
    with pytest.raises(LedgerBehind):
        rollback(bench.workspace, plan, "ada", "why")


def test_a_ledger_that_went_on_from_a_backup_is_beside_its_checkpoint(bench):
    head = len(bench.ledger.rows)
    bench.restore(head - 2)
    lease = bench.ledger.acquire("other", "other/run")
    for number in range(5):
        bench.ledger.append("snapshot", f"snapshot/other/{number}", {}, lease)
    with pytest.raises(LedgerBehind, match=f"replaced: entry {head}"):
        refuse_behind(bench.ledger, bench.workspace.checkpoints)


def test_another_ledger_is_told_from_this_one(bench):
    other = FakeLedger()
    lease = other.acquire("m", "m/run")
    other.append("snapshot", "snapshot/m", {}, lease)
    with pytest.raises(LedgerBehind, match="entry 1 is not that of the checkpoint's ledger"):
        refuse_behind(other, [bench.place])
    with pytest.raises(LedgerBehind, match="an empty ledger"):
        refuse_behind(FakeLedger(), [bench.place])


def test_a_place_that_does_not_answer_stops_nothing_and_is_told(bench, caplog):
    bench.also(Silent())
    with caplog.at_level(logging.WARNING):
        report = bench.whole("two", APRIL, certainty=0.98)
    assert report.outcome == "promoted"
    assert "does not answer" in caplog.text
    assert "no checkpoint was kept at s3://gone" in caplog.text
    assert bench.place.newest().seq == bench.ledger.head.seq
    done = witness(bench.ledger, bench.workspace.checkpoints)
    assert [place for place, _ in done.problems] == ["s3://gone"]
    assert not done.behind


def test_a_report_on_a_restored_ledger_writes_neither_entry_nor_checkpoint(bench):
    key = bench.begin("two", APRIL)
    bench.until_trained(key)
    bench.good(key)
    newest = witness(bench.ledger, bench.workspace.checkpoints).checkpoint
    bench.restore(len(bench.ledger.rows) - 1)
    before = list(bench.ledger.rows)
    steps.report(bench.workspace, key)
    assert bench.ledger.rows == before
    assert bench.place.newest() == newest


def adopted(bench, why="the disk was lost"):
    found = loss(bench.ledger, bench.workspace.checkpoints, bench.registry)
    return found, adopt(bench.ledger, bench.workspace.checkpoints, found, "ada", why)


def test_an_adopted_ledger_is_accepted_and_the_loss_is_written_down(bench):
    bench.whole("two", APRIL, certainty=0.98)
    lost_checkpoint = bench.place.newest()
    before_two = next(row.seq for row in bench.ledger.rows if "churn/two" in row.key) - 1
    bench.restore(before_two)
    found, adoption = adopted(bench)
    assert (found.agreed, found.since, found.newest) == (
        before_two,
        lost_checkpoint.seq,
        lost_checkpoint,
    )
    assert adoption.unknown == (
        f"churn version 2 (champion): candidate {bench.registry.versions['churn'][1].candidate_key[:12]}"
        ", of run churn/two",
    )
    entry = bench.ledger.newest()
    assert (entry.kind, entry.model) == ("adopted", "evergreen")
    assert entry.body["gives_up"] == lost_checkpoint.text()
    assert (entry.body["who"], entry.body["why"]) == ("ada", "the disk was lost")
    assert bench.place.newest().seq == entry.seq
    assert bench.place.newest().era == 1
    assert bench.begin_anything()
    assert loss(bench.ledger, bench.workspace.checkpoints, bench.registry) is None


def test_a_process_of_the_lost_past_may_write_nothing_after_an_adoption(bench):
    bench.whole("two", APRIL, certainty=0.98)
    then = dict(bench.ledger.leases)
    zombies = [bench.ledger.acquire("churn", "churn/three", duty) for duty in ("retrain", "score")]
    newer = bench.ledger.acquire("churn", "churn/three")
    fresh = bench.ledger.acquire("unheard", "unheard/one")
    bench.restore(5, leases=then)
    adopted(bench)
    again = [bench.ledger.acquire("churn", "churn/three", duty) for duty in ("retrain", "score")]
    again.append(bench.ledger.acquire("unheard", "unheard/one"))
    for lease in (*zombies, newer, fresh):
        with pytest.raises(LeaseLost):
            bench.ledger.check(lease)
    assert all(lease.epoch > PER_ERA for lease in again)


def test_a_release_after_an_adoption_goes_above_every_fence_that_the_target_heard(bench):
    bench.whole("two", APRIL, certainty=0.98)
    assert bench.serving() == 2
    before_two = next(row.seq for row in bench.ledger.rows if "churn/two" in row.key) - 1
    bench.restore(before_two)
    adopted(bench)
    heard = bench.deployer.fences["churn"]
    bench.begin("three", MAY)
    assert bench.serving() == 1, "the target follows the ledger again"
    assert bench.deployer.fences["churn"] > max(heard, PER_ERA)


def test_an_adoption_of_an_adopted_ledger_goes_on_counting(bench):
    bench.whole("two", APRIL, certainty=0.98)
    bench.restore(5)
    adopted(bench)
    assert era_of(bench.ledger) == 1
    bench.restore(5)
    found, adoption = adopted(bench)
    assert (adoption.era, era_of(bench.ledger)) == (2, 2), "counted over what places have seen, too"
    assert found.newest.era == 1
    refuse_behind(bench.ledger, bench.workspace.checkpoints)


def test_nothing_is_adopted_where_nothing_is_lost_or_the_ledger_moved(bench):
    assert loss(bench.ledger, bench.workspace.checkpoints, bench.registry) is None
    bench.restore(5)
    found = loss(bench.ledger, bench.workspace.checkpoints, bench.registry)
    lease = bench.ledger.acquire("m", "m/run")
    bench.ledger.append("snapshot", "snapshot/m", {}, lease)
    with pytest.raises(LeaseLost, match="grew"):
        adopt(bench.ledger, bench.workspace.checkpoints, found, "ada", "why")
    found, _ = adopted(bench)
    with pytest.raises(NotAllowed, match="adopted meanwhile"):
        adopt(bench.ledger, bench.workspace.checkpoints, found, "ada", "why")


def test_an_adoption_that_was_killed_before_its_checkpoint_stands_and_the_next_pass_keeps_one(bench):
    bench.restore(5)
    found = loss(bench.ledger, bench.workspace.checkpoints, bench.registry)
    adopt(bench.ledger, (), found, "ada", "why")
    assert bench.place.newest() == found.newest
    refuse_behind(bench.ledger, bench.workspace.checkpoints)
    witness(bench.ledger, bench.workspace.checkpoints)
    assert bench.place.newest().era == 1


def test_an_adoption_that_cannot_be_read_accepts_nothing(bench):
    bench.restore(5)
    bench.ledger.adopt("adopted/evergreen/1", {"era": 1}, bench.ledger.newest(), PER_ERA)
    with pytest.raises(ChainBroken, match="no adoption"):
        refuse_behind(bench.ledger, bench.workspace.checkpoints)


def test_what_is_lost_is_not_guessed_while_a_place_is_silent(bench):
    bench.also(Silent())
    with pytest.raises(StoreUnavailable):
        loss(bench.ledger, bench.workspace.checkpoints, bench.registry)


def test_no_question_is_ended_on_a_ledger_that_lost_its_answer(tmp_path):
    bench = Restorable(tmp_path)
    model = pinned(release={"approval": {"timeout": "1 day", "approvers": ["bob"]}})
    key = bench.begin("cli/one", model=model)
    bench.until_trained(key)
    bench.good(key)
    asked = steps.approve.ask(bench.workspace, key)
    before = len(bench.ledger.rows)
    answer(bench.ledger, key, Answer("approve", "bob", "cli", asked.asked_at, "fine"))
    witness(bench.ledger, bench.workspace.checkpoints)
    bench.restore(before)
    late = asked.deadline + timedelta(days=1)
    behind = witness(bench.ledger, bench.workspace.checkpoints).behind
    assert behind
    assert look_over(bench.ledger, [], late, behind=behind).overdue == 0
    assert bench.ledger.bodies("approval_answered") == []
    assert look_over(bench.ledger, [], late).overdue == 1
