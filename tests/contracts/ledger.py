"""What every ledger promises. A subclass gives three fixtures' worth of hooks and inherits the rest."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from evergreen.errors import ChampionMoved, HandMoved, KeyConflict, LeaseHeld, LeaseLost, LedgerError
from evergreen.ledger import KINDS
from evergreen.ledger.chain import GENESIS, hash_of

BODY = {"a": 1, "text": "naïve \u2028 🌲 \x00", "list": [1.5, None, True], "nested": {"z": 1, "y": {}}}


class LedgerContract:
    @pytest.fixture
    def ledger(self):
        raise NotImplementedError

    def expire(self, ledger, model):
        """Let the model's lease have expired."""
        raise NotImplementedError

    def expires_at(self, ledger, model) -> str:
        raise NotImplementedError

    @pytest.fixture
    def lease(self, ledger):
        return ledger.acquire("m", "m/run")

    def test_an_appended_entry_is_the_first_link_and_is_found_by_its_key(self, ledger, lease):
        entry = ledger.append("snapshot", "snapshot/m/run", BODY, lease)
        assert (entry.seq, entry.model, entry.kind, entry.key) == (1, "m", "snapshot", "snapshot/m/run")
        assert entry.body == BODY
        assert entry.previous_hash == GENESIS
        assert ledger.find("snapshot/m/run") == entry
        assert abs(entry.at - datetime.now(UTC)) < timedelta(hours=1)
        assert entry.at.utcoffset() == timedelta(0)

    def test_entries_are_chained_by_the_hash_of_what_they_say(self, ledger, lease):
        first = ledger.append("snapshot", "snapshot/m/run", {"b": 1, "a": 2}, lease)
        second = ledger.append("candidate", "candidate/m/run", {}, lease)
        at = first.at.isoformat(timespec="microseconds").replace("+00:00", "Z")
        made = hash_of(1, at, "m", "snapshot", "snapshot/m/run", '{"a":2,"b":1}', GENESIS)
        assert first.hash == made
        assert second.previous_hash == made
        audit = ledger.verify()
        assert (audit.ok, audit.count, audit.head) == (True, 2, second.hash)
        assert (audit.first_bad_seq, audit.what) == (None, None)

    def test_an_empty_ledger_verifies(self, ledger):
        audit = ledger.verify()
        assert (audit.ok, audit.count, audit.head) == (True, 0, GENESIS)

    def test_entries_are_found_by_their_number_and_the_newest_is_known(self, ledger, lease):
        assert ledger.newest() is None
        assert ledger.at(1) is None
        first = ledger.append("snapshot", "a", {"n": 1}, lease)
        second = ledger.append("snapshot", "b", {"n": 2}, lease)
        assert (ledger.at(1), ledger.at(2)) == (first, second)
        assert ledger.newest() == second
        assert ledger.at(0) is None
        assert ledger.at(3) is None

    def test_an_adoption_takes_every_lease_away_and_epochs_go_on_above(self, ledger, lease):
        newest = ledger.append("snapshot", "a", {"n": 1}, lease)
        other = ledger.acquire("m", "m/score", "score")
        adopted = ledger.adopt("adopted/evergreen/1", {"era": 1}, newest, 2**32)
        assert (adopted.seq, adopted.kind, adopted.model) == (2, "adopted", "evergreen")
        assert ledger.adopt("adopted/evergreen/1", {"era": 1}, newest, 2**32) == adopted
        for old in (lease, other):
            with pytest.raises(LeaseLost):
                ledger.check(old)
            with pytest.raises(LeaseLost):
                ledger.append("snapshot", f"late/{old.duty}", {}, old)
        assert ledger.holder("m") is None
        for model, holder in (("m", "m/next"), ("unheard", "unheard/run")):
            assert ledger.acquire(model, holder).epoch > 2**32
        assert ledger.verify().ok

    def test_an_adoption_of_a_ledger_that_grew_is_refused(self, ledger, lease):
        ledger.append("snapshot", "a", {"n": 1}, lease)
        with pytest.raises(LeaseLost, match="grew"):
            ledger.adopt("adopted/evergreen/1", {"era": 1}, None, 2**32)
        ledger.check(lease)
        assert ledger.newest().seq == 1

    def test_the_same_key_and_body_returns_the_first_entry(self, ledger, lease):
        first = ledger.append("snapshot", "snapshot/m/run", {"a": 1, "b": 2}, lease)
        again = ledger.append("snapshot", "snapshot/m/run", {"b": 2, "a": 1}, lease)
        assert again == first
        assert len(list(ledger.entries())) == 1

    def test_the_same_key_with_another_body_is_refused(self, ledger, lease):
        first = ledger.append("snapshot", "snapshot/m/run", {"a": 1}, lease)
        with pytest.raises(KeyConflict):
            ledger.append("snapshot", "snapshot/m/run", {"a": 2}, lease)
        assert list(ledger.entries()) == [first]

    def test_the_same_key_for_another_kind_or_model_is_refused(self, ledger, lease):
        ledger.append("snapshot", "key", {"a": 1}, lease)
        with pytest.raises(KeyConflict):
            ledger.append("candidate", "key", {"a": 1}, lease)
        with pytest.raises(KeyConflict):
            ledger.append("snapshot", "key", {"a": 1}, ledger.acquire("other", "other/run"))

    def test_true_is_not_one(self, ledger, lease):
        ledger.append("snapshot", "key", {"a": 1}, lease)
        with pytest.raises(KeyConflict):
            ledger.append("snapshot", "key", {"a": True}, lease)

    @pytest.mark.parametrize("body", [{"a": float("nan")}, {"a": float("inf")}, {"a": 2**53}])
    def test_a_body_that_is_not_json_is_refused(self, ledger, lease, body):
        with pytest.raises(LedgerError, match="not JSON"):
            ledger.append("snapshot", "key", body, lease)

    @pytest.mark.parametrize("key", ["", "a\nb", "a\x00b", "k" * 2001, "\ud800"])
    def test_a_key_that_is_no_key_is_refused(self, ledger, lease, key):
        with pytest.raises(LedgerError, match="not an idempotency key"):
            ledger.append("snapshot", key, {}, lease)

    def test_an_unknown_kind_is_refused_naming_the_known_ones(self, ledger, lease):
        with pytest.raises(LedgerError, match=KINDS[0]):
            ledger.append("snapshots", "key", {}, lease)

    def test_a_key_not_there_finds_nothing(self, ledger):
        assert ledger.find("snapshot/m/run") is None
        assert ledger.last("m", "snapshot") is None
        assert list(ledger.entries()) == []

    def test_entries_come_in_order_by_model_kind_and_time(self, ledger, lease):
        other = ledger.acquire("other", "other/run")
        for number in range(3):
            ledger.append("snapshot", f"s/{number}", {"n": number}, lease)
            ledger.append("candidate", f"c/{number}", {"n": number}, lease)
            ledger.append("snapshot", f"o/{number}", {"n": number}, other)
        assert [e.seq for e in ledger.entries()] == list(range(1, 10))
        assert [e.seq for e in ledger.entries(model="m")] == [1, 2, 4, 5, 7, 8]
        assert [e.seq for e in ledger.entries(kind="snapshot")] == [1, 3, 4, 6, 7, 9]
        assert [e.seq for e in ledger.entries(model="other", kind="snapshot")] == [3, 6, 9]
        assert ledger.last("m", "snapshot").seq == 7
        assert ledger.last("nobody", "snapshot") is None

    def test_the_models_of_which_there_are_entries_are_known(self, ledger, lease):
        assert list(ledger.models()) == []
        ledger.append("snapshot", "snapshot/m/run", {}, lease)
        ledger.append("snapshot", "snapshot/m/run 2", {}, lease)
        ledger.append("event", "event/a", {}, ledger.acquire("a", "a/run", "alerts"))
        assert list(ledger.models()) == ["a", "m"]

    def test_entries_at_or_after_an_instant_are_left_out(self, ledger, lease):
        entry = ledger.append("snapshot", "key", {}, lease)
        later = entry.at + timedelta(microseconds=1)
        assert list(ledger.entries(before=entry.at)) == []
        assert ledger.last("m", "snapshot", before=entry.at) is None
        assert list(ledger.entries(before=later)) == [entry]
        assert ledger.last("m", "snapshot", before=later) == entry

    def test_an_instant_without_a_time_zone_is_refused(self, ledger):
        with pytest.raises(ValueError, match="time zone"):
            list(ledger.entries(before=datetime(2013, 1, 1)))  # noqa: DTZ001

    def test_more_entries_than_a_page_are_all_read_once(self, ledger, lease):
        for number in range(205):
            ledger.append("snapshot", f"s/{number}", {"n": number}, lease)
        assert [e.body["n"] for e in ledger.entries(model="m")] == list(range(205))

    def test_a_release_is_appended_where_the_last_one_is_the_expected(self, ledger, lease):
        first = ledger.append("release", "release/1", {"v": 1}, lease, expected_release=None)
        with pytest.raises(ChampionMoved):
            ledger.append("release", "release/2", {"v": 2}, lease, expected_release=None)
        with pytest.raises(ChampionMoved):
            ledger.append("release", "release/2", {"v": 2}, lease, expected_release=first.seq + 1)
        second = ledger.append("release", "release/2", {"v": 2}, lease, expected_release=first.seq)
        assert [e.seq for e in ledger.entries(kind="release")] == [first.seq, second.seq]

    def test_releases_of_other_models_and_other_kinds_do_not_move_the_champion(self, ledger, lease):
        other = ledger.acquire("other", "other/run")
        ledger.append("release", "release/other", {}, other)
        ledger.append("comparison", "comparison/m/run", {}, lease)
        assert ledger.append("release", "release/m", {}, lease, expected_release=None).seq == 3

    def test_what_was_decided_before_a_persons_deed_is_refused_after_it(self, ledger, lease):
        def intend(key, expected):
            return ledger.append("release_intended", key, {}, lease, expected_hand=expected)

        with pytest.raises(HandMoved):
            intend("release_intended/m/one", 7)
        first = intend("release_intended/m/one", None)
        ledger.append("hand", "hand/other/1", {}, ledger.acquire("other", "other/hand", "hand"))
        deed = ledger.append("hand", "hand/m/1", {}, ledger.acquire("m", "m/hand", "hand"))
        for expected in (None, first.seq):
            with pytest.raises(HandMoved):
                intend("release_intended/m/two", expected)
        assert intend("release_intended/m/two", deed.seq).seq == deed.seq + 1
        assert intend("release_intended/m/one", None) == first, "what stands is found again"

    def test_nothing_is_decided_while_another_runs_release_is_not_done(self, ledger, lease):
        ledger.append("release_intended", "release_intended/m/one", {}, lease, expected_release=None)
        with pytest.raises(ChampionMoved, match="not done"):
            ledger.append("release_intended", "release_intended/m/two", {}, lease, expected_release=None)
        done = ledger.append("release", "release/m/one", {}, lease)
        ledger.append("release_intended", "release_intended/m/two", {}, lease, expected_release=done.seq)

    def test_a_lease_is_checked_without_writing(self, ledger, lease):
        ledger.check(lease)
        ledger.acquire(lease.model, lease.holder)
        with pytest.raises(LeaseLost):
            ledger.check(lease)
        assert list(ledger.entries()) == []

    def test_a_release_that_stands_is_returned_whatever_was_released_since(self, ledger, lease):
        first = ledger.append("release", "release/1", {"v": 1}, lease, expected_release=None)
        ledger.append("release", "release/2", {"v": 2}, lease, expected_release=first.seq)
        again = ledger.append("release", "release/1", {"v": 1}, lease, expected_release=None)
        assert again == first

    def test_a_held_lease_is_refused_to_another_naming_the_holder(self, ledger, lease):
        with pytest.raises(LeaseHeld, match="m/run"):
            ledger.acquire("m", "m/other")
        assert ledger.acquire("other", "m/other").epoch == 1

    def test_the_same_holder_takes_over_and_fences_its_earlier_try(self, ledger, lease):
        retry = ledger.acquire("m", "m/run")
        assert retry.epoch == lease.epoch + 1
        with pytest.raises(LeaseLost):
            ledger.append("snapshot", "key", {}, lease)
        assert list(ledger.entries()) == []
        assert ledger.append("snapshot", "key", {}, retry).seq == 1

    def test_an_expired_lease_is_taken_over_and_its_run_writes_nothing_more(self, ledger, lease):
        self.expire(ledger, "m")
        taken = ledger.acquire("m", "m/other")
        assert taken.epoch == lease.epoch + 1
        with pytest.raises(LeaseLost):
            ledger.append("snapshot", "key", {}, lease)
        assert ledger.append("snapshot", "key", {}, taken).seq == 1

    def test_an_expired_lease_that_nobody_took_over_still_writes(self, ledger, lease):
        self.expire(ledger, "m")
        assert ledger.append("snapshot", "key", {}, lease).seq == 1

    def test_a_stale_run_may_read_again_what_it_wrote(self, ledger, lease):
        entry = ledger.append("snapshot", "key", {}, lease)
        self.expire(ledger, "m")
        ledger.acquire("m", "m/other")
        assert ledger.append("snapshot", "key", {}, lease) == entry

    def test_a_freed_lease_is_free_for_others_and_writes_nothing_more(self, ledger, lease):
        ledger.free(lease)
        with pytest.raises(LeaseLost):
            ledger.append("snapshot", "key", {}, lease)
        assert ledger.acquire("m", "m/other").epoch == lease.epoch + 1

    def test_freeing_a_lease_taken_over_leaves_it_with_its_new_holder(self, ledger, lease):
        self.expire(ledger, "m")
        taken = ledger.acquire("m", "m/other")
        ledger.free(lease)
        with pytest.raises(LeaseHeld, match="m/other"):
            ledger.acquire("m", "m/third")
        assert ledger.append("snapshot", "key", {}, taken).seq == 1

    def test_a_check_and_a_retrain_of_one_model_do_not_wait_for_each_other(self, ledger, lease):
        watching = ledger.acquire("m", "m/monitor/run", "monitor")
        assert ledger.append("verdict", "verdict/m/monitor/run", {}, watching).model == "m"
        assert ledger.append("snapshot", "snapshot/m/run", {}, lease).model == "m"
        with pytest.raises(LeaseHeld):
            ledger.acquire("m", "m/monitor/other", "monitor")
        ledger.free(watching)
        assert ledger.acquire("m", "m/monitor/other", "monitor").epoch == watching.epoch + 1
        with pytest.raises(LeaseLost):
            ledger.check(watching)
        ledger.check(lease)

    def test_who_holds_a_lease_is_known_until_it_is_given_back_or_expires(self, ledger, lease):
        assert ledger.holder("m") == lease.holder
        assert ledger.holder("m", "monitor") is None
        assert ledger.holder("other") is None
        self.expire(ledger, "m")
        assert ledger.holder("m") is None
        ledger.free(ledger.acquire("m", "m/other"))
        assert ledger.holder("m") is None

    def test_a_lease_never_acquired_writes_nothing(self, ledger, lease):
        made_up = type(lease)("other", "m/run", 1)
        with pytest.raises(LeaseLost):
            ledger.append("snapshot", "key", {}, made_up)
        ledger.free(made_up)

    def test_a_kept_lease_is_renewed_and_another_run_stays_out(self, ledger, lease):
        self.expire(ledger, "m")
        before = self.expires_at(ledger, "m")
        with ledger.keep(lease):
            self.await_renewal(ledger, before)
            with pytest.raises(LeaseHeld):
                ledger.acquire("m", "m/other")

    def test_a_lease_taken_over_is_not_renewed(self, ledger, lease):
        taken = ledger.acquire("m", "m/run")
        before = self.expires_at(ledger, "m")
        with ledger.keep(lease):
            self.let_it_renew()
        assert self.expires_at(ledger, "m") == before
        assert ledger.append("snapshot", "key", {}, taken).seq == 1

    def await_renewal(self, ledger, before):
        """Return once the lease's expiry has moved; a renewing thread does that in its own time."""
        assert self.expires_at(ledger, "m") > before

    def let_it_renew(self):
        """Give a renewing thread its chance."""
