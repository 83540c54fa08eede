"""What the decision to retrain is worth: `python -m tests.benchmarks.watch_policy`.

Each stream is replayed by `evergreen.replay`, the same steps that an installation runs, under every
policy: whoever serves, serves rows that come after its training and its test. The loss is the mean of
the gate's metric over all rows from the first champion on; that champion is the same for every policy,
and so is the gate that each challenger must pass. Policies differ in when they retrain:

- *never*;
- *monthly*, at the first of each month;
- *PSI > 0.2*: each week, where any feature of the last 7 days has a PSI above 0.2 to the champion's
  training rows, at the baseline's bins; no cooldown;
- *ours*: each week, with the last 7 days and nothing but the defaults of a model file;
- *ours, loss only*: the same, with alarms of loss and of estimated loss alone.

Streams: the demo's `flight_delay` as its file has it, from May to December 2013 (log-loss); the weather
at New York's three airports in 2013, the temperature six hours later (absolute error), from March on;
and three generated ones of a year each, 200 rows a day with a rhythm of weekdays in a category and a
number: one where nothing changes, one where two coefficients of the label change places after 13 weeks,
back after 26 and again after 39, and one where they do so slowly over the whole year. Features never
change but by the weekday. Trained on 8 weeks, tested on the next 2; the flights on 3 months and 1.

The generated figures are means over `--trials` streams. The policies' settings were written down before
the first run. One rule was changed after a run had shown what it does, and the streams are those that
showed it: after retrains in vain another is tried after twice the cooldown, not after four times.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import numpy as np

from evergreen.connections import from_environment
from evergreen.monitor_spec import Monitor
from evergreen.replay.check import REASON, Watch, run_key_of, watch
from evergreen.replay.play import play
from evergreen.replay.results import Replay
from evergreen.replay.scratch import scratch
from evergreen.results import PinnedModel
from evergreen.settings import Settings
from evergreen.steps.requests import ask
from evergreen.watch_results import RetrainDecision, RetrainRequest, Verdict
from evergreen.workspace import Workspace
from tests.benchmarks.trials import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    VERMILION,
    canvas,
    in_processes,
    run,
    save,
    table,
    verdict,
)
from tests.benchmarks.watch_policy_streams import GENERATED, QUIET, STREAMS, Task

PSI_LIMIT = 0.2
MONTHLY = "0 6 1 * *"
WEEKLY = "0 6 * * 1"
OURS = ("ours", "ours, loss only")


@dataclass(frozen=True, slots=True)
class Outcome:
    """One stream under one policy, by month; `rows` and `losses` run over its months."""

    stream: str
    policy: str
    metric: str
    loss: float
    retrains: int
    promotions: int
    alarms: int
    checks: int
    rows: tuple[int, ...]
    losses: tuple[float, ...]


def measure(trials: int) -> list[Outcome]:
    """Return every stream under every policy; the means over the trials of a generated one."""
    tasks = [Task(name, 0) for name in ("flights", "weather")]
    tasks += [Task(name, trial) for trial in range(trials) for name in GENERATED]
    found = [one for outcomes in in_processes(replays, tasks) for one in outcomes]
    keys = dict.fromkeys((one.stream, one.policy) for one in found)
    return [_mean([o for o in found if (o.stream, o.policy) == key]) for key in keys]


def replays(task: Task) -> list[Outcome]:
    """Replay one stream under every policy."""
    with tempfile.TemporaryDirectory() as folder:
        stretch = STREAMS[task.stream](Path(folder), task)
        settings = Settings.from_environment({"EVERGREEN_HOME": folder})
        outcomes = []
        with scratch(settings, from_environment) as shared:
            for name, (model, by) in policies(stretch.model).items():
                with shared.workspace(f"policy-{len(outcomes)}") as workspace:
                    found = play(workspace, name, model, stretch.start, stretch.end, by=by)
                outcomes.append(_outcome(task.stream, found))
    return outcomes


def policies(model: PinnedModel) -> dict[str, tuple[PinnedModel, Watch]]:
    """Return each policy: the model file with its schedule and watch, and what makes its checks."""
    defaults = Monitor.model_validate({"schedule": WEEKLY, "window": "7 days"})
    loss_only = Monitor.model_validate(
        {
            "schedule": WEEKLY,
            "window": "7 days",
            "retrain": {"on": ["loss", "estimated_loss"]},
        }
    )

    def under(schedule: str | None, monitor: Monitor | None) -> PinnedModel:
        changes = {"schedule": schedule, "monitor": monitor, "score": None}
        return replace(model, spec=model.spec.model_copy(update=changes))

    return {
        "never": (under(None, None), watch),
        "monthly": (under(MONTHLY, None), watch),
        "PSI > 0.2": (under(None, defaults), psi_trigger),
        OURS[0]: (under(None, defaults), watch),
        OURS[1]: (under(None, loss_only), watch),
    }


def psi_trigger(
    workspace: Workspace, model: PinnedModel, as_of: datetime
) -> tuple[Verdict, RetrainDecision]:
    """Ask for a retrain where any feature's PSI is above the limit, whatever was asked before."""
    from evergreen.steps.watch.measure import measure as measured
    from evergreen.steps.watch.profile import profile

    key = run_key_of(model, as_of)
    profile(workspace, key, model, as_of, REASON)
    observation = measured(workspace, key)
    over = [one.column for one in observation.features if (one.psi or 0.0) > PSI_LIMIT]
    words = (f"PSI above {PSI_LIMIT}: {', '.join(over)}",) if over else ()
    answer, spoke = ("alarm", "features") if over else ("quiet", None)
    judged = Verdict(key, as_of, observation.window, observation.version, answer, spoke, (), (), words)
    lease = workspace.ledger.acquire(model.spec.name, key, "monitor")
    try:
        if not over:
            return judged, RetrainDecision(key, as_of, "wait", ("wait: no PSI is above the limit",))
        request = ask(workspace, RetrainRequest(key, as_of, words[0], "PSI"), lease)
    finally:
        workspace.ledger.free(lease)
    return judged, RetrainDecision(key, as_of, "retrain", (f"retrain: {words[0]}",), request)


