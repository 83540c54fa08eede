"""The tables of `evergreen replay`: events in time order, months, totals; two policies side by side."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import datetime

from rich.table import Table

from evergreen.cli.output import say, say_table
from evergreen.replay.results import Broken, Checked, Event, Money, Replay, Retrained, Served, Totals
from evergreen.replay.side_by_side import gap
from evergreen.text import plain


def show(found: Sequence[Replay]) -> None:
    """Print what one policy did, or two."""
    first = found[0]
    say(
        f"{first.model} from {first.start:%Y-%m-%d %H:%M} to {first.end:%Y-%m-%d %H:%M} UTC, "
        f"{' beside '.join(one.policy for one in found)}"
    )
    for table in (_events(found), _months(found), _totals(found)):
        say("")
        say_table(table)
    say("")
    for note in first.notes:
        say(f"Note: {note}.")


def _events(found: Sequence[Replay]) -> Table:
    """Return alarms and what followed from them, retrains, and what failed; quiet checks are counted."""
    table = Table("as of", *(_shown(one.policy) for one in found), box=None, padding=(0, 2, 0, 0))
    lines: dict[datetime, list[list[str]]] = defaultdict(lambda: [[] for _ in found])
    for column, one in enumerate(found):
        for event in one.events:
            said = _said(event)
            if said:
                lines[event.at][column] += said
    for at in sorted(lines):
        cells = lines[at]
        for row in range(max(map(len, cells))):
            when = f"{at:%Y-%m-%d %H:%M}" if row == 0 else ""
            table.add_row(when, *(_shown(cell[row]) if row < len(cell) else "" for cell in cells))
    return table


def _said(event: Event) -> list[str]:
    match event:
        case Retrained():
            return [f"retrain ({_CAUSES[event.cause]}): {event.words}"]
        case Broken():
            return [f"{event.part} would have failed: {event.words}"]
        case Checked() if event.answer == "alarm":
            foremost = [f"  {words}" for words in event.words[1:2]]
            return [*event.words[:1], *foremost, f"  {_decided(event)}"]
        case _:
            return []


_CAUSES = {"first": "the first champion", "schedule": "scheduled", "alarm": "asked for by alarm"}


def _decided(event: Checked) -> str:
    """Return the action with its decisive reasons, each of which begins with it."""
    head = f"{event.action}: "
    decisive = [one.removeprefix(head) for one in event.reasons if one.startswith(head)]
    return head + "; ".join(decisive or event.reasons)


def _months(found: Sequence[Replay]) -> Table:
    first = found[0]
    up = "higher" if first.higher_is_better else "lower"
    table = Table(
        f"{first.metric} ({up} is better)", "rows with a label", box=None, padding=(0, 2, 0, 0)
    )
    for one in found:
        table.add_column(_shown(one.policy), justify="right")
    if len(found) == 2:
        table.add_column("difference", justify="right")
    spans = [
        (f"{part.start:%Y-%m}", [one.months[row] for one in found])
        for row, part in enumerate(first.months)
    ]
    for name, parts in [*spans, ("in all", [one.whole for one in found])]:
        table.add_row(name, *_worth(parts))
    table.add_row("first champion, proven at", "", *(_number(one.level) for one in found))
    return table


def _worth(parts: Sequence[Served]) -> list[str]:
    cells = [f"{parts[0].labelled:,}", *(_number(part.value) for part in parts)]
    return [*cells, _number(gap(*parts), signed=True)] if len(parts) == 2 else cells


_COUNTS: tuple[tuple[str, Callable[[Totals], int]], ...] = (
    ("checks", lambda totals: totals.checks),
    ("  without enough data", lambda totals: totals.unjudged),
    ("  that alarmed", lambda totals: totals.alarms),
    ("    waited", lambda totals: totals.waited),
    ("    held for a person", lambda totals: totals.held),
    ("retrains", lambda totals: totals.retrains),
    ("  asked for by alarm", lambda totals: totals.retrains_by_alarm),
    ("  promoted", lambda totals: totals.promotions),
    ("scorings and checks that would have failed", lambda totals: totals.broken),
)


_COSTS: tuple[tuple[str, Callable[[Money], float]], ...] = (
    ("cost in all", lambda money: money.total),
    ("  of retrains", lambda money: money.retrains),
    ("  of loss beyond what was proven", lambda money: money.staleness),
)


def _totals(found: Sequence[Replay]) -> Table:
    table = Table("totals", box=None, padding=(0, 2, 0, 0))
    for one in found:
        table.add_column(_shown(one.policy), justify="right")
    if len(found) == 2:
        table.add_column("difference", justify="right")
    for name, count in _COUNTS:
        counts = [count(one.totals) for one in found]
        change = [f"{counts[1] - counts[0]:+d}"] if len(counts) == 2 else []
        table.add_row(name, *map(str, counts), *change)
    for name, part in _COSTS if all(one.money for one in found) else ():
        money = [part(one.money) for one in found if one.money]
        change = [f"{money[1] - money[0]:+,.2f}"] if len(money) == 2 else []
        table.add_row(name, *(f"{amount:,.2f}" for amount in money), *change)
    return table


def _number(value: float | None, *, signed: bool = False) -> str:
    return "-" if value is None else f"{value:+.4f}" if signed else f"{value:.4f}"


def _shown(text: str) -> str:
    return plain(text)
