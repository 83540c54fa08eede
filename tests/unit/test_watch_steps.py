"""A check, step by step, on fakes: what it writes, finds again, and says of bad input."""

from dataclasses import replace
from datetime import datetime, timedelta

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from evergreen.errors import ArtefactDamaged, BadConfiguration, SourceUnavailable
from evergreen.results import Candidate
from evergreen.steps import memory, score
from evergreen.steps.requests import past_requests
from evergreen.steps.watch.judge import judge
from evergreen.steps.watch.measure import measure
from evergreen.steps.watch.profile import profile
from evergreen.steps.watch.request import request
from evergreen.watch_questions import state
from tests.fakes.bench import MARCH, Bench, pinned

WEEK = timedelta(days=7)
AS_OF = MARCH + 4 * WEEK
WATCHED = {
    "score": {"schedule": "@weekly", "window": "7 days"},
    "monitor": {
        "schedule": "@weekly",
        "window": "7 days",
        "min_rows": 50,
        "report": False,
        "retrain": {"after": "2 of 3", "cooldown": "14 days"},
    },
}


def watched(**changes: object):
    return pinned(**(WATCHED | {"monitor": WATCHED["monitor"] | changes}))


@pytest.fixture
def bench(tmp_path):
    made = Bench(tmp_path)
    made.whole(as_of=MARCH)
    return made


def scored(bench: Bench, as_of: datetime = AS_OF, model=None) -> None:
    key = f"churn/score/{as_of:%m-%d}"
    score(bench.workspace, key, model or watched(), as_of, "test")


def checked(bench: Bench, as_of: datetime = AS_OF, model=None):
    key = f"churn/monitor/{as_of:%m-%d}"
    profile(bench.workspace, key, model or watched(), as_of, "test")
    measure(bench.workspace, key)
    return judge(bench.workspace, key), request(bench.workspace, key)


def moved(bench: Bench, since: datetime, by: float = 4.0) -> None:
    """Let x lie elsewhere from an instant on."""
    table = bench.source.table
    later = pc.greater_equal(table.column("at"), pa.scalar(since, pa.timestamp("us", "UTC")))
    x = pc.if_else(later, pc.add(table.column("x"), by), table.column("x"))
    bench.source.table = table.set_column(table.column_names.index("x"), "x", x)


def answers(verdict) -> dict[str, str]:
    return dict(verdict.levels)


def test_a_week_like_the_baseline_is_quiet_and_asks_for_nothing(bench):
    scored(bench)
    verdict, decision = checked(bench)
    assert verdict.answer == "quiet", verdict.words
    assert (verdict.version, verdict.rows) == (1, 70)
    assert decision.action == "wait"
    assert past_requests(bench.ledger, "churn") == []


def test_a_feature_that_moves_alarms_and_the_second_time_asks_for_a_retrain_up_to_then(bench):
    moved(bench, AS_OF - WEEK)
    for as_of in (AS_OF, AS_OF + WEEK):
        scored(bench, as_of)
        verdict, decision = checked(bench, as_of)
        assert answers(verdict)["features"] == "alarm"
        assert verdict.findings[0].subject == "x"
        assert any("x" in words for words in verdict.words)
        assert decision.action == ("wait" if as_of == AS_OF else "retrain")
    (past,) = past_requests(bench.ledger, "churn")
    assert past.open
    assert past.request.as_of == AS_OF + WEEK
    assert decision.open_requests == (past.request.key,)
    assert "x" in past.request.reason


def test_a_check_made_again_finds_what_it_found_and_writes_nothing(bench):
    moved(bench, AS_OF - WEEK)
    scored(bench)
    first = checked(bench)
    before = len(bench.ledger.rows)
    bench.source.failure = SourceUnavailable("must not be asked")
    assert checked(bench) == first
    assert len(bench.ledger.rows) == before
    bench.source.failure = None


def test_a_check_leaves_no_lease_behind_and_waits_for_no_retrain(bench):
    lease = bench.ledger.acquire("churn", "churn/a long retrain")
    scored(bench)
    _, decision = checked(bench)
    bench.ledger.check(lease)
    assert bench.ledger.holder("churn", "monitor") is None
    assert any("a long retrain" in reason for reason in decision.reasons)


