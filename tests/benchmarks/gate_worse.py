"""How often a model that is worse gets promoted: `python -m tests.benchmarks.gate_worse`.

The challenger's true accuracy is 0.5, 1 or 2 points below the champion's 85%. The two decide
differently on one row in ten; test rows are independent. The rules:

- *better*: promote if the test accuracy is higher.
- *MLflow, +0.005*: `mlflow.validate_evaluation_results`, which Databricks' mlops-stacks validates with,
  and `MetricThreshold(min_absolute_change=0.005)`: at least half a point higher.
- *MLflow, +0.5%*: the same with `min_relative_change=0.005`: at least 0.5% of the champion's accuracy
  higher.
- *error 5% lower*: a Kestra blueprint's `min_improvement_pct: 5.0`: the error must fall by 5% of itself.
- *not 5% lower*: promote unless the accuracy is more than 5% lower; a common safety net.
- *superiority* and *non-inferiority*: the gate at 95% confidence, `cluster: row`. It has a third answer:
  inconclusive, which keeps the champion and says how many rows would settle it.

Non-inferiority within a point of a challenger that is half a point worse is a promotion as ordered: the
owner said that half a point does not matter.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from evergreen.comparison import Comparison
from evergreen.evidence.judged_rows import JudgedRows
from evergreen.gate_spec import Gate
from tests.benchmarks.trials import (
    BLUE,
    CLASSES,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    VERMILION,
    better,
    canvas,
    compared,
    generator,
    in_processes,
    percent,
    portions,
    run,
    save,
    slack,
    table,
    two_columns,
    verdict,
)

LOSSES = (0.005, 0.01, 0.02)
ROWS = (500, 2_000, 10_000)
ACCURACY = 0.85
DISAGREEING = 0.1
ALLOWED = 0.025
RETRAINS = 12
GATES = {
    "gate, superiority": {"policy": "superiority"},
    "gate, non-inferiority, 0.5 points": {"policy": "non_inferiority", "margin": 0.005},
    "gate, non-inferiority, 1 point": {"policy": "non_inferiority", "margin": 0.01},
}
THRESHOLDS = {
    "MLflow, +0.005": {"min_absolute_change": 0.005},
    "MLflow, +0.5%": {"min_relative_change": 0.005},
}


@dataclass(frozen=True, slots=True)
class Part:
    """Some trials of one cell."""

    loss: float
    rows: int
    number: int
    trials: int


@dataclass(frozen=True, slots=True)
class Answers:
    """How often a rule promoted, was inconclusive, and kept the champion."""

    rule: str
    rows: int
    loss: float
    promote: float
    inconclusive: float
    keep: float
    trials: int

    @property
    def in_a_year(self) -> float:
        """The chance that one of twelve such retrains, or more, ships the worse model."""
        return float(1 - (1 - self.promote) ** RETRAINS)


def measure(trials: int) -> list[Answers]:
    """Return every rule's answers in every cell."""
    cells = [(loss, rows) for loss in LOSSES for rows in ROWS]
    parts = [Part(*cell, *portion) for cell in cells for portion in portions(trials)]
    counts: dict[tuple[float, int], dict[str, np.ndarray]] = {cell: {} for cell in cells}
    for part, found in zip(parts, in_processes(count, parts), strict=True):
        cell = counts[part.loss, part.rows]
        for rule, seen in found.items():
            cell[rule] = cell.get(rule, np.zeros(3)) + seen
    rules = list(counts[cells[0]])
    return [
        Answers(rule, rows, loss, *(float(one) for one in counts[loss, rows][rule] / trials), trials)
        for rule in rules
        for rows in ROWS
        for loss in LOSSES
    ]


def count(part: Part) -> dict[str, np.ndarray]:
    """Return how often each rule promoted, was inconclusive and kept."""
    rng = generator("worse", part)
    gates = {
        name: Gate.model_validate({"metric": "accuracy", "cluster": "row", **options})
        for name, options in GATES.items()
    }
    peers = (
        {"better": better}
        | mlflow_rules()
        | {
            "error 5% lower": lambda seen: errors(seen)[0] <= 0.95 * errors(seen)[1],
            "not 5% lower": lambda seen: seen.against.value >= 0.95 * seen.against.other,
        }
    )
    found = {name: np.zeros(3) for name in (*peers, *gates)}
    for _ in range(part.trials):
        rows, challenger, champion = decisions(rng, part.rows, part.loss)
        for name, rule in gates.items():
            seen = compared(rule, rows, challenger, champion, 0.5)
            found[name][("promote", "inconclusive", "keep").index(seen.decision)] += 1
        for name, promotes in peers.items():
            found[name][0 if promotes(seen) else 2] += 1
    return found


def decisions(
    rng: np.random.Generator, n: int, loss: float
) -> tuple[JudgedRows, np.ndarray, np.ndarray]:
    """Return rows and both models' hard decisions, as probabilities of 0.25 and 0.75."""
    only_challenger, only_champion = (DISAGREEING - loss) / 2, (DISAGREEING + loss) / 2
    both = ACCURACY - only_champion
    counts = rng.multinomial(n, [both, only_challenger, only_champion, 1 - both - DISAGREEING])
    kinds = np.repeat(np.arange(4), counts)
    codes = rng.integers(0, 2, n)
    models = []
    for right in (kinds <= 1, (kinds == 0) | (kinds == 2)):
        decided = np.where(right, codes, 1 - codes)
        models.append(two_columns(0.25 + 0.5 * decided))
    rows = JudgedRows(np.asarray(CLASSES)[codes], CLASSES, np.arange(n), "row", codes=codes)
    return rows, models[0], models[1]


