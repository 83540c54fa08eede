"""Play one policy over a stretch of history: stop by stop, with the rows as they came in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from evergreen.comparison import Comparison
from evergreen.errors import DataUnusable
from evergreen.monitor_spec import RetrainCost
from evergreen.replay.check import Watch, check, watch, without_reports
from evergreen.replay.plan import Stop, stops
from evergreen.replay.results import Broken, Checked, Event, Money, Replay, Retrained, Served, Totals
from evergreen.replay.retrain import retrain
from evergreen.replay.score import score
from evergreen.replay.served import served
from evergreen.results import PinnedModel, Release, from_json
from evergreen.steps.memory import need
from evergreen.watch_results import RetrainRequest
from evergreen.workspace import Workspace

FIRST = "first champion of the replay"
SCHEDULED = "scheduled"
NOTES = (
    "the first champion is trained as of the replay's begin; who really served and what was really "
    "answered is left aside",
    "fitness to serve (size, latency, files that load) is not replayed: every model counts as fit",
    "a retrain takes no time: what it promotes serves from its as-of on",
    "rows and labels are those that the source gives today, not as they stood at the time",
)

Progress = Callable[[datetime, str], None]


def play(
    workspace: Workspace,
    policy: str,
    model: PinnedModel,
    start: datetime,
    end: datetime,
    *,
    by: Watch = watch,
    cost: RetrainCost | None = None,
    progress: Progress = lambda _at, _what: None,
) -> Replay:
    """Return what the policy would have done from `start` to `end`, and what that was worth.

    Args:
        workspace: A scratch workspace of this policy alone.
        policy: What the policy is called, for people.
        model: The model file, whose schedules and watch are the policy.
        start: As-of of the first champion; rows from then on are scored.
        end: The last instant at which anything comes due.
        by: What makes a check.
        cost: In which money retrains and loss are counted; None: in none.
        progress: Called before each thing that is done, with its instant.

    Raises:
        DataUnusable: no first champion can be trained, or the gate releases none.
        EvergreenError: a retryable one: the source did not answer, say.
    """
    model = without_reports(model)
    progress(start, "first training")
    first = retrain(workspace, model, start, "first", FIRST)
    if first.outcome != "promoted":
        raise DataUnusable(
            f"there is no champion to begin with: {first.words}",
            where=f"{policy}, as of {start:%Y-%m-%d %H:%M}",
            fix="choose a later --from, with enough rows before it for a train and a test window",
        )
    events: list[Event] = [first]
    for stop in stops(model.spec, start, end):
        events += _at(workspace, model, stop, by, progress)
    progress(end, "what served")
    months, whole = served(workspace, model, start, end)
    level, totals = _level(workspace, model), _totals(events)
    higher = model.spec.gate.higher_is_better
    return Replay(
        model=model.spec.name,
        policy=policy,
        start=start,
        end=end,
        metric=model.spec.gate.metric_name,
        higher_is_better=higher,
        level=level,
        events=tuple(events),
        months=months,
        whole=whole,
        totals=totals,
        money=None if cost is None else _money(cost, totals, whole, level, higher_is_better=higher),
        notes=NOTES,
    )


def _at(
    workspace: Workspace, model: PinnedModel, stop: Stop, by: Watch, progress: Progress
) -> list[Event]:
    """Do what is due at a stop: score, check, and retrain once where it is due or asked for."""
    events: list[Event] = []
    for window in stop.rows:
        progress(window.end, "scoring")
        broken = score(workspace, model, window)
        events += [broken] if broken else []
    asked: RetrainRequest | None = None
    if "check" in stop.due:
        progress(stop.at, "check")
        checked, asked = check(workspace, model, stop.at, by)
        events.append(checked)
    if asked is not None:
        progress(stop.at, "retrain")
        events.append(retrain(workspace, model, asked.as_of, "alarm", asked.reason))
    elif "retrain" in stop.due:
        progress(stop.at, "retrain")
        events.append(retrain(workspace, model, stop.at, "schedule", SCHEDULED))
    return events


def _level(workspace: Workspace, model: PinnedModel) -> float | None:
    """Return the metric that the first champion reached on its test window."""
    entry = next(workspace.ledger.entries(model=model.spec.name, kind="release"))
    first = from_json(Release, entry.body)
    return need(workspace, "comparison", first.run_key, Comparison).evidence.over_baseline.value


def _totals(events: Sequence[Event]) -> Totals:
    checks = [one for one in events if isinstance(one, Checked)]
    alarms = [one for one in checks if one.answer == "alarm"]
    retrains = [one for one in events if isinstance(one, Retrained) and one.cause != "first"]
    return Totals(
        checks=len(checks),
        alarms=len(alarms),
        unjudged=sum(one.answer == "not enough data" for one in checks),
        retrains=len(retrains),
        retrains_by_alarm=sum(one.cause == "alarm" for one in retrains),
        promotions=sum(one.outcome == "promoted" for one in retrains),
        waited=sum(one.action == "wait" for one in alarms),
        held=sum(one.action == "hold" for one in alarms),
        broken=sum(isinstance(one, Broken) for one in events),
    )


def _money(
    cost: RetrainCost, totals: Totals, whole: Served, level: float | None, *, higher_is_better: bool
) -> Money | None:
    """Return the cost; None where nothing can be said of the loss."""
    if whole.value is None or level is None:
        return None
    worse = level - whole.value if higher_is_better else whole.value - level
    retrains, staleness = totals.retrains * cost.retrain, worse * whole.labelled * cost.loss
    return Money(retrains, staleness, retrains + staleness)