def _outcome(stream: str, found: Replay) -> Outcome:
    assert found.whole.value is not None
    months = [month for month in found.months if month.value is not None]
    return Outcome(
        stream,
        found.policy,
        found.metric,
        found.whole.value,
        found.totals.retrains,
        found.totals.promotions,
        found.totals.alarms,
        found.totals.checks,
        tuple(month.labelled for month in months),
        tuple(month.value for month in months if month.value is not None),
    )


def _mean(found: list[Outcome]) -> Outcome:
    def mean(values: Iterator[float]) -> float:
        return float(np.mean(list(values)))

    return replace(
        found[0],
        loss=mean(o.loss for o in found),
        retrains=mean(o.retrains for o in found),
        promotions=mean(o.promotions for o in found),
        alarms=mean(o.alarms for o in found),
        losses=tuple(np.mean([o.losses for o in found], axis=0).tolist()),
    )


def markdown(figures: list[Outcome]) -> str:
    """Return the figures as Markdown."""
    parts = []
    for stream, of in _by_stream(figures).items():
        monthly = of["monthly"]
        body = [
            [
                policy,
                f"{one.loss:.4f}",
                f"{100 * (one.loss / monthly.loss - 1):+.2f}%",
                f"{one.retrains:.3g}",
                f"{one.promotions:.3g}",
                f"{one.alarms:.3g} of {one.checks}" if one.checks else "-",
            ]
            for policy, one in of.items()
        ]
        head = [stream, f"mean {monthly.metric}", "to monthly", "retrains", "promotions", "alarms"]
        parts.append(table(head, body))
    return "\n\n".join([*parts, *_claims(figures)])


def _by_stream(figures: list[Outcome]) -> dict[str, dict[str, Outcome]]:
    streams: dict[str, dict[str, Outcome]] = {}
    for one in figures:
        streams.setdefault(one.stream, {})[one.policy] = one
    return streams


def _claims(figures: list[Outcome]) -> list[str]:
    claims = []
    for stream, of in _by_stream(figures).items():
        monthly = of["monthly"]
        for policy in OURS:
            ours = of[policy]
            told = (
                f"{policy} {ours.loss:.4f} with {ours.retrains:.3g} retrains, monthly "
                f"{monthly.loss:.4f} with {monthly.retrains:.3g}"
            )
            if stream == QUIET:
                holds = ours.loss <= monthly.loss and ours.retrains <= monthly.retrains / 2
                aim = "the loss of monthly or less with at most half of its retrains"
            else:
                holds, aim = ours.loss < monthly.loss, "less loss than monthly"
            claims.append(verdict(holds, f"{stream}: {aim}. {told}."))
    return claims


_LOOKS = {
    "never": (GREY, "X"),
    "monthly": (ORANGE, "s"),
    "PSI > 0.2": (VERMILION, "D"),
    OURS[0]: (BLUE, "o"),
    OURS[1]: (GREEN, "^"),
}


def draw(figures: list[Outcome], path: Path) -> None:
    """Draw loss against retrains, a panel for each stream."""
    streams = _by_stream(figures)
    figure, panels = canvas(width=11.0, height=3.2, ncols=len(streams))
    for axes, (stream, of) in zip(panels, streams.items(), strict=True):
        for policy, one in of.items():
            colour, marker = _LOOKS[policy]
            axes.plot(
                one.retrains,
                one.loss,
                color=colour,
                marker=marker,
                linestyle="",
                markersize=8,
                label=policy if axes is panels[0] else None,
            )
        axes.axhline(of["monthly"].loss, color=ORANGE, linewidth=0.8, linestyle=":")
        axes.set_title(stream, fontsize=10)
        axes.set_xlabel("retrains")
        axes.margins(0.2)
    panels[0].set_ylabel("mean loss")
    figure.legend(loc="outside lower center", ncols=len(_LOOKS))
    figure.suptitle(
        "What deciding when to retrain is worth (lower and to the left is better)", x=0.01, ha="left"
    )
    save(figure, path)


if __name__ == "__main__":
    run(measure, markdown, draw, __doc__, 3)