@pytest.mark.parametrize("holder", ["churn/reconcile/pass", "churn/hand/7-to-1"])
def test_what_holds_the_lease_for_a_moment_and_is_no_retrain_speaks_against_none(bench, holder):
    moved(bench, AS_OF - WEEK)
    scored(bench)
    checked(bench)
    scored(bench, AS_OF + WEEK)
    bench.ledger.acquire("churn", holder)
    _, decision = checked(bench, AS_OF + WEEK)
    assert decision.action == "retrain", decision.reasons


def test_without_a_champion_there_is_not_enough_data_and_no_error(tmp_path):
    bench = Bench(tmp_path)
    verdict, decision = checked(bench)
    assert verdict.answer == "not enough data"
    assert any("no champion" in words for words in verdict.words)
    assert decision.action == "wait"


def test_a_champion_trained_before_there_were_baselines_is_told_apart(bench):
    scored(bench)
    candidate = memory.need(bench.workspace, "candidate", "churn/one", Candidate)
    bench.scorer.without_baseline.add(candidate.key)
    verdict, _ = checked(bench)
    assert verdict.answer == "not enough data"
    assert any("no baseline" in words and "retrain" in words for words in verdict.words)


def test_a_champion_whose_files_are_gone_is_an_error(bench):
    scored(bench)
    candidate = memory.need(bench.workspace, "candidate", "churn/one", Candidate)
    bench.scorer.damaged.add(candidate.key)
    with pytest.raises(ArtefactDamaged):
        checked(bench)


def test_a_model_without_a_watch_is_refused(bench):
    with pytest.raises(BadConfiguration, match="not watched"):
        profile(bench.workspace, "churn/monitor/1", pinned(), AS_OF, "test")


def test_a_window_without_rows_is_stale_and_starts_no_retrain(bench):
    scored(bench)
    later = AS_OF + 3 * WEEK
    verdict, decision = checked(bench, later)
    assert answers(verdict)["health"] == "alarm"
    assert answers(verdict)["features"] == "not enough data"
    assert any("no fresh rows since" in words.lower() for words in verdict.words), verdict.words
    assert decision.action == "hold"


def test_a_window_of_one_row_is_not_enough(bench):
    scored(bench)
    key = "churn/monitor/short"
    model = watched(window="3 hours", min_rows=2)
    profile(bench.workspace, key, model, AS_OF, "test")
    observation = measure(bench.workspace, key)
    assert observation.rows == 1
    assert answers(judge(bench.workspace, key))["features"] == "not enough data"


def test_a_column_that_is_null_in_every_row_breaks_the_data_and_holds_the_retrain(bench):
    for as_of in (AS_OF, AS_OF + WEEK):
        scored(bench, as_of)
    table = bench.source.table
    later = pc.greater_equal(table.column("at"), pa.scalar(AS_OF, pa.timestamp("us", "UTC")))
    x = pc.if_else(later, pa.scalar(None, pa.float64()), table.column("x"))
    bench.source.table = table.set_column(table.column_names.index("x"), "x", x)
    scored(bench, AS_OF + WEEK, watched())
    key = "churn/score/again"
    score(bench.workspace, key, watched(), AS_OF + WEEK, "the column broke")
    verdict, decision = checked(bench, AS_OF + WEEK)
    assert verdict.spoke == "health"
    assert decision.action in {"hold", "wait"}
    assert not past_requests(bench.ledger, "churn")


def test_a_loss_beyond_what_was_proven_speaks_before_the_features(bench):
    """The world turns after the champion has answered: only labels can tell."""
    for week in range(1, 4):
        scored(bench, AS_OF + week * WEEK)
    quiet, _ = checked(bench, AS_OF + 3 * WEEK)
    assert answers(quiet)["loss"] == "quiet", quiet.words
    table = bench.source.table
    later = pc.greater_equal(table.column("at"), pa.scalar(AS_OF, pa.timestamp("us", "UTC")))
    late = pc.if_else(later, pc.subtract(1, table.column("late")), table.column("late"))
    bench.source.table = table.set_column(table.column_names.index("late"), "late", late)
    key = "churn/monitor/corrected"
    profile(bench.workspace, key, watched(), AS_OF + 3 * WEEK, "labels were corrected")
    measure(bench.workspace, key)
    verdict = judge(bench.workspace, key)
    assert answers(verdict)["loss"] == "alarm", verdict.words
    assert verdict.spoke == "loss"
    assert verdict.excess_loss > 1
    assert not verdict.excess_is_estimate


def test_a_backfilled_check_meets_the_champion_of_its_own_time(bench):
    scored(bench)
    bench.whole("two", as_of=AS_OF + WEEK, certainty=0.95)
    assert checked(bench, AS_OF)[0].version == 1
    assert checked(bench, AS_OF + WEEK)[0].version == 1  # version 2 was tested on these very rows
    assert checked(bench, AS_OF + 2 * WEEK)[0].version == 2


