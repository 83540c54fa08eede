"""The decision to retrain: from what the checks of a version found to retrain, wait, or hold.

Pure: no clock, no input or output. Time is as-of time throughout, so history that is filled in later, in
whatever order, is judged as it would have been judged then.

    hold     a person should look: the data is broken, or retrains of this alarm came to nothing
    wait     something speaks against a retrain now
    retrain  nothing does

What counts. A check counts as an alarm where a level of `monitor.retrain.on` alarmed, and as quiet where
one was quiet and none alarmed. It counts neither way where there was not enough data for any of them, or
where its data was broken: that explains whatever else was seen. `k of n` looks at the last n checks
that count. An alarm goes on until n checks in a row are quiet.

The cost rule: staying stale costs excess loss a row x rows a day x days of the horizon x money per
unit of loss; a retrain has to cost less. Sources: UPF, "When to retrain a machine learning model" (arXiv
2505.14903), and CARA, cost-aware retraining (arXiv 2310.04216).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from evergreen.durations import Duration
from evergreen.monitor_spec import Level, RetrainCost, RetrainPolicy
from evergreen.text import plain
from evergreen.watch_results import (
    Action,
    RequestOutcome,
    RetrainDecision,
    RetrainRequest,
    Verdict,
)

WATCH = "watch"
"""Who asks where an alarm does: `RetrainRequest.asked_by`."""
MOST_IN_VAIN = 2
"""After so many retrains of one alarm that released nothing, a person should look."""
LONGEST_REASON = 240
"""Leaves room, in a run's reason, for who asked."""

Side = Literal["for", "against", "hold"]


@dataclass(frozen=True, slots=True)
class PastRequest:
    """A request and what became of it.

    `taken_by` is the run that took it last, `outcome` None for as long as it is open.
    """

    request: RetrainRequest
    taken_by: str | None = None
    outcome: RequestOutcome | None = None
    superseded_by: str | None = None

    @property
    def open(self) -> bool:
        """Whether it still waits for a retrain, or for the end of the one that took it."""
        return self.outcome is None


@dataclass(frozen=True, slots=True)
class Reason:
    """One thing that speaks for a retrain now, against one, or for a person to look."""

    side: Side
    words: str


def decide(
    policy: RetrainPolicy | None,
    verdict: Verdict,
    history: Sequence[Verdict],
    requests: Sequence[PastRequest],
    running: str | None,
    metric: str,
) -> RetrainDecision:
    """Return what follows from a check, with every reason for and against.

    Args:
        policy: `monitor.retrain`.
        verdict: Of the check.
        history: Verdicts of the model in any order. Those of other versions and of the same or later
            as-ofs are left out; the check's own may be among them.
        requests: All requests of the model, in any order. One of this very check stands: what an
            earlier try of it asked for was decided then.
        running: The run that is retraining this model now, or None.
        metric: `gate.metric` by name, for the words.
    """
    others = [past for past in requests if past.request.key != verdict.run_key]
    reasons = (
        [Reason("against", "monitor.retrain is null: alarms never start a retrain")]
        if policy is None
        else list(_reasons(policy, verdict, history, others, running, metric))
    )
    action = _action(reasons)
    waiting = sorted((past.request for past in requests if past.open), key=_when)
    request = next((past.request for past in requests if past.request.key == verdict.run_key), None)
    if request is not None:
        reasons.insert(0, Reason("for", "an earlier try of this check has asked for it"))
        action = "retrain"
    elif action == "retrain":
        asked = plain(_asked(verdict, reasons), LONGEST_REASON)
        request = RetrainRequest(verdict.run_key, verdict.as_of, asked, WATCH)
        waiting.append(request)
    return RetrainDecision(
        verdict.run_key,
        verdict.as_of,
        action,
        _sentences(action, reasons),
        request,
        tuple(one.key for one in waiting),
    )


def counts_as(verdict: Verdict, on: Sequence[Level]) -> bool | None:
    """Return whether a check counts as an alarm (True), as quiet (False), or neither way (None)."""
    if _broken(verdict, on):
        return None
    answers = {answer for level, answer in verdict.levels if level in on}
    return True if "alarm" in answers else False if "quiet" in answers else None


