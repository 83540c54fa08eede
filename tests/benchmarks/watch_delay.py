"""How soon a drift is noticed, false alarms being equal: `python -m tests.benchmarks.watch_delay`.

A stream is 90 daily checks of 1,000 rows with 20 mixed columns and the answers of a real scikit-learn
model, watched against the 10,000 rows of the ten days before. At a random check one thing changes: the
place of one numeric column (the one that the model leans on most), the spread of another, a skewed one,
one category of one column, or what the label owes to the model's strongest feature. Evidently and
NannyML get the same rows; the thresholds of each are scaled by one number until other streams, without
drift, give one alarmed check in 90. Evergreen is told "1 per quarter" and is not tuned; its floor of
effect is the default (2% of rows), and the changes are above it; in windows of 5,000 rows they are
below, and the floor is 0.

Without labels all see the columns and the answers, and NannyML once more with its estimate of
performance (CBPE). A change of the label's relation alone moves neither column nor answer: nobody sees
it without labels, CBPE neither. With them, Evergreen's loss test stands beside Evidently's tests of
classification and NannyML's realised performance: by themselves, with all false alarms theirs, and
together with the peer's watch over columns, which is what Evergreen does.

A delay of 1 is an alarm at the first check that has the drift. A rule that is in alarm at the check
before the onset sits that stream out. "Nothing" is what false alarms alone look like by these measures.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tests.benchmarks.trials import (
    BLUE,
    GREEN,
    ORANGE,
    canvas,
    in_processes,
    run,
    save,
    table,
    verdict,
)
from tests.benchmarks.watch_alarms import LABELLED, OURS, UNLABELLED, Alarms, Part, Rule, alarms
from tests.benchmarks.watch_noticed import Figures, Noticed, figures
from tests.benchmarks.watch_peers import DEFAULT_FOLDER, installed
from tests.benchmarks.watch_streams import CHECKS, Change, Drift

ROWS, LARGE = 1_000, 5_000
CHECKS_IN_REFERENCE = 10
PORTION = 8
FEWER = 5
"""Of so many streams one is made with `LARGE` rows a check, which take long."""
SIZES: dict[Change, tuple[float, float, float]] = {
    "location": (0.1, 0.2, 0.4),
    "scale": (1.15, 1.3, 1.6),
    "skewed": (1.1, 1.2, 1.5),
    "category": (0.13, 0.16, 0.22),
    "relation": (0.1, 0.2, 0.4),
}
DRIFTS = tuple(
    drift
    for change, (small, middle, large) in SIZES.items()
    for drift in (
        *(Drift(change, size) for size in (small, middle, large)),
        Drift(change, middle, "recurring"),
        Drift(change, large, "gradual"),
    )
)
# The larger a window is, the smaller a change is as hard to see.
SMALLER = tuple(
    Drift(change, round(start + (size - start) * (ROWS / LARGE) ** 0.5, 3))
    for change, sizes in SIZES.items()
    for start in ({"scale": 1.0, "skewed": 1.0, "category": 0.1}.get(change, 0.0),)
    for size in sizes[:2]
)
TITLES: dict[Change, str] = {
    "location": "a number moves, in deviations",
    "scale": "a number spreads, times",
    "skewed": "a skewed number grows, times",
    "category": "a category of 10% becomes",
    "relation": "the label forgets a feature by",
}


def measure(trials: int) -> tuple[Figures, Figures]:
    """Tune the peers on as many streams as are then tested; with 1,000 and with 5,000 rows a check."""
    if not installed(DEFAULT_FOLDER):
        raise SystemExit(
            f"no peers in {DEFAULT_FOLDER}: python -m tests.benchmarks.watch_peers --install "
            f"{DEFAULT_FOLDER}, or say where they are in EVERGREEN_PEERS"
        )
    few = max(1, trials // FEWER)
    parts = [
        Part(
            purpose,
            numbers,
            rows,
            CHECKS_IN_REFERENCE * rows,
            drifts if purpose == "test" else (),
            floor,
        )
        for rows, drifts, streams, floor in ((ROWS, DRIFTS, trials, None), (LARGE, SMALLER, few, 0.0))
        for purpose in ("tune", "test")
        for numbers in batched(streams, max(1, PORTION * ROWS // rows))
    ]
    found: dict[tuple[int, str], list[Alarms]] = defaultdict(list)
    for part, each in zip(parts, in_processes(alarms, parts), strict=True):
        found[part.rows, part.purpose] += each
    small, large = (figures(found[rows, "tune"], found[rows, "test"]) for rows in (ROWS, LARGE))
    return small, large


def batched(streams: int, size: int) -> list[tuple[int, ...]]:
    """Return the numbers of streams in portions."""
    return [tuple(range(at, min(at + size, streams))) for at in range(0, streams, size)]


def markdown(both: tuple[Figures, Figures]) -> str:
    """Return the figures as Markdown."""
    found, large = both
    return "\n\n".join(
        [
            f"Alarmed checks in 90 where nothing changed, {ROWS:,} rows a check:",
            _rates(found),
            f"Median delay in checks, and the share of {found.trials} streams that alarmed before they "
            "ended, without labels:",
            _cells(found, UNLABELLED),
            "The label's relation, with labels:",
            _cells(found, LABELLED),
            *_claims(found),
            f"{LARGE:,} rows a check, smaller changes, {large.trials} streams: too few for claims, "
            "and the rate that the peers are tuned to is rough.",
            _rates(large),
            _cells(large, UNLABELLED),
            _cells(large, LABELLED),
        ]
    )


def _rates(found: Figures) -> str:
    return table(
        ["rule", "by its defaults", "thresholds times", "before the onset, tuned"],
        [
            [
                one.rule,
                "told: 1" if one.defaults is None else f"{one.defaults:.1f}",
                "" if one.defaults is None else f"{one.multiplier:.2f}",
                f"{one.before_onset:.2f}",
            ]
            for one in found.tuned
        ],
    )


def _cells(found: Figures, rules: Sequence[Rule]) -> str:
    drifts = found.drifts(rules[0])
    return table(
        ["change", *(_short(rule) for rule in rules)],
        [[named(drift), *(_cell(found.noticed[rule, drift]) for rule in rules)] for drift in drifts]
        + [["nothing", *(_cell(found.noticed[rule, None]) for rule in rules)]],
    )


def _cell(one: Noticed) -> str:
    median = "never" if np.isinf(one.median) else f"{one.median:.0f}"
    return f"{median}, {100 * one.power:.0f}%"


def named(drift: Drift) -> str:
    """Return a drift in words.

    >>> named(Drift("category", 0.16)), named(Drift("scale", 1.5, "gradual"))
    ('a category of 10% becomes 16%, sudden', 'a number spreads, times 1.5, gradual')
    """
    share = drift.change in {"category", "relation"}
    size = f"{100 * drift.size:.3g}%" if share else f"{drift.size:g}"
    return f"{TITLES[drift.change]} {size}, {drift.pattern}"


def _claims(found: Figures) -> list[str]:
    later, weaker, compared = [], [], 0
    for rules in (UNLABELLED, LABELLED):
        for drift in found.drifts(rules[0]):
            ours, *peers = (found.noticed[rule, drift] for rule in rules)
            compared += len(peers)
            later += [_lost(peer) for peer in peers if peer.median < ours.median]
            weaker += [_lost(peer) for peer in peers if _beyond_chance(peer, ours)]
    ours = [one for one in found.tuned if one.rule in OURS]
    most = max(one.before_onset for one in ours)
    slack = 2 * float(np.sqrt(CHECKS / min(one.checks for one in ours)))
    return [
        verdict(
            most <= 1 + slack,
            f"Evergreen keeps its budget of 1 alarmed check in 90: at most {most:.2f}, where "
            f"independent checks may show {1 + slack:.2f} by chance.",
        ),
        verdict(
            not later,
            f"its median delay is at most the peer's in each of {compared} comparisons{_list(later)}.",
        ),
        verdict(
            not weaker,
            f"its power is at least the peer's in each of {compared} comparisons, within two standard "
            f"errors{_list(weaker)}.",
        ),
    ]


def _lost(peer: Noticed) -> str:
    assert peer.drift is not None
    return f"{_short(peer.rule)} ({named(peer.drift)})"


def _short(rule: Rule) -> str:
    return rule.removesuffix(", labels").replace(", labels and", " and")


def _list(lost: Sequence[str]) -> str:
    return f"; not beside {', '.join(lost)}" if lost else ""


def _beyond_chance(peer: Noticed, ours: Noticed) -> bool:
    shares, counts = (peer.power, ours.power), (len(peer.delays), len(ours.delays))
    error = np.sqrt(sum(p * (1 - p) / n for p, n in zip(shares, counts, strict=True)))
    return bool(shares[0] - shares[1] > 2 * error)


def draw(both: tuple[Figures, Figures], path: Path) -> None:
    """Draw median delay and power against the size of a sudden change, 1,000 rows a check."""
    found = both[0]
    figure, rows = canvas(width=10.5, height=4.6, nrows=2, ncols=len(SIZES), sharey="row")
    for place, (change, sizes) in enumerate(SIZES.items()):
        rules = LABELLED if change == "relation" else UNLABELLED
        for rule, (colour, mark) in zip(rules, _STYLES, strict=False):
            cells = [found.noticed[rule, Drift(change, size)] for size in sizes]
            _line(rows[0][place], sizes, [min(one.median, MOST) for one in cells], colour, mark, rule)
            _line(rows[1][place], sizes, [100 * one.power for one in cells], colour, mark, rule)
        rows[0][place].set_title(TITLES[change], fontsize=8)
        rows[1][place].set_xticks(sizes)
        rows[0][place].set_xticks(sizes, [])
    rows[0][0].set_yscale("log")
    rows[0][0].set_yticks([1, 2, 5, 10, 20, MOST], ["1", "2", "5", "10", "20", "never"])
    rows[0][0].set_ylabel("median delay, checks")
    rows[1][0].set_ylabel("alarmed in the stream, %")
    rows[1][0].set_ylim(0, 105)
    lines, names = rows[0][0].get_legend_handles_labels()
    figure.legend(lines, names, loc="outside lower center", ncols=3)
    save(figure, path)


MOST = 40
_STYLES = ((BLUE, "o"), (ORANGE, "s"), (GREEN, "^"))


def _line(
    axes: Any, sizes: Sequence[float], values: Sequence[float], colour: str, mark: str, rule: str
) -> None:
    axes.plot(sizes, values, color=colour, marker=mark, markersize=4, label=rule)


if __name__ == "__main__":
    run(measure, markdown, draw, __doc__, 40)