def errors(seen: Comparison) -> tuple[float, float]:
    """Return both models' error rates."""
    assert seen.against.value is not None
    assert seen.against.other is not None
    return 1 - seen.against.value, 1 - seen.against.other


def mlflow_rules() -> Mapping[str, Callable[[Comparison], bool]]:
    """Return MLflow's own validation with each of the thresholds."""
    from mlflow import validate_evaluation_results
    from mlflow.models import MetricThreshold
    from mlflow.models.evaluation import EvaluationResult
    from mlflow.models.evaluation.validation import ModelValidationFailedException

    # It logs two lines for each of the many thousand tests.
    logging.getLogger("mlflow.models.evaluation.validation").setLevel(logging.WARNING)

    def rule(threshold: MetricThreshold) -> Callable[[Comparison], bool]:
        def promotes(seen: Comparison) -> bool:
            both = [
                EvaluationResult(metrics={"accuracy": value}, artifacts={})
                for value in (seen.against.value, seen.against.other)
            ]
            try:
                validate_evaluation_results({"accuracy": threshold}, *both)
            except ModelValidationFailedException:
                return False
            return True

        return promotes

    return {
        name: rule(MetricThreshold(greater_is_better=True, **options))
        for name, options in THRESHOLDS.items()
    }


def markdown(figures: list[Answers]) -> str:
    """Return the figures as Markdown."""
    head = ["rule", "test rows"]
    for loss in LOSSES:
        head += [f"{100 * loss:g} points worse", "in a year"]
    body = []
    for rule in dict.fromkeys(one.rule for one in figures):
        for rows in ROWS:
            cells = [one for one in figures if (one.rule, one.rows) == (rule, rows)]
            body.append([rule, f"{rows:,}", *(word for one in cells for word in _words(one))])
    superior = [one for one in figures if one.rule == "gate, superiority"]
    within = [
        one
        for one in figures
        if one.rule in GATES and one.loss >= float(GATES[one.rule].get("margin", 0.0))
    ]
    worst = max(within, key=lambda one: one.promote)
    most = ALLOWED + slack(ALLOWED, figures[0].trials)
    return "\n\n".join(
        [
            "Promoted; for the gate promoted / inconclusive / kept. *In a year*: the chance that at "
            "least one of twelve monthly retrains ships such a model.",
            table(head, body),
            verdict(
                max(one.promote for one in superior) <= ALLOWED and worst.promote <= most,
                f"superiority promotes a worse model in at most {percent(ALLOWED)} of tests (most seen: "
                f"{percent(max(one.promote for one in superior))}), non-inferiority one that is worse "
                f"by its margin or more in at most {percent(most)} (2.5% and two standard errors of "
                f"{figures[0].trials:,} trials; most seen: {percent(worst.promote)}, {worst.rule}, "
                f"{100 * worst.loss:g} points worse, {worst.rows:,} rows).",
            ),
        ]
    )


def _words(one: Answers) -> tuple[str, str]:
    year = percent(one.in_a_year)
    if one.rule not in GATES:
        return percent(one.promote), year
    return " / ".join(f"{100 * share:.1f}" for share in (one.promote, one.inconclusive, one.keep)), year


def draw(figures: list[Answers], path: Path) -> None:
    """Draw a year's chance of shipping the worse model."""
    figure, rows = canvas(height=3.8, ncols=3, sharey=True)
    colours = (ORANGE, PURPLE, GREEN, GREY, VERMILION, BLUE, "#56B4E9", "black")
    markers = "s^v<>oDX"
    for axes, loss in zip(rows, LOSSES, strict=True):
        rules = dict.fromkeys(one.rule for one in figures)
        for rule, colour, marker in zip(rules, colours, markers, strict=True):
            cells = [one for one in figures if (one.rule, one.loss) == (rule, loss)]
            axes.plot(
                [one.rows for one in cells],
                [100 * one.in_a_year for one in cells],
                color=colour,
                marker=marker,
                linestyle="-" if rule in GATES else "--",
                label=rule if loss == LOSSES[0] else None,
            )
        axes.set_xscale("log")
        axes.set_xticks(ROWS, [f"{count:,}" for count in ROWS])
        axes.minorticks_off()
        axes.set_title(f"{100 * loss:g} points worse", fontsize=10)
        axes.set_xlabel("test rows")
    rows[0].set_ylabel("shipped within a year, %")
    rows[0].set_ylim(-3, 103)
    figure.legend(loc="outside lower center", ncols=4, fontsize=8)
    figure.suptitle("Twelve retrains, each with a worse model: is one shipped?", x=0.01, ha="left")
    save(figure, path)


if __name__ == "__main__":
    run(measure, markdown, draw, __doc__, 2_000)