def test_a_champion_that_has_answered_nothing_yet_is_no_drop_of_rows(bench):
    scored(bench)
    bench.whole("two", as_of=AS_OF - timedelta(days=7), certainty=0.95)
    verdict, _ = checked(bench)
    assert (verdict.version, answers(verdict)["health"]) == (2, "quiet"), verdict.words
    assert answers(verdict)["prediction"] == "not enough data"


def test_a_partition_that_cannot_be_read_breaks_the_data_and_names_itself(bench, tmp_path):
    scored(bench)
    day = next((tmp_path / "predictions").rglob("day=2013-03-25/*.parquet"))
    day.write_bytes(b"junk")
    verdict, decision = checked(bench)
    assert (verdict.answer, verdict.spoke) == ("alarm", "health")
    assert any("2013-03-25" in words for words in verdict.words), verdict.words
    assert decision.action == "hold"


def test_an_older_partition_that_cannot_be_read_leaves_drift_and_health_to_be_judged(bench, tmp_path):
    for as_of in (AS_OF, AS_OF + WEEK):
        scored(bench, as_of)
    day = next((tmp_path / "predictions").rglob("day=2013-03-25/*.parquet"))
    day.write_bytes(b"junk")
    verdict, _ = checked(bench, AS_OF + WEEK)
    found = answers(verdict)
    assert (found["features"], found["health"]) == ("quiet", "quiet")
    assert found["loss"] == "not enough data"
    assert any("2013-03-25" in words for words in verdict.words), verdict.words


def test_the_state_is_that_of_the_newest_check_by_as_of(bench):
    for as_of in (AS_OF + WEEK, AS_OF):
        scored(bench, as_of)
        checked(bench, as_of)
    found = state(bench.ledger, "churn")
    assert [one.as_of for one in found.verdicts] == [AS_OF, AS_OF + WEEK]
    assert found.newest.as_of == AS_OF + WEEK
    assert found.observation.as_of == found.decision.as_of == AS_OF + WEEK
    assert found.scored.window.end == AS_OF + WEEK


def test_a_model_file_that_changed_since_a_check_began_changes_the_next_check_only(bench):
    scored(bench)
    key = "churn/monitor/pinned"
    profile(bench.workspace, key, watched(), AS_OF, "test")
    profile(bench.workspace, key, replace(watched(min_rows=1000), digest="other"), AS_OF, "test")
    assert measure(bench.workspace, key).rows == 70
    assert answers(judge(bench.workspace, key))["features"] == "quiet"


def test_a_season_is_compared_with_the_same_time_of_earlier_years_or_says_that_there_is_none(bench):
    scored(bench)
    key = "churn/monitor/season"
    profile(bench.workspace, key, watched(season="months"), AS_OF, "test")
    observation = measure(bench.workspace, key)
    assert any("no rows of the same time of earlier years" in note for note in observation.notes)
    table = bench.source.table
    earlier = [at - timedelta(days=365) for at in table.column("at").to_pylist()]
    ids = pa.array(range(10_000, 10_000 + table.num_rows), pa.int64())
    past = table.set_column(0, "id", ids).set_column(
        1, "at", pa.array(earlier, table.schema.field("at").type)
    )
    bench.source.table = pa.concat_tables([table, past])
    key = "churn/monitor/season again"
    assert profile(bench.workspace, key, watched(season="months"), AS_OF, "test").seasonal is not None
    observation = measure(bench.workspace, key)
    assert any("same time of earlier years" in note for note in observation.notes)


def test_a_champion_of_yesterday_is_asked_about_the_whole_week_but_answers_for_its_own_day(bench):
    """Two days of a week are no week: what was asked counts, whichever version answered it."""
    later = AS_OF - timedelta(days=2)
    scored(bench, later)
    bench.whole("two", as_of=later, certainty=0.95)
    scored(bench, AS_OF)
    key = "churn/monitor/young"
    score(bench.workspace, "churn/score/old", watched(), later, "its rows are version 1's again")
    found = profile(bench.workspace, key, watched(), AS_OF, "test")
    observation = measure(bench.workspace, key)
    assert observation.version == 2
    assert (found.rows, found.days) == (20, 2)
    assert [one.window_rows for one in observation.features] == [70]
    assert [one.window_rows for one in observation.predictions] == [20]
