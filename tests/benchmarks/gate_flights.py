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

import sqlite3
import tempfile
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import numpy as np

from evergreen.comparison import Comparison
from evergreen.gate_spec import Gate
from evergreen.loading import load_model
from evergreen.window import Window, Windows
from tests.benchmarks.trials import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    VERMILION,
    better,
    canvas,
    in_processes,
    run,
    save,
    table,
    verdict,
)

ROOT = Path(__file__).parents[2]
MODEL = ROOT / "dags" / "models" / "flight_delay.yaml"
JUDGED = range(3, 13)
NAMES = ("", "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
NOVEMBER = 11


@dataclass(frozen=True, slots=True)
class Task:
    """One model to fit: which months it learns from, and where the rows are."""

    rows: Path
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Fit:
    """What a model answers in each later month, with its trivial answers."""

    classes: tuple[str, ...]
    baseline: tuple[float, ...]
    last_period: tuple[float, ...]
    answers: dict[int, np.ndarray]


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
        judge = partial(_judge, models, {month: labelled_rows(rows, _window(month)) for month in JUDGED})
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


def fit_span(task: Task) -> Fit:
    """Fit the model file's estimator on some months and predict every judged month after them."""
    from evergreen.training.fit import fit, predict
    from evergreen.training.frame import feature_frame

    spec = load_model(MODEL).spec
    span, following = Window(_start(task.first), _start(task.last + 1)), _window(task.last + 1)
    train, test = (labelled_rows(task.rows, window) for window in (span, following))
    made = fit(spec, train, test, Windows(following.end, span, following))
    answers = {}
    for month in JUDGED:
        if month > task.last:
            rows = labelled_rows(task.rows, _window(month))
            answers[month] = predict(made.model, feature_frame(rows, made.features), made.classes)
    return Fit(made.classes, made.baseline, made.last_period, answers)


def store(warehouse: Path, path: Path) -> Path:
    """Write the year as the model file's query gives it, in the order of departure."""
    import pandas as pd
    import pyarrow as pa
    import pyarrow.compute as pc
    from pyarrow import parquet

    model = load_model(MODEL)
    bounds = {"start": f"{_start(1):%Y-%m-%d %H:%M:%S}", "end": f"{_start(13):%Y-%m-%d %H:%M:%S}"}
    with closing(sqlite3.connect(warehouse)) as connection:
        frame = pd.read_sql_query(model.query, connection, params=bounds)
    rows = pa.Table.from_pandas(frame, preserve_index=False)
    column = model.spec.data.time_column
    times = pc.strptime(rows.column(column), format="%Y-%m-%d %H:%M:%S", unit="us")
    rows = rows.set_column(rows.column_names.index(column), column, pc.assume_timezone(times, "UTC"))
    parquet.write_table(rows.sort_by(column), path)
    return path


def labelled_rows(path: Path, window: Window):
    """Return the rows of a window whose label is known."""
    from pyarrow import parquet

    from evergreen.training.labels import in_window, labelled

    data = load_model(MODEL).spec.data
    return labelled(in_window(parquet.read_table(path), data.time_column, window), data.label.column)


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
    clusters, by = clusters_of(rule, spec.data, table_of, _start(month))
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


def _start(month: int) -> datetime:
    # Windows begin at 06:00 UTC, the middle of the night in New York, as the model's schedule has them.
    return datetime(2013 + (month - 1) // 12, (month - 1) % 12 + 1, 1, 6, tzinfo=UTC)


def _window(month: int) -> Window:
    return Window(_start(month), _start(month + 1))


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
