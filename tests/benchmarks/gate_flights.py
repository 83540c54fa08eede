"""A year of monthly retrains on real flights: `python -m tests.benchmarks.gate_flights`.

The demo's `flight_delay` (its query, features, estimator and gate; log-loss) on the flights that left
New York in 2013. In each month from March to December a challenger, trained on earlier months only, is
judged on that month against the champion of then, and what wins serves *from the next month on*: a month
is always scored with the champion that served when it began. The first champion is January's model.
Challengers are trained on the month before alone, or on all months before. Nothing is refitted after a
win, labels are taken as known when the month ends, and each policy writes a history of its own.

*Always* promotes every challenger, *better* every one that scored better, *never* stays with January's
model.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.benchmarks.gate_flights_years import Year, measure
from tests.benchmarks.trials import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    VERMILION,
    canvas,
    run,
    save,
    table,
    verdict,
)

NAMES = ("", "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
NOVEMBER = 11


def markdown(figures: list[Year]) -> str:
    """Return the figures as Markdown."""
    parts = [
        "Mean log-loss of a flight, March to December, under the champion that served:",
        table(
            ["policy", *dict.fromkeys(one.window for one in figures), "both", "promotions"],
            [_policy_row(policy, figures) for policy in dict.fromkeys(one.policy for one in figures)],
        ),
    ]
    for one in figures:
        if one.policy in (figures[0].policy, "gate, superiority 0"):
            parts += [f"Trained on {one.window}, {one.policy}:", _months(one)]
    return "\n\n".join([*parts, *_claims(figures)])


def _policy_row(policy: str, figures: list[Year]) -> list[object]:
    years = [one for one in figures if one.policy == policy]
    promotions = " and ".join(str(sum(month.promoted for month in one.months)) for one in years)
    return [policy, *(f"{one.loss:.4f}" for one in years), f"{_both(years):.4f}", promotions]


def _both(years: list[Year]) -> float:
    """Return the mean log-loss over years of the same months."""
    return sum(one.loss for one in years) / len(years)


def _months(one: Year) -> str:
    body = []
    for month in one.months:
        interval = month.comparison.against.interval
        assert interval is not None
        champion = month.comparison.evidence.over_champion
        failed = [c.name for c in month.comparison.checks if c.verdict in ("failed", "inconclusive")]
        assert champion is not None
        body.append(
            [
                NAMES[month.month],
                _span(month.served),
                f"{month.loss:.4f}",
                f"{month.challenger_loss:.4f}",
                f"{interval.estimate:+.4f} ({interval.low:+.4f} to {interval.high:+.4f})",
                month.comparison.decision + (f" ({', '.join(failed)})" if failed else ""),
            ]
        )
    return table(
        ["month", "champion learnt from", "champion", "challenger", "difference (95%)", "answer"], body
    )


def _span(span: tuple[int, int]) -> str:
    first, last = span
    return NAMES[first] if first == last else f"{NAMES[first]} to {NAMES[last]}"


def _claims(figures: list[Year]) -> list[str]:
    claims = []
    both = {
        policy: _both([one for one in figures if one.policy == policy])
        for policy in dict.fromkeys(one.policy for one in figures)
    }
    for policy, loss in both.items():
        if policy.startswith("gate"):
            claims.append(
                verdict(
                    loss <= min(both["always"], both["never"]),
                    f"no worse than always and never promoting, for an owner who does not know which "
                    f"window is the right one (both years together), {policy}: served log-loss "
                    f"{loss:.4f}, always {both['always']:.4f}, never {both['never']:.4f}.",
                )
            )
    for window in dict.fromkeys(one.window for one in figures):
        years = {one.policy: one for one in figures if one.window == window}
        rivals = {name: years[name].loss for name in ("always", "never")}
        for policy, one in years.items():
            if policy.startswith("gate"):
                claims.append(
                    verdict(
                        one.loss <= min(rivals.values()),
                        f"no worse than always and never promoting, trained on {window}, {policy}: "
                        f"served log-loss {one.loss:.4f}, always {rivals['always']:.4f}, never "
                        f"{rivals['never']:.4f}.",
                    )
                )
        if window == "one month":
            claims += _kept(years, NOVEMBER, NOVEMBER - 1) + _kept(years, NOVEMBER + 1, NOVEMBER)
        claims.append(_why(window, years))
    return claims


def _kept(years: dict[str, Year], judged: int, learnt: int) -> list[str]:
    """Say of each gate whether it kept out what was learnt from one month and judged in another."""
    return [
        verdict(
            not any(month.promoted for month in one.months if month.month == judged),
            f"the model of {NAMES[learnt]} alone, judged in {NAMES[judged]}, is kept out by {policy}.",
        )
        for policy, one in years.items()
        if policy.startswith("gate")
    ]


def _why(window: str, years: dict[str, Year]) -> str:
    """Say where the model file's own gate lost, which is what decides the claims above."""
    own, never, always = (years[name] for name in (next(iter(years)), "never", "always"))
    behind = [
        (month.rows * (month.loss - other.loss), month, other)
        for month, other in zip(own.months, never.months, strict=True)
    ]
    most, month, other = max(behind, key=lambda each: each[0])
    ahead = sum(one.challenger_loss < one.loss for one in always.months)
    words = (
        f"Trained on {window}, the challenger scores better than the model before it in {ahead} of "
        f"{len(always.months)} months."
    )
    if most > 0:
        words += (
            f" The file's gate falls farthest behind January's model in {NAMES[month.month]}, where "
            f"{_span(month.served)}'s serves ({month.loss:.4f} against {other.loss:.4f}): a test on the "
            "month that is over cannot know the next one."
        )
    if own.loss > always.loss:
        words += f" Waiting for proof costs {own.loss - always.loss:.4f} a flight against *always*."
    return words


def draw(figures: list[Year], path: Path) -> None:
    """Draw what each policy's champion costs, month by month, against never promoting."""
    figure, rows = canvas(height=3.6, ncols=2, sharey=True)
    looks = dict(
        zip(
            dict.fromkeys(one.policy for one in figures),
            (
                (BLUE, "o", "-"),
                (GREEN, "^", "-"),
                (PURPLE, "v", "-"),
                (ORANGE, "s", "--"),
                (VERMILION, "D", "--"),
                (GREY, "", ":"),
            ),
            strict=True,
        )
    )
    for axes, window in zip(rows, dict.fromkeys(one.window for one in figures), strict=True):
        years = {one.policy: one for one in figures if one.window == window}
        never = [month.loss for month in years["never"].months]
        for policy, one in years.items():
            colour, marker, style = looks[policy]
            gained = [month.loss - loss for month, loss in zip(one.months, never, strict=True)]
            total = np.cumsum(
                [month.rows * gain for month, gain in zip(one.months, gained, strict=True)]
            )
            axes.plot(
                range(len(gained)),
                total,
                color=colour,
                marker=marker,
                linestyle=style,
                markersize=5,
                label=policy if axes is rows[0] else None,
            )
        axes.set_xticks(range(len(never)), [NAMES[month.month] for month in years["never"].months])
        axes.set_title(f"trained on {window}", fontsize=10)
    rows[0].set_ylabel("log-loss against\nJanuary's model, summed")
    figure.legend(loc="outside lower center", ncols=3)
    figure.suptitle("A year of retrains: what the served champion cost", x=0.01, ha="left")
    save(figure, path)


if __name__ == "__main__":
    run(measure, markdown, draw, __doc__, 1)
