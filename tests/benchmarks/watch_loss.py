"""How often the loss test is wrong, and when it sees harm: `python -m tests.benchmarks.watch_loss`.

A stream is 30 days of proof and, three days later, 60 days since the release, of a daily loss whose
level never changes: every alarm is false. Counted is how many begin at a check, over how many are
allowed; an alarm that stays is one. The weekly checks are those of every seventh day.

Then harm begins after 30 independent days: the loss rises by so many standard deviations of a day and
stays. A delay of 1 is an alarm on that day; power is the share of streams that alarm within 20 days;
streams in alarm on the day before are left out. Beside Evergreen stands a classical CUSUM, with mean and
deviation of the same 30 days; it takes off half a deviation a day, so it is made for harm of one. Its
threshold is tuned on other streams of independent days until it begins as many alarms a check as are
allowed, and once more until it begins as few as Evergreen does. "No harm" is what false alarms alone
look like by these measures.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tests.benchmarks.trials import BLUE, GREEN, GREY, ORANGE, canvas, percent, run, save, table, verdict
from tests.benchmarks.watch_loss_figures import (
    ALLOWED,
    CUSUM,
    CUSUM_AS_OURS,
    EQUAL,
    EVERY,
    HARMS,
    OURS,
    WITHIN,
    Figures,
    Rate,
    Seen,
    measure,
)
from tests.benchmarks.watch_loss_rules import (
    BOTH,
    HALF_CARRIED,
    HEAVY,
    INDEPENDENT,
    KINDS,
    RHYTHM,
    SKEWED,
)


def markdown(figures: Figures) -> str:
    """Return the figures as Markdown."""
    return "\n\n".join(
        [
            f"False alarms begun a check, over what is allowed; {figures.streams:,} streams a row, "
            f"standard errors at most {max(one.error for one in figures.rates if one.every == 1):.2f} "
            f"(weekly: {max(one.error for one in figures.rates if one.every == 7):.2f}):",
            _rates(figures.rates),
            *_promises(figures),
            f"Median delay in days and power within {WITHIN} days by harm in daily standard deviations, "
            f"{100 * EQUAL:g}% allowed; last, the false alarms begun a check over that:",
            _harms(figures),
            *_comparisons(figures),
        ]
    )


def _rates(rates: Sequence[Rate]) -> str:
    rows = {(kind, every): [f"{kind}{_pace(every)}"] for every in EVERY for kind in KINDS}
    for one in rates:
        rows[one.kind, one.every].append(f"{one.ratio:.2f}")
    return table(["the days are", *(f"allowed {100 * one:g}%" for one in ALLOWED)], list(rows.values()))


def _pace(every: int) -> str:
    return "" if every == 1 else "; weekly checks"


def _harms(figures: Figures) -> str:
    kinds = {"independent": INDEPENDENT, "half carried over": HALF_CARRIED}
    head = [
        "rule",
        *(f"{harm:g}" if harm else "no harm" for harm in HARMS),
        *(f"false alarms, {name}" for name in kinds),
    ]
    body = []
    for rule, rates in figures.equal.items():
        cells = [_cell(one) for one in figures.seen if one.rule == rule]
        body.append([rule, *cells, *(f"{rates[kind].ratio:.2f}" for kind in kinds.values())])
    return table(head, body)


def _cell(one: Seen) -> str:
    median = "never" if np.isinf(one.median) else f"{one.median:.0f}"
    return f"{median}, {percent(one.power)}"


def _promises(figures: Figures) -> list[str]:
    alike = (RHYTHM, HALF_CARRIED, BOTH)
    return [
        _kept(
            figures, "on independent days no more false alarms begin than are allowed", (INDEPENDENT,)
        ),
        _kept(figures, "on skewed days no more than are allowed", (SKEWED,)),
        *(
            _kept(
                figures,
                f"with a weekday rhythm, half carried over, or both, never above twice{_pace(every)}",
                alike,
                2.0,
                (every,),
            )
            for every in EVERY
        ),
        _kept(figures, "on days of heavy tails never above twice", (HEAVY,), 2.0),
        _kept(figures, "no more than are allowed, whatever the days are", tuple(KINDS)),
    ]


def _kept(
    figures: Figures,
    words: str,
    kinds: Sequence[str],
    most: float = 1.0,
    paces: Sequence[int] = EVERY,
) -> str:
    rates = [one for one in figures.rates if one.kind in kinds and one.every in paces]
    worst = max(rates, key=lambda one: one.ratio)
    beyond = [one for one in rates if one.ratio > most]
    sure = sum(one.ratio - 2 * one.error > most for one in beyond)
    lying = f"; {len(beyond)} of {len(rates)} lie beyond, {sure} by more than two standard errors"
    return verdict(not beyond, f"{words}. The most is {_named(worst)}{lying if beyond else ''}.")


def _named(one: Rate) -> str:
    return (
        f"{one.ratio:.2f} ± {2 * one.error:.2f} times ({_short(one.kind)}, {100 * one.allowed:g}%"
        f"{_pace(one.every)})"
    )


def _short(kind: str) -> str:
    return kind.partition(" (")[0]


def _comparisons(figures: Figures) -> list[str]:
    cells = {(one.rule, one.harm): one for one in figures.seen if one.harm}
    pairs = [(cells[OURS, peer.harm], peer) for peer in cells.values() if peer.rule != OURS]
    later = [_lost(peer) for ours, peer in pairs if peer.median < ours.median]
    weaker = [_lost(peer) for ours, peer in pairs if _beyond_chance(ours, peer)]
    ours, *peers = (rates[HALF_CARRIED].ratio for rates in figures.equal.values())
    return [
        verdict(
            not later,
            f"Evergreen's median delay is at most the CUSUM's in each of {len(pairs)} comparisons"
            f"{_list(later)}.",
        ),
        verdict(
            not weaker,
            f"its power is at least the CUSUM's in each, within two standard errors{_list(weaker)}.",
        ),
        verdict(
            ours <= min(peers),
            f"on days half carried over it begins fewer false alarms: {ours:.2f} times as many as "
            f"allowed, the CUSUM {' and '.join(f'{one:.2f}' for one in peers)}.",
        ),
    ]


def _list(lost: Sequence[str]) -> str:
    return f"; not beside {', '.join(lost)}" if lost else ""


def _lost(peer: Seen) -> str:
    return f"{peer.rule} (harm of {peer.harm:g})"


def _beyond_chance(ours: Seen, peer: Seen) -> bool:
    error = np.sqrt(sum(one.power * (1 - one.power) / one.streams for one in (ours, peer)))
    return bool(peer.power - ours.power > 2 * error)


def draw(figures: Figures, path: Path) -> None:
    """Draw false alarms by kind of days, and median delay and power by harm."""
    figure, (left, middle, right) = canvas(width=11.5, height=4.0, ncols=3, width_ratios=(5, 4, 4))
    _draw_rates(left, [one for one in figures.rates if one.every == 1])
    _draw_harms(middle, figures, lambda one: min(one.median, WITHIN + 1))
    _draw_harms(right, figures, lambda one: 100 * one.power)
    middle.set_ylabel("median delay, days")
    right.set_ylabel(f"found within {WITHIN} days, %")
    figure.legend(*right.get_legend_handles_labels(), loc="outside lower right", ncols=3)
    save(figure, path)


def _draw_rates(axes: Any, rates: Sequence[Rate]) -> None:
    places = np.arange(len(KINDS))
    for number, (allowed, colour) in enumerate(zip(ALLOWED, (BLUE, ORANGE, GREEN), strict=True)):
        of = [one for one in rates if one.allowed == allowed]
        axes.barh(
            places + 0.25 * (number - 1),
            [one.ratio for one in of],
            0.24,
            xerr=[2 * one.error for one in of],
            color=colour,
            error_kw={"elinewidth": 1, "ecolor": GREY},
            label=f"{100 * allowed:g}% allowed",
        )
    for times in (1.0, 2.0):
        axes.axvline(times, color=GREY, linestyle="--", linewidth=1)
    axes.set_xlim(left=0)
    axes.set_yticks(places, [_short(kind).replace(", ", ",\n") for kind in KINDS], fontsize=8)
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    axes.set_xlabel("false alarms begun, over the allowance")
    axes.legend(fontsize=8, loc="lower left", bbox_to_anchor=(-0.5, 1.0), ncols=3)


def _draw_harms(axes: Any, figures: Figures, value: Callable[[Seen], float]) -> None:
    for rule, colour, mark in ((OURS, BLUE, "o"), (CUSUM, ORANGE, "s"), (CUSUM_AS_OURS, GREEN, "^")):
        cells = [one for one in figures.seen if one.rule == rule and one.harm]
        axes.plot(
            [one.harm for one in cells],
            [value(one) for one in cells],
            color=colour,
            marker=mark,
            label=rule,
        )
    axes.set_xlabel("harm, daily standard deviations")


if __name__ == "__main__":
    run(measure, markdown, draw, __doc__, 4_000)