def _broken(verdict: Verdict, on: Sequence[Level]) -> bool:
    """Return whether the data itself alarmed, and the owner does not want it trained on all the same."""
    return "health" not in on and ("health", "alarm") in verdict.levels


def _action(reasons: Sequence[Reason]) -> Action:
    sides = {reason.side for reason in reasons}
    return "hold" if "hold" in sides else "wait" if "against" in sides else "retrain"


def _sentences(action: Action, reasons: Sequence[Reason]) -> tuple[str, ...]:
    """Return the decisive reasons first, named by the action, and the others by their side."""
    decisive = {"hold": "hold", "wait": "against", "retrain": "for"}[action]
    first = [f"{action}: {reason.words}" for reason in reasons if reason.side == decisive]
    return (*first, *(f"{r.side}: {r.words}" for r in reasons if r.side != decisive))


def _asked(verdict: Verdict, reasons: Sequence[Reason]) -> str:
    spoke = f" of {verdict.spoke}" if verdict.spoke else ""
    told = next((f.words for f in verdict.findings if f.answer == "alarm"), "")
    why = next(reason.words for reason in reasons if reason.side == "for")
    return f"alarm{spoke} as of {_day(verdict.as_of)}, {why}" + (f": {told}" if told else "")


def _reasons(
    policy: RetrainPolicy,
    verdict: Verdict,
    history: Sequence[Verdict],
    requests: Sequence[PastRequest],
    running: str | None,
    metric: str,
) -> Iterator[Reason]:
    checks = _of_version(verdict, history)
    enough = _enough_alarms(policy, checks)
    yield enough
    if _broken(verdict, policy.on):
        told = [f.words for f in verdict.findings if f.level == "health" and f.answer == "alarm"]
        what = f": {'; '.join(told[:3])}" if told else ""
        yield Reason("hold", f"the data itself looks broken, and is not to be trained on{what}")
    if enough.side == "for":
        yield from _in_vain(policy, checks, requests)
    yield from _under_way(requests, running)
    asked = sorted((past.request for past in requests if past.request.asked_by == WATCH), key=_when)
    yield _cooldown(policy.cooldown, verdict.as_of, asked)
    yield _cap(policy, verdict.as_of, asked)
    if policy.cost is not None:
        yield _cost(policy.cost, verdict, metric)


def _of_version(verdict: Verdict, history: Sequence[Verdict]) -> list[Verdict]:
    """Return the checks of the version up to this one by as-of; of two of one as-of, one."""
    earlier = sorted(
        (past for past in history if past.version == verdict.version and past.as_of < verdict.as_of),
        key=lambda past: (past.as_of, past.run_key),
    )
    return [*{past.as_of: past for past in earlier}.values(), verdict]


def _enough_alarms(policy: RetrainPolicy, checks: Sequence[Verdict]) -> Reason:
    newest = counts_as(checks[-1], policy.on)
    counted = [counts for one in checks if (counts := counts_as(one, policy.on)) is not None]
    last = counted[-policy.after.n :]
    alarmed, of = sum(last), max(len(last), 1)
    which = "1 check" if of == 1 else f"the last {of} checks"
    needed = f"{policy.after.k} of {policy.after.n} {'is' if policy.after.k == 1 else 'are'} needed"
    words = f"{alarmed} of {which} alarmed, {needed}"
    if newest is None:
        why = "its data is broken" if _broken(checks[-1], policy.on) else "it had not enough data"
        return Reason("against", f"this check counts neither way, {why}; {words}")
    if newest is False:
        return Reason("against", f"this check is quiet; {words}")
    return Reason("for" if alarmed >= policy.after.k else "against", words)


def _in_vain(
    policy: RetrainPolicy, checks: Sequence[Verdict], requests: Sequence[PastRequest]
) -> Iterator[Reason]:
    """Hold where the last retrains of this alarm released nothing; longer each time, then try again."""
    since, as_of = _alarm_since(policy, checks), checks[-1].as_of
    ended = sorted(
        (
            past
            for past in requests
            if past.outcome and not past.superseded_by and since <= past.request.as_of < as_of
        ),
        key=lambda past: _when(past.request),
    )
    vain = []
    for past in reversed(ended):
        if past.outcome == "promoted":
            break
        vain.append(past)
    if len(vain) < MOST_IN_VAIN:
        return
    last = vain[0].request.as_of
    again = last + len(vain) * max(policy.cooldown.after(last) - last, timedelta(days=1))
    came = ", ".join(str(past.outcome) for past in reversed(vain[:MOST_IN_VAIN]))
    told = (
        f"the last {len(vain)} retrains since this alarm began on {_day(since)} released nothing "
        f"(the newest: {came})"
    )
    if as_of < again:
        yield Reason("hold", f"{told}; another is tried by itself from {_day(again)} on")
    else:
        yield Reason("for", f"{told}, but the newest rows it had are of {_day(last)}")


