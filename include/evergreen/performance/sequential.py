"""Judges whether the champion's loss has risen above the level it was proven at, check after check.

At each check the last 1, 2, 4, 7, 14 … days are held against the days of the proof, and the window that
least looks like chance speaks. Short windows find great harm at once, long ones small harm in the end:
the scan of Siegmund and Venkatraman (Annals of Statistics 23, 1995), which is Page's CUSUM (Biometrika
41, 1954) for a harm of unknown size. A CUSUM takes level and spread as known; here both are learnt from
few days, whose weekday rhythm and memory are unknown, too, and each window's score allows for that:
see `natural_days.py`.

The aim is for every check: where nothing has become worse by more than the margin, no more false alarms
begin than are allowed, however many checks there were. It is reached where days are independent, have a
weekday rhythm or are skewed; `tests/benchmarks/watch_loss.py` measures by how much it is missed where
days carry over or have heavy tails. An alarm stays until the days are good again; one that lasts is one.
"""

from __future__ import annotations

import math

from evergreen.amounts import Margin
from evergreen.evidence.numbers import counted, places, short, trimmed
from evergreen.monitor_spec import Level
from evergreen.performance.scan import (
    FEWEST_ROWS,
    MOST_ALLOWED,
    Look,
    bar_of,
    factor_of,
    looks_of,
    scale_of,
    weights_of,
)
from evergreen.rates import DAYS_A_YEAR, how_rarely
from evergreen.watch_results import Finding, LossSeries
from evergreen.window import Window

FEWEST_PROOF_DAYS = 5
BLIND = (
    "; this is an estimate from the model's own confidence, which is blind to a change of what the "
    "label depends on"
)


def judge_series(
    series: LossSeries,
    level: Level,
    false_alarms_per_check: float,
    margin: Margin,
    checks_a_day: float,
) -> tuple[Finding, float | None]:
    """Return what is to be said of the champion's loss, and how much worse it is per row.

    Args:
        series: The loss by day since the release, and that of the days it was proven on.
        level: `loss` or `estimated_loss`.
        false_alarms_per_check: How many false alarms may begin a check.
        margin: How much worse than proven is no harm; a share is of the level.
        checks_a_day: How often this is asked; 0: nobody knows, and every alarm counts as begun.

    Returns:
        The finding; and the excess loss per row in the metric's unit, positive where worse: that of the
        window that speaks, which is the worst of several and so a little too high. None where there is
        not enough data.
    """
    lacking = _lacking(series)
    if lacking is not None:
        return _not_enough(series, level, lacking), None
    scale = scale_of(series)
    slack = margin.amount * abs(series.level) if margin.relative else margin.amount
    try:
        seen = looks_of(series, scale, slack)
    except ValueError as exc:
        return _not_enough(series, level, str(exc)), None
    if not seen:
        return _not_enough(series, level, f"no window of days has {FEWEST_ROWS} rows"), None
    allowed = min(false_alarms_per_check, MOST_ALLOWED)
    between = round(1 / checks_a_day, 3) if checks_a_day > 0 else math.inf
    factor = factor_of(seen, len(series.level_days), allowed, between)
    worst = min(seen, key=lambda look: look.p_value)
    p_value = min(1.0, factor * worst.p_value)
    value, threshold = (scale.value(loss) for loss in (worst.loss, bar_of(worst, allowed / factor)))
    excess = worst.loss - scale.value(usual_level(series))
    years = 1 / (allowed * checks_a_day * DAYS_A_YEAR) if checks_a_day > 0 else None
    return (
        Finding(
            level=level,
            subject=series.metric,
            measure=f"mean of the last {counted(worst.days, 'day')}",
            value=value,
            threshold=threshold,
            p_value=p_value,
            years=years,
            answer="alarm" if p_value <= allowed else "quiet",
            words=_words(series, worst, value, threshold, excess, slack, years),
        ),
        excess,
    )


def usual_level(series: LossSeries) -> float:
    """Return the metric's mean over the days of the proof, each counting as it does in the test."""
    weights = weights_of(series.level_days, series.level_days)
    values = [day.value for day in series.level_days]
    return float(weights @ values / weights.sum())


def excess_in(series: LossSeries, window: Window) -> float | None:
    """Return how much worse than usual a window's rows are on average; None where it has none.

    The verdict rests on the worst of many windows, which is no fair guess of what is to come; the
    check's own window is.
    """
    days = [one for one in series.days if window.start.date() <= one.day <= window.end.date()]
    rows = sum(one.rows for one in days)
    if not rows:
        return None
    apart = sum(one.value * one.rows for one in days) / rows - usual_level(series)
    return -apart if series.higher_is_better else apart


def _lacking(series: LossSeries) -> str | None:
    """Return what there is too little of, or None."""
    labels = "rows that wait for their label" if series.estimate else "labelled rows"
    rows = sum(day.rows for day in series.days)
    if not rows:
        return f"there are no {labels} of this champion yet"
    if rows < FEWEST_ROWS:
        return f"there are {rows} {labels} of this champion, fewer than {FEWEST_ROWS}"
    if len(series.level_days) < FEWEST_PROOF_DAYS:
        days = counted(len(series.level_days), "day")
        return (
            f"the level was proven on {days}, fewer than {FEWEST_PROOF_DAYS}: too few to say how much "
            "days differ by themselves"
        )
    return None


def _not_enough(series: LossSeries, level: Level, why: str) -> Finding:
    return Finding(
        level=level,
        subject=series.metric,
        measure="mean by day",
        value=None,
        threshold=None,
        p_value=None,
        years=None,
        answer="not enough data",
        words=f"{series.metric} cannot be judged: {why}",
    )


def _words(
    series: LossSeries,
    look: Look,
    value: float,
    threshold: float,
    excess: float,
    slack: float,
    years: float | None,
) -> str:
    usual = usual_level(series)
    decimals = max(places(excess), places(threshold - usual))
    now, then, bar, apart = (trimmed(n, decimals) for n in (value, usual, threshold, abs(excess)))
    said = "is estimated at" if series.estimate else "is"
    direction = "worse" if excess > 0 else "better"
    exceeds = "falls below" if series.higher_is_better else "exceeds"
    allowance = f", with a margin of {short(slack)}," if slack else ""
    rarely = f" {how_rarely(years)}" if years is not None else " hardly ever"
    return (
        f"{series.metric} {said} {now} over the last {counted(look.days, 'day')} "
        f"({counted(look.rows, 'row')}), {apart} {direction} than the {then} of the days it was proven "
        f"on; chance alone{allowance} {exceeds} {bar}{rarely}{BLIND if series.estimate else ''}"
    )
