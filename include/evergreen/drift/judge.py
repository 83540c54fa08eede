"""Judge what a check measured, within the owner's budget of false alarms.

A level alarms where chance alone would go that far too rarely for its part of the budget and, for
features and predictions, where enough rows lie elsewhere to matter. Nothing is measured here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from evergreen.amounts import Margin
from evergreen.drift import words
from evergreen.drift.budget import begins_per_check, parts
from evergreen.drift.chance import p_value, threshold
from evergreen.drift.persistence import chance_per_check, correlation
from evergreen.monitor_spec import Level, Monitor
from evergreen.performance.sequential import excess_in, judge_series
from evergreen.rates import DAYS_A_YEAR
from evergreen.watch_results import (
    Answer,
    Drifted,
    Finding,
    HealthFinding,
    LossSeries,
    Observation,
    Verdict,
)

LEVELS: tuple[Level, ...] = ("health", "loss", "estimated_loss", "prediction", "features")
MOST_QUIET = 10
"""How many quiet findings a verdict keeps."""
_ANY = 0.01
_RANK: dict[Answer, int] = {"alarm": 0, "not enough data": 2, "quiet": 1}


def judge(observation: Observation, monitor: Monitor, gate_margin: Margin) -> Verdict:
    """Return what the check came to.

    Args:
        observation: What was measured.
        monitor: The owner's rules.
        gate_margin: How much worse than proven is no harm, where `monitor.loss_margin` says nothing.
    """
    drifts: dict[Level, tuple[Drifted, ...]] = {
        "prediction": observation.predictions,
        "features": tuple(one for one in observation.features if one.column not in monitor.ignore),
    }
    series: dict[Level, LossSeries] = {}
    if observation.loss is not None:
        series["loss"] = observation.loss
    if observation.estimated is not None:
        series["estimated_loss"] = observation.estimated
    margin = monitor.loss_margin or gate_margin
    yearly = observation.checks_a_year

    def judged(level: Level, budget: float) -> Finding:
        return judge_series(series[level], level, budget, margin, yearly / DAYS_A_YEAR)[0]

    # Whether there is enough data does not depend on the budget, which depends on who can speak.
    speaking = [level for level in series if judged(level, _ANY).answer != "not enough data"]
    speaking += [
        level for level, each in drifts.items() if any(_lacking(d, monitor) is None for d in each)
    ]
    budget = begins_per_check(monitor.false_alarms, yearly, speaking)
    found = [
        *_health(observation, budget["health"], yearly),
        *(replace(judged(level, budget.get(level, _ANY)), weight=1.0) for level in series),
    ]
    for level, columns in drifts.items():
        found += _drifts(level, columns, budget.get(level, 0.0), observation, monitor)
    excess = {
        level: excess_in(series[level], observation.window) for level in series if level in speaking
    }
    return _verdict(observation, found, excess)


def _lacking(one: Drifted, monitor: Monitor) -> str | None:
    """Return why a column cannot be judged."""
    if one.problem is not None:
        return one.problem
    if one.value is None or one.moved is None or one.chance is None:
        return "it was not measured"
    if one.window_rows < monitor.min_rows:
        return f"{one.window_rows} values, fewer than the {monitor.min_rows} of monitor.min_rows"
    return None


def _drifts(
    level: Level,
    columns: Sequence[Drifted],
    budget: float,
    observation: Observation,
    monitor: Monitor,
) -> Iterable[Finding]:
    """Yield what is to be said of each column of a level."""
    lacking = [_lacking(one, monitor) for one in columns]
    told = [one for one, why in zip(columns, lacking, strict=True) if why is None]
    for one, why in zip(columns, lacking, strict=True):
        if why is not None:
            yield _unmeasured(level, one, why)
    for one, part in zip(told, parts([one.importance for one in told]) if told else [], strict=True):
        yield _drift(level, one, part, budget * part, observation, monitor)


def _drift(
    level: Level,
    one: Drifted,
    part: float,
    begins: float,
    observation: Observation,
    monitor: Monitor,
) -> Finding:
    assert one.chance is not None
    assert one.value is not None
    assert one.moved is not None
    alike = correlation(observation.overlap, one.baseline_rows, one.window_rows)
    bar = threshold(one.chance, chance_per_check(one.chance, one.distance, begins, alike))
    answer: Answer = "alarm" if one.value > bar and one.moved >= monitor.min_effect else "quiet"
    years = 1 / (begins * observation.checks_a_year)
    return Finding(
        level=level,
        subject=one.column,
        measure=one.distance,
        value=one.value,
        threshold=bar,
        p_value=p_value(one.chance, one.value),
        years=years,
        answer=answer,
        words=words.drifted(one, bar, years, monitor.min_effect, answer),
        weight=part * one.moved,
    )


def _unmeasured(level: Level, one: Drifted, why: str) -> Finding:
    return Finding(
        level=level,
        subject=one.column,
        measure=one.distance,
        value=one.value,
        threshold=None,
        p_value=None,
        years=None,
        answer="not enough data",
        words=words.unmeasured(one.column, why),
        weight=one.importance,
    )


def _health(observation: Observation, budget: float, yearly: float) -> Iterable[Finding]:
    """Yield what is to be said of the data itself. Every column could be missing, or unseen."""
    allowed = budget / max(1, 2 * len(observation.features))
    for one in observation.health:
        p = None if one.chance is None else p_value(one.chance, one.value)
        yield Finding(
            level="health",
            subject=one.subject,
            measure=one.kind,
            value=one.value,
            threshold=one.limit,
            p_value=p,
            years=None if p is None else 1 / (allowed * yearly),
            answer="alarm" if _broken(one) and (p is None or p <= allowed) else "quiet",
            words=one.words,
            weight=1.0,
        )


def _broken(one: HealthFinding) -> bool:
    return one.value < one.limit if one.kind == "volume" else one.value > one.limit


def _verdict(
    observation: Observation, found: Sequence[Finding], excess: dict[Level, float | None]
) -> Verdict:
    levels = tuple((level, _answer(level, observation, found)) for level in LEVELS)
    alarmed = [level for level, each in levels if each == "alarm"]
    alarms = _sorted([one for one in found if one.answer == "alarm"])
    rest = _sorted([one for one in found if one.answer != "alarm"])
    answer: Answer = "quiet"
    if alarmed:
        answer = "alarm"
    elif all(each == "not enough data" for level, each in levels if level != "health"):
        answer = "not enough data"
    realised = excess.get("loss")
    return Verdict(
        run_key=observation.run_key,
        as_of=observation.as_of,
        window=observation.window,
        version=observation.version,
        answer=answer,
        spoke=alarmed[0] if alarmed else None,
        levels=levels,
        findings=(*alarms, *rest[:MOST_QUIET]),
        words=words.verdict(
            answer, observation.rows, alarms, _lacks(observation, rest), observation.notes
        ),
        rows=observation.rows,
        rows_a_day=observation.rows_a_day,
        excess_loss=realised if realised is not None else excess.get("estimated_loss"),
        excess_is_estimate=realised is None and excess.get("estimated_loss") is not None,
    )


def _answer(level: Level, observation: Observation, found: Sequence[Finding]) -> Answer:
    """Return a level's answer: an alarm of any of its findings, else quiet if any could be judged."""
    answers = {one.answer for one in found if one.level == level}
    if "alarm" in answers:
        return "alarm"
    if level == "health" and level not in dict(observation.problems):
        return "quiet"
    return "quiet" if "quiet" in answers else "not enough data"


def _lacks(observation: Observation, rest: Sequence[Finding]) -> list[tuple[Level, str]]:
    """Return what could not be judged, and why: whole levels first, then single columns."""
    return [
        *observation.problems,
        *((one.level, one.words) for one in rest if one.answer == "not enough data"),
    ]


def _sorted(found: Iterable[Finding]) -> list[Finding]:
    """Return findings, those that matter most first."""
    return sorted(
        found, key=lambda one: (_RANK[one.answer], LEVELS.index(one.level), -one.weight, one.subject)
    )
