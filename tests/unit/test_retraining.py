"""When a check asks for a retrain, waits, or holds for a person; and the laws of that decision."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evergreen.durations import Duration
from evergreen.monitor_spec import RetrainCost, RetrainPolicy
from evergreen.rates import KOfN, Rate
from evergreen.retraining import WATCH, PastRequest, counts_as, decide
from evergreen.watch_results import Answer, Finding, RetrainRequest, Verdict
from evergreen.window import Window

START = datetime(2013, 1, 1, tzinfo=UTC)
POLICY = RetrainPolicy(after="2 of 5", cooldown="14 days", at_most="2 per month")
LATEST = 40
"""The day of the check that is decided on, unless a test says otherwise."""


def at(day: float) -> datetime:
    return START + timedelta(days=day)


def check(
    day: float = LATEST,
    features: Answer = "alarm",
    *,
    health: Answer = "quiet",
    version: int = 1,
    excess: float | None = None,
    estimate: bool = False,
) -> Verdict:
    alarmed = "alarm" in (features, health)
    return Verdict(
        run_key=f"churn/monitor/{day:g}",
        as_of=at(day),
        window=Window(at(day - 7), at(day)),
        version=version,
        answer="alarm" if alarmed else features,
        spoke="health" if health == "alarm" else "features" if features == "alarm" else None,
        levels=(("health", health), ("features", features)),
        findings=(
            Finding("health", "x", "nulls", 0.4, 0.05, None, None, health, "x is null in 40% of rows"),
            Finding("features", "x", "psi", 0.3, 0.1, 1e-6, 100.0, features, "PSI of x is 0.3"),
        ),
        words=(),
        rows=700,
        rows_a_day=100.0,
        excess_loss=excess,
        excess_is_estimate=estimate,
    )


def asked(day: float, outcome=None, *, by: str = WATCH, superseded_by: str | None = None) -> PastRequest:
    request = RetrainRequest(f"churn/monitor/{day:g}", at(day), "alarm", by)
    return PastRequest(request, "churn/run" if outcome else None, outcome, superseded_by)


def decided(verdict=None, history=(), requests=(), running=None, policy=POLICY):
    return decide(policy, verdict or check(), history, requests, running, "log_loss")


TWO_ALARMS = (check(33), check(LATEST))


def test_as_many_alarms_as_needed_ask_for_a_retrain_with_the_reason():
    decision = decided(history=[check(33), check(26, "quiet")])
    assert decision.action == "retrain"
    assert decision.reasons[0] == "retrain: 2 of the last 3 checks alarmed, 2 of 5 are needed"
    request = decision.request
    assert (request.key, request.as_of, request.asked_by) == ("churn/monitor/40", at(40), "watch")
    assert request.reason == (
        "alarm of features as of 2013-02-10 00:00, 2 of the last 3 checks alarmed, 2 of 5 are needed: "
        "PSI of x is 0.3"
    )
    assert decision.open_requests == (request.key,)


def test_too_few_alarms_wait_and_say_how_many_are_needed():
    decision = decided(history=[check(day, "quiet") for day in (12, 19, 26, 33)])
    assert (decision.action, decision.request) == ("wait", None)
    assert decision.reasons[0] == "wait: 1 of the last 5 checks alarmed, 2 of 5 are needed"
    assert "for: no earlier retrain was asked for by alarm (cooldown: 14 days)" in decision.reasons


def test_alarms_older_than_the_last_n_checks_are_forgotten():
    history = [check(5), *(check(day, "quiet") for day in (12, 19, 26, 33))]
    assert decided(history=history).reasons[0].startswith("wait: 1 of the last 5 checks")


def test_a_quiet_check_waits_however_many_alarmed_before():
    decision = decided(check(LATEST, "quiet"), [check(33), check(26)])
    assert decision.reasons[0] == (
        "wait: this check is quiet; 2 of the last 3 checks alarmed, 2 of 5 are needed"
    )


def test_a_check_without_enough_data_counts_neither_way():
    empty = [check(day, "not enough data") for day in (12, 19, 26, 33)]
    assert decided(history=[check(5), *empty]).action == "retrain"
    decision = decided(check(LATEST, "not enough data"), [check(33), check(26)])
    assert decision.reasons[0].startswith("wait: this check counts neither way, it had not enough data")


def test_checks_of_another_version_or_of_a_later_as_of_do_not_count():
    assert decided(history=[check(33, version=2)]).action == "wait"
    assert decided(history=[check(47)]).action == "wait"


def test_of_two_checks_of_one_as_of_one_counts():
    again = replace(check(33, "quiet"), run_key="churn/monitor/33b")
    assert decided(history=[check(33), again]).action == "wait"
    assert decided(history=[again, check(33)]).action == "wait"
    assert decided(history=[check(33), replace(again, levels=check(33).levels)]).action == "retrain"


def test_levels_that_the_owner_does_not_name_do_not_count():
    policy = POLICY.model_copy(update={"on": ["loss"]})
    assert counts_as(check(), policy.on) is None
    assert decided(history=TWO_ALARMS, policy=policy).action == "wait"


def test_broken_data_holds_for_a_person_and_is_not_counted_later():
    decision = decided(check(health="alarm"), TWO_ALARMS)
    assert (decision.action, decision.request) == ("hold", None)
    assert decision.reasons[0] == (
        "hold: the data itself looks broken, and is not to be trained on: x is null in 40% of rows"
    )
    assert decided(history=[check(33, health="alarm")]).action == "wait"


def test_broken_data_starts_a_retrain_where_the_owner_says_so():
    policy = POLICY.model_copy(update={"on": ["health"]})
    broken = [check(33, "quiet", health="alarm"), check(LATEST, "quiet", health="alarm")]
    assert decided(broken[1], broken, policy=policy).action == "retrain"


def test_no_policy_never_retrains():
    decision = decided(history=TWO_ALARMS, policy=None)
    assert decision.action == "wait"
    assert decision.reasons == ("wait: monitor.retrain is null: alarms never start a retrain",)


def test_a_retrain_at_work_or_asked_for_is_waited_for():
    decision = decided(history=TWO_ALARMS, running="churn/scheduled 1")
    assert decision.reasons[0] == "wait: a retrain is under way: run churn/scheduled 1"
    decision = decided(history=TWO_ALARMS, requests=[asked(10, by="bob")])
    assert decision.reasons[0] == (
        "wait: a retrain as of 2013-01-11 00:00 is asked for already and has not ended"
    )
    assert decision.open_requests == ("churn/monitor/10",)


def test_the_cooldown_counts_from_the_last_request_by_alarm_to_the_minute():
    last = asked(LATEST - 14, "promoted")
    assert decided(history=TWO_ALARMS, requests=[last]).action == "retrain"
    late = asked(LATEST - 13.999, "promoted")
    assert decided(history=TWO_ALARMS, requests=[late]).reasons[0] == (
        "wait: the last retrain by alarm was asked for as of 2013-01-27 00:01, and the cooldown of "
        "14 days lasts until 2013-02-10 00:01"
    )
    by_hand = asked(LATEST - 1, "promoted", by="bob")
    assert decided(history=TWO_ALARMS, requests=[by_hand]).action == "retrain"


def test_a_check_filled_in_later_keeps_the_cooldown_to_requests_after_it():
    later = asked(LATEST + 10, "promoted")
    assert decided(history=TWO_ALARMS, requests=[later]).reasons[0] == (
        "wait: a retrain by alarm was asked for as of 2013-02-20 00:00, within the cooldown of 14 days "
        "after this check"
    )


def test_no_more_than_the_cap_are_asked_for_within_a_period():
    policy = POLICY.model_copy(update={"cooldown": Duration(1, "days")})
    asked_before = [asked(LATEST - 20, "promoted"), asked(LATEST - 10, "promoted")]
    decision = decided(history=TWO_ALARMS, requests=asked_before, policy=policy)
    assert decision.reasons[0] == ("wait: 2 asked for by alarm within a month, at most 2 per month are")
    assert decided(history=TWO_ALARMS, requests=asked_before[1:], policy=policy).action == "retrain"


def test_a_request_of_this_very_check_stands_whatever_speaks_against_it_by_now():
    own = asked(LATEST)
    decision = decided(check(), requests=[own], running="churn/other")
    assert (decision.action, decision.request) == ("retrain", own.request)
    assert decision.reasons[0] == "retrain: an earlier try of this check has asked for it"
    assert decision.open_requests == (own.request.key,)


ALARMS = tuple(check(day) for day in range(0, 120, 7))
EVERY_WEEK = POLICY.model_copy(update={"cooldown": Duration(7, "days"), "at_most": Rate(9, "month")})


def test_two_retrains_of_one_alarm_that_released_nothing_hold_for_a_person():
    vain = [asked(14, "kept"), asked(28, "failed")]
    decision = decided(check(35), ALARMS, vain, policy=EVERY_WEEK)
    assert decision.action == "hold"
    assert decision.reasons[0] == (
        "hold: the last 2 retrains since this alarm began on 2013-01-01 00:00 released nothing (the "
        "newest: kept, failed); another is tried by itself from 2013-02-12 00:00 on"
    )
    assert decided(check(42), ALARMS, vain[:1], policy=EVERY_WEEK).action == "retrain"


def test_after_a_longer_while_with_new_rows_another_retrain_is_tried():
    vain = [asked(14, "kept"), asked(28, "kept")]
    decision = decided(check(42), ALARMS, vain, policy=EVERY_WEEK)
    assert decision.action == "retrain"
    thrice = [*vain, asked(56, "kept")]
    assert decided(check(70), ALARMS, thrice, policy=EVERY_WEEK).action == "hold"
    assert decided(check(77), ALARMS, thrice, policy=EVERY_WEEK).action == "retrain"


@pytest.mark.parametrize(
    "requests",
    [
        [asked(14, "kept"), asked(28, "kept"), asked(35, "promoted")],
        [asked(14, "kept"), asked(28, "kept", superseded_by="churn/monitor/35")],
    ],
)
def test_a_promotion_ends_the_row_and_a_superseded_request_counts_for_nothing(requests):
    assert decided(check(42), ALARMS, requests, policy=EVERY_WEEK).action == "retrain"


def test_vain_retrains_of_an_alarm_that_ended_do_not_hold_the_next():
    vain = [asked(7, "kept"), asked(14, "kept")]
    quiet = [check(day, "quiet") for day in (21, 22, 23, 24, 25)]
    history = [check(0), check(7), check(14), *quiet, check(35)]
    assert decided(check(36), history, vain, policy=EVERY_WEEK).action == "retrain"
    assert decided(check(26), [*history[:3], check(25)], vain, policy=EVERY_WEEK).action == "hold"


COSTLY = POLICY.model_copy(update={"cost": RetrainCost(retrain=40.0, loss=0.5, horizon="10 days")})


@pytest.mark.parametrize(
    ("excess", "action"), [(0.081, "retrain"), (0.079, "wait"), (-0.5, "wait"), (0.0, "wait")]
)
def test_the_loss_of_staying_stale_is_weighed_against_the_cost_of_a_retrain(excess, action):
    # 0.08 a row x 100 rows a day x 10 days x 0.5 = 40
    assert decided(check(excess=excess), TWO_ALARMS, policy=COSTLY).action == action


def test_the_cost_rule_writes_its_sum_and_marks_an_estimate():
    reasons = decided(check(excess=0.079, estimate=True), TWO_ALARMS, policy=COSTLY).reasons
    assert reasons[0] == (
        "wait: staying stale for 10 days is expected to cost 39.5 and a retrain costs 40: log_loss is "
        "0.079 worse a row (an estimate: no label was seen), x 100 rows a day x 10 days x 0.5"
    )


def test_drift_alone_cannot_be_weighed_and_the_reason_says_what_would_settle_it():
    decision = decided(history=TWO_ALARMS, policy=COSTLY)
    assert decision.action == "wait"
    assert decision.reasons[0].endswith("labels of the window's rows would settle it")


answers = st.sampled_from(["alarm", "quiet", "not enough data"])
days = st.integers(0, 200)
streams = st.dictionaries(days, answers, min_size=1, max_size=25)
policies = st.builds(
    lambda k, more, cooldown, rate: RetrainPolicy(
        after=KOfN(k, k + more), cooldown=Duration(cooldown, "days"), at_most=rate
    ),
    st.integers(1, 3),
    st.integers(0, 3),
    st.integers(0, 30),
    st.builds(Rate, st.integers(1, 3), st.sampled_from(["week", "month", "quarter"])),
)
outcomes = st.sampled_from(["promoted", "kept", "rejected", "failed"])
pasts = st.dictionaries(days, outcomes, max_size=6)


def as_requests(past: dict) -> list[PastRequest]:
    return [asked(day + 0.5, outcome) for day, outcome in past.items()]


@given(streams, policies, st.randoms(use_true_random=False), outcomes)
def test_checks_recorded_in_any_order_keep_cooldown_and_cap(stream, policy, random, outcome):
    order = list(stream)
    random.shuffle(order)
    history, requests = [], []
    for day in order:
        history.append(check(day, stream[day]))
        decision = decided(history[-1], history, requests, policy=policy)
        if decision.request is not None:
            requests.append(PastRequest(decision.request, "churn/run", outcome))
    times = sorted(past.request.as_of for past in requests)
    for earlier, later in pairwise(times):
        assert policy.cooldown.after(earlier) <= later
    for end in times:
        begun = policy.at_most.period_before(end)
        assert sum(begun < one <= end for one in times) <= policy.at_most.count


@given(streams, policies, pasts, st.randoms(use_true_random=False))
def test_the_order_in_which_things_were_recorded_does_not_matter(stream, policy, past, random):
    history = [check(day, answer) for day, answer in stream.items()]
    requests, newest = as_requests(past), max(history, key=lambda one: one.as_of)
    first = decided(newest, history, requests, policy=policy)
    random.shuffle(history)
    random.shuffle(requests)
    assert decided(newest, history, requests, policy=policy) == first


@given(streams, policies, pasts, st.data())
def test_one_more_alarm_never_turns_a_retrain_into_waiting(stream, policy, past, data):
    last = max(stream)
    requests = as_requests(past)
    before = decided(
        check(last, stream[last]), [check(d, a) for d, a in stream.items()], requests, policy=policy
    )
    more = stream | {data.draw(st.sampled_from(sorted(stream))): "alarm"}
    after = decided(
        check(last, more[last]), [check(d, a) for d, a in more.items()], requests, policy=policy
    )
    if before.action == "retrain":
        assert after.action in ({"retrain"} if not requests else {"retrain", "hold"})


@given(streams, policies, pasts, streams)
@settings(max_examples=50)
def test_what_is_checked_later_changes_nothing(stream, policy, past, future):
    history = [check(day, answer) for day, answer in stream.items()]
    newest = max(history, key=lambda one: one.as_of)
    later = [check(max(stream) + 1 + day, answer) for day, answer in future.items()]
    requests = as_requests(past)
    alone = decided(newest, history, requests, policy=policy)
    assert decided(newest, [*later, *history], requests, policy=policy) == alone


@given(streams, policies, pasts)
@settings(max_examples=50)
def test_every_answer_says_why_and_only_a_retrain_asks(stream, policy, past):
    newest = check(max(stream), stream[max(stream)])
    history = [check(day, answer) for day, answer in stream.items()]
    decision = decided(newest, history, as_requests(past), policy=policy)
    assert decision.reasons[0].startswith(f"{decision.action}: ")
    assert len(decision.reasons) >= 3
    assert (decision.request is not None) == (decision.action == "retrain")
