"""A year under each policy: what served in each month, what it cost, and what the gate answered."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from evergreen.comparison import Comparison
from evergreen.gate_spec import Gate
from evergreen.loading import load_model
from tests.benchmarks.gate_flights_fits import (
    JUDGED,
    MODEL,
    Fit,
    Task,
    fit_span,
    labelled_rows,
    month_start,
    month_window,
    store,
)
from tests.benchmarks.trials import better, in_processes


@dataclass(frozen=True, slots=True)
class Month:
    """One month under one policy: what served, what it cost, what was decided at its end."""

    month: int
    served: tuple[int, int]
    rows: int
    loss: float
    challenger_loss: float
    promoted: bool
    comparison: Comparison


@dataclass(frozen=True, slots=True)
class Year:
    """All months under one policy, with challengers of one kind of window."""

    policy: str
    window: str
    months: tuple[Month, ...]

    @property
    def loss(self) -> float:
        """The mean log-loss of a flight."""
        rows = sum(one.rows for one in self.months)
        return sum(one.rows * one.loss for one in self.months) / rows


def measure(_: int) -> list[Year]:
    """Return the years under every policy."""
    from evergreen.demo.flights import load_warehouse

    spans = {
        "one month": {month: (month - 1, month - 1) for month in JUDGED},
        "all months before": {month: (1, month - 1) for month in JUDGED},
    }
    wanted = sorted({(1, 1), *(span for each in spans.values() for span in each.values())})
    with tempfile.TemporaryDirectory() as folder:
        rows = store(load_warehouse(Path(folder) / "flights.db"), Path(folder) / "flights.parquet")
        tasks = [Task(rows, *span) for span in wanted]
        models = dict(zip(wanted, in_processes(fit_span, tasks), strict=True))
        judge = partial(
            _judge, models, {month: labelled_rows(rows, month_window(month)) for month in JUDGED}
        )
    return [
        year(policy, window, span, rule, promotes, judge)
        for window, span in spans.items()
        for policy, rule, promotes in policies()
    ]


def policies() -> list[tuple[str, Gate, Callable[[Comparison], bool]]]:
    """Return each policy with the gate that measures for it and what it promotes."""
    rule = load_model(MODEL).spec.gate

    def gate(**options: object) -> Gate:
        return Gate.model_validate({**rule.model_dump(), **options})

    def answer(comparison: Comparison) -> bool:
        return comparison.promote

    return [
        (f"gate, non-inferiority {rule.margin}", rule, answer),
        ("gate, non-inferiority 0.01", gate(margin=0.01), answer),
        ("gate, superiority 0", gate(policy="superiority", margin=0), answer),
        ("better", rule, better),
        ("always", rule, lambda _: True),
        ("never", rule, lambda _: False),
    ]


def year(
    policy: str,
    window: str,
    spans: dict[int, tuple[int, int]],
    rule: Gate,
    promotes: Callable[[Comparison], bool],
    judge: Callable[[Gate, int, tuple[int, int], tuple[int, int]], Comparison],
) -> Year:
    """Go through the months: score with the champion of then, judge, and only then promote."""
    served, months = (1, 1), []
    for month, challenger in spans.items():
        comparison = judge(rule, month, challenger, served)
        over = comparison.against
        assert over.value is not None
        assert over.other is not None
        promoted = promotes(comparison)
        months.append(Month(month, served, over.rows, over.other, over.value, promoted, comparison))
        served = challenger if promoted else served
    return Year(policy, window, tuple(months))


def _judge(
    models: dict[tuple[int, int], Fit],
    rows_of: dict[int, object],
    rule: Gate,
    month: int,
    challenger: tuple[int, int],
    champion: tuple[int, int],
) -> Comparison:
    from evergreen.evidence.clusters import clusters_of
    from evergreen.evidence.gather import constant, gather
    from evergreen.evidence.judged_rows import JudgedRows
    from evergreen.gate import compare
    from evergreen.training.labels import labels_of

    spec, table_of = load_model(MODEL).spec, rows_of[month]
    made = models[challenger]
    clusters, by = clusters_of(rule, spec.data, table_of, month_start(month))
    rows = JudgedRows(labels_of(table_of, spec.data.label.column, rule.task), made.classes, clusters, by)
    wanted = [one if isinstance(one, str) else one.column for one in rule.slices]
    wanted += rule.fairness.columns if rule.fairness else []
    evidence = gather(
        rule,
        rows,
        {name: table_of.column(name) for name in wanted},
        made.answers[month],
        models[champion].answers[month],
        constant(made.baseline, made.classes, rows),
        constant(made.last_period, made.classes, rows) if made.last_period else None,
    )
    return compare(rule, spec.tier, evidence)