def _alarm_since(policy: RetrainPolicy, checks: Sequence[Verdict]) -> datetime:
    """Return when the alarm began that goes on at the last of the checks."""
    since, quiet = checks[-1].as_of, 0
    for one in reversed(checks):
        counts = counts_as(one, policy.on)
        quiet = 0 if counts else quiet + (counts is False)
        if quiet == policy.after.n:
            break
        if counts:
            since = one.as_of
    return since


def _under_way(requests: Sequence[PastRequest], running: str | None) -> Iterator[Reason]:
    if running is not None:
        yield Reason("against", f"a retrain is under way: run {running}")
    waiting = [past.request.as_of for past in requests if past.open]
    if waiting:
        yield Reason(
            "against", f"a retrain as of {_day(max(waiting))} is asked for already and has not ended"
        )


def _cooldown(cooldown: Duration, as_of: datetime, asked: Sequence[RetrainRequest]) -> Reason:
    """Keep the distance to the requests on both sides: a check filled in later has later ones, too."""
    before = max((one.as_of for one in asked if one.as_of <= as_of), default=None)
    after = min((one.as_of for one in asked if one.as_of > as_of), default=None)
    if before is not None and as_of < cooldown.after(before):
        return Reason(
            "against",
            f"the last retrain by alarm was asked for as of {_day(before)}, and the cooldown of "
            f"{cooldown} lasts until {_day(cooldown.after(before))}",
        )
    if after is not None and after < cooldown.after(as_of):
        return Reason(
            "against",
            f"a retrain by alarm was asked for as of {_day(after)}, within the cooldown of {cooldown} "
            "after this check",
        )
    if before is None:
        return Reason("for", f"no earlier retrain was asked for by alarm (cooldown: {cooldown})")
    return Reason(
        "for", f"the last retrain by alarm was asked for as of {_day(before)}, {cooldown} ago or more"
    )


def _cap(policy: RetrainPolicy, as_of: datetime, asked: Sequence[RetrainRequest]) -> Reason:
    """Judge every period that would hold this request, those that end at a later request's, too."""
    rate = policy.at_most
    ends = [as_of, *(one.as_of for one in asked if rate.period_before(one.as_of) < as_of < one.as_of)]
    most = max(sum(rate.period_before(end) < one.as_of <= end for one in asked) for end in ends)
    words = f"{most} asked for by alarm within a {rate.period}, at most {rate} are"
    return Reason("for" if most < rate.count else "against", words)


def _cost(cost: RetrainCost, verdict: Verdict, metric: str) -> Reason:
    excess = verdict.excess_loss
    if excess is None:
        return Reason(
            "against",
            f"nothing measured how much worse the champion is in {metric}, so a retrain for "
            f"{cost.retrain:g} cannot be weighed; labels of the window's rows would settle it",
        )
    days = (cost.horizon.after(verdict.as_of) - verdict.as_of) / timedelta(days=1)
    stale = max(excess, 0.0) * verdict.rows_a_day * days * cost.loss
    estimated = " (an estimate: no label was seen)" if verdict.excess_is_estimate else ""
    direction = "worse" if excess > 0 else "better"
    side: Side = "for" if stale > cost.retrain else "against"
    return Reason(
        side,
        f"staying stale for {cost.horizon} is expected to cost {stale:,.4g} and a retrain costs "
        f"{cost.retrain:,.4g}: {metric} is {abs(excess):.4g} {direction} a row{estimated}, x "
        f"{verdict.rows_a_day:,.4g} rows a day x {days:.4g} days x {cost.loss:g}",
    )


def _when(request: RetrainRequest) -> tuple[datetime, str]:
    return request.as_of, request.key


def _day(instant: datetime) -> str:
    return f"{instant:%Y-%m-%d %H:%M}"
