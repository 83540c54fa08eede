"""How columns are counted: the cells of each, made once from the baseline's rows.

Cells of a column, in their order:

    number, text   missing, -inf, below, bin 1 … bin k, above, +inf
                   (bins between quantiles of the baseline; text is counted by its length)
    category       missing, each category by falling weight, other
    instant        missing, then calendar cells: weekday and six parts of the day, weekday, or hour

"below" and "above" lie outside all that the baseline held. "other" holds the baseline's rare
categories, or, where `whole`, only what the baseline never held.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

from evergreen.canonical import digest_of
from evergreen.watch_results import CellKind

MISSING, LOWEST, BELOW, ABOVE, HIGHEST, OTHER = "missing", "-inf", "below", "above", "+inf", "other"
WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


@dataclass(frozen=True)
class Cells:
    """The cells of one column. `type` is the column's Arrow type in the baseline, as text.

    `edges` are the k+1 rising ends of the k bins of a number or of a length: bin i is
    `[edge i-1, edge i)`, the last one closed. A value that is frequent, or one of few, has a bin to
    itself, so that the last two edges may be equal. Where the baseline held no finite value there are
    no edges, and any finite value is "above". `centres` are the baseline's means within below, the bins
    and above (below and above stand at the outer edges), and `scale` is the baseline's standard
    deviation; both serve the Wasserstein distance.
    """

    column: str
    kind: CellKind
    type: str
    edges: tuple[float, ...] = ()
    centres: tuple[float, ...] = ()
    scale: float = 0.0
    categories: tuple[str, ...] = ()
    whole: bool = True
    calendar: tuple[str, ...] = ()

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Return the cells' names in their order."""
        match self.kind:
            case "number" | "text":
                bins = tuple(
                    f"{low:.6g} to {high:.6g}"
                    for low, high in zip(self.edges, self.edges[1:], strict=False)
                )
                return (MISSING, LOWEST, BELOW, *bins, ABOVE, HIGHEST)
            case "category":
                return (MISSING, *self.categories, OTHER)
            case "instant":
                return (MISSING, *self.calendar)

    @property
    def ordered(self) -> bool:
        """Whether the cells after the first lie on a line."""
        return self.kind in {"number", "text"}

    def __len__(self) -> int:
        return len(self.names)


@dataclass(frozen=True)
class Layout:
    """The cells of all columns that are counted, in one order."""

    cells: tuple[Cells, ...]

    @cached_property
    def digest(self) -> str:
        """A digest of everything that decides where a value is counted."""
        return digest_of(
            [
                [c.column, c.kind, c.type, list(c.edges), list(c.categories), list(c.calendar)]
                for c in self.cells
            ]
        )

    @cached_property
    def places(self) -> Mapping[str, slice]:
        """Where each column's cells stand in a profile's counts."""
        ends = list(accumulate(len(c) for c in self.cells))
        starts = [0, *ends[:-1]]
        return {
            c.column: slice(start, end) for c, start, end in zip(self.cells, starts, ends, strict=True)
        }

    @property
    def size(self) -> int:
        """How many cells there are in all."""
        return sum(len(c) for c in self.cells)
