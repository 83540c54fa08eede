"""The gate's reasoning as a person would say it. Values in, sentences out: nothing is decided here.

What each check answered stands in `Check.words`, numbers and all; here the answers are put in the
order in which a person asks, below the answer itself and with what they rest on.
"""

from __future__ import annotations

from collections.abc import Iterator

from evergreen.comparison import CheckName, Comparison
from evergreen.evidence import particulars
from evergreen.evidence.headline import (
    CONSTANT,
    FOREMOST,
    LONGEST_SENTENCE,
    champion_of,
    clusters_of,
    has_margin,
    headline,
    sentence,
)
from evergreen.evidence.numbers import (
    better_or_worse,
    counted,
    improvement,
    short,
    spread,
    trimmed,
)
from evergreen.results import Refit
from evergreen.text import plain

MOST_LINES_OF_A_CHECK = 5
MOST_NOTES = 10

__all__ = ["headline", "refitted", "sentences"]


def sentences(comparison: Comparison) -> tuple[str, ...]:
    """Return the reasoning: the answer first, then what it was judged on and what was found.

    Each has at most 300 characters; longer lists are cut and say so.
    """
    return tuple(sentence(text) for text in _reasoning(comparison))


def refitted(refit: Refit) -> tuple[str, ...]:
    """Return what became of training once more: which model was tested, and which is shipped."""
    shipped = refit.candidate
    until = f", up to {shipped.trained_on.end:%Y-%m-%d}" if shipped.trained_on else ""
    rows = counted(shipped.rows_trained, "row")
    fate = "That is what is released." if refit.accepted else "It is not released."
    return (
        sentence(
            f"Candidate {refit.tested[:12]} was tested and won; then the same recipe was trained once "
            f"more with the test rows: candidate {shipped.key[:12]}, {rows}{until}. {fate}"
        ),
        *_answer(refit.words),
        sentence(f"To serve it: {particulars.serving(refit.serving)}"),
    )


def _reasoning(comparison: Comparison) -> Iterator[str]:
    yield headline(comparison)
    yield _judged_on(comparison)
    yield _rule(comparison)
    yield _values(comparison)
    answers = {check.name: check for check in comparison.checks}
    for name in FOREMOST:
        if name in answers:
            yield from _answer(answers[name].words)
        yield from _behind(name, comparison)
    yield from particulars.first_of(comparison.notes, "note", MOST_NOTES)


def _behind(name: CheckName, comparison: Comparison) -> Iterator[str]:
    """Yield what was measured besides and does not stand in the check's own words."""
    match name:
        case "champion":
            yield from _champions_own(comparison)
        case "slices":
            yield from particulars.slices(comparison)
        case "fairness":
            yield from particulars.fairness(comparison)
        case "calibration":
            yield from particulars.calibration(comparison)


def _answer(words: str) -> tuple[str, ...]:
    """Return a check's words as sentences; a long list goes on in a further one."""
    pieces = plain(words, 10 * LONGEST_SENTENCE).split("; ")
    lines: list[str] = []
    for piece in pieces:
        longer = f"{lines[-1]}; {piece}" if lines else piece
        if lines and len(longer) < LONGEST_SENTENCE:
            lines[-1] = longer
        else:
            lines.append(piece)
    shown = [sentence(line) for line in lines[:MOST_LINES_OF_A_CHECK]]
    left = len(lines) - len(shown)
    return (*shown, f"And {left} more.") if left else tuple(shown)


def _judged_on(comparison: Comparison) -> str:
    evidence = comparison.evidence
    way = "higher" if comparison.higher_is_better else "lower"
    of = clusters_of(evidence.clusters, evidence.clustered_by)
    return (
        f"Judged on {counted(evidence.rows, 'row')}{f' of {of}' if of else ''} that none of the models "
        f"has learnt from, by {comparison.metric} ({way} is better)"
    )


def _rule(comparison: Comparison) -> str:
    sure = f"at {comparison.confidence * 100:.10g}% confidence"
    if comparison.evidence.over_champion is None:
        return f"The rule without a champion to compare with: {sure}, the new model beats {CONSTANT}"
    margin = comparison.margin
    if margin.endswith("%") and comparison.limit:
        margin += f" ({short(abs(comparison.limit))} here)"
    if comparison.policy == "superiority":
        by = f" by more than {margin}" if has_margin(comparison) else ""
        return f"The rule is superiority: {sure}, the new model must be better than the champion{by}"
    by = f" by {margin} or more" if has_margin(comparison) else ""
    return f"The rule is non-inferiority: {sure}, the new model must not be worse than the champion{by}"


def _values(comparison: Comparison) -> str:
    evidence = comparison.evidence
    against = comparison.against
    shown = spread(against.interval) if against.interval else 4
    over_trivial, last = evidence.over_baseline, evidence.over_last_period
    named = [("the new model", against.value)]
    if evidence.over_champion is not None:
        named.append((champion_of(comparison), evidence.over_champion.other))
    named.append((CONSTANT, over_trivial.other))
    values = ", ".join(f"{name} {_value(value, shown)}" for name, value in named)
    of_last = "" if last is None else f" (that of the last period: {_value(last.other, shown)})"
    return f"The metric of each: {values}{of_last}"


def _value(value: float | None, decimals: int) -> str:
    return "undefined" if value is None else trimmed(value, decimals)


def _champions_own(comparison: Comparison) -> Iterator[str]:
    """Yield whether the champion itself still beats the constant answer."""
    over = comparison.evidence.champion_over_baseline
    if over is None:
        return
    champion = champion_of(comparison)
    if over.interval is None:
        why = over.problem or "there is no interval"
        yield f"Whether {champion} itself beats {CONSTANT} cannot be said: {why}"
        return
    up = comparison.higher_is_better
    gain = improvement(over.interval, higher_is_better=up)
    how = (
        "still beats" if gain.low > 0 else "is worse than" if gain.high < 0 else "is not proven to beat"
    )
    told = better_or_worse(over.interval, higher_is_better=up)
    yield f"{champion} itself {how} {CONSTANT} on these rows: {told}"
