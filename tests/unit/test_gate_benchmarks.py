"""The gate's benchmarks run, and what they simulate is what they say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from evergreen.evidence.metrics import value
from evergreen.gate_spec import Gate
from evergreen.metric_spec import PlainMetric
from tests.benchmarks import (
    gate_clustered,
    gate_coverage,
    gate_flights_years,
    gate_null,
    gate_power,
    gate_slices,
    gate_speed,
    gate_worse,
    trials,
)
from tests.benchmarks.__main__ import BENCHMARKS, GATE, PAGES, write
from tests.benchmarks.trials import World, binary, compared, generator

PLAN = [
    (gate_null, {"ROWS": (500,), "METRICS": ("accuracy",)}),
    (gate_clustered, {"DAYS": (30,)}),
    (gate_slices, {"SLICES": (2,), "ROWS": 500}),
    (gate_worse, {"ROWS": (500,)}),
    (gate_power, {"NOISE": (0.0, 0.3), "SIZED_NOISE": (0.3,), "KNOWN_ROWS": 20_000}),
    (
        gate_coverage,
        {
            "METRICS": {"brier": "brier", "poisson_loss": "poisson_loss"},
            "WINDOWS": ("1,000 rows", "30 days", "90 days"),
            "KNOWN_ROWS": 20_000,
            "OTHERS": ("calibration slope", "gap, 2 groups"),
        },
    ),
]


@pytest.fixture
def _one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run all parts here: a process of its own would not know of a smaller plan."""
    for module, _ in PLAN:
        monkeypatch.setattr(module, "in_processes", lambda work, tasks: [work(task) for task in tasks])


@pytest.mark.parametrize(("module", "smaller"), PLAN, ids=[module.__name__ for module, _ in PLAN])
@pytest.mark.usefixtures("_one_process")
def test_a_small_run_gives_a_table_of_shares_a_claim_and_a_picture(
    module, smaller, monkeypatch, tmp_path
):
    for name, replacement in smaller.items():
        monkeypatch.setattr(module, name, replacement)
    figures = module.measure(4)
    text = module.markdown(figures)
    module.draw(figures, tmp_path / "plot.png")
    assert "|---|" in text
    assert "**Holds:**" in text or "**Does not hold:**" in text
    assert "nan" not in text
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")


def test_the_same_seed_gives_the_same_rates():
    part = gate_null.Part("log_loss", 500, 0, 5)
    assert gate_null.count(part).tolist() == gate_null.count(part).tolist()


def test_models_of_the_same_noise_are_calibrated_and_equally_good():
    world = World(shared=0.5, own=0.3, day=0.2)
    rows, first, second = binary(generator("unit"), world, np.arange(400_000), "row")
    losses = [value(PlainMetric(type="log_loss"), rows, model) for model in (first, second)]
    assert losses[0] == pytest.approx(losses[1], abs=0.003)
    for model in (first, second):
        sure = model[:, 1] > 0.8
        assert rows.codes[sure].mean() == pytest.approx(model[sure, 1].mean(), abs=0.01)


def test_more_noise_makes_the_second_model_worse_by_the_binormal_area():
    world = World(worse=0.5)
    rows, *models = binary(generator("unit"), world, np.arange(400_000), "row")
    expected = [stats.norm.cdf(2 / np.sqrt(2 * noise)) for noise in (1.0, 1.5)]
    found = [value(PlainMetric(type="roc_auc"), rows, model) for model in models]
    assert found == pytest.approx(expected, abs=0.002)


def test_decisions_differ_on_one_row_in_ten_and_by_the_loss_asked_for():
    rows, challenger, champion = gate_worse.decisions(generator("unit"), 400_000, 0.02)
    right = [model.argmax(axis=1) == rows.codes for model in (challenger, champion)]
    assert (right[0] != right[1]).mean() == pytest.approx(0.1, abs=0.002)
    assert right[0].mean() == pytest.approx(gate_worse.ACCURACY - 0.02, abs=0.002)
    assert right[1].mean() == pytest.approx(gate_worse.ACCURACY, abs=0.002)


def test_a_year_of_retrains_ships_with_the_chance_of_one_or_more():
    answers = gate_worse.Answers("better", 500, 0.01, 0.25, 0.0, 0.75, 100)
    assert answers.in_a_year == pytest.approx(1 - 0.75**12)


def test_mlflows_own_rule_promotes_from_its_threshold_on():
    rule = Gate.model_validate({"metric": "accuracy", "cluster": "row"})
    rows, challenger, champion = gate_worse.decisions(generator("unit"), 10_000, -0.05)
    ahead = compared(rule, rows, challenger, champion, 0.5)
    behind = compared(rule, rows, champion, challenger, 0.5)
    for promotes in gate_worse.mlflow_rules().values():
        assert promotes(ahead)
        assert not promotes(behind)


def test_delong_written_out_agrees_with_the_gate_on_clear_cases():
    rows, better, worse = binary(generator("unit"), World(worse=2.0), np.arange(1_000), "row")
    assert gate_power.delong(rows, better, worse) == (True, True)
    assert gate_power.delong(rows, worse, better) == (False, False)


def test_the_rows_needed_are_those_of_the_normal_law():
    # (1.95996 + 0.84162)² · (0.3 / 0.01)², as any table of sample sizes has it
    assert gate_power.rows_needed(0.01, 0.3) == 7064


def test_a_months_winner_serves_from_the_next_month_on():
    rule = Gate.model_validate({"metric": "accuracy", "policy": "superiority", "cluster": "row"})
    seen = []

    def judge(rule, month, challenger, champion):
        seen.append((month, challenger, champion))
        rows, first, second = gate_worse.decisions(generator("unit", month), 5_000, -0.09)
        return compared(rule, rows, first, second, 0.5)

    spans = {3: (2, 2), 4: (3, 3), 5: (4, 4)}
    year = gate_flights_years.year("gate", "one", spans, rule, lambda one: one.promote, judge)
    assert seen == [(3, (2, 2), (1, 1)), (4, (3, 3), (2, 2)), (5, (4, 4), (3, 3))]
    assert [month.served for month in year.months] == [(1, 1), (2, 2), (3, 3)]
    champions = [month.comparison.evidence.over_champion.other for month in year.months]
    assert year.loss == pytest.approx(np.mean(champions))


def test_speed_is_measured_on_few_rows_too(monkeypatch):
    monkeypatch.setattr(gate_speed, "TIMED", 1)
    costs = [work(10_000) for work in (gate_speed.cost_of_gate, gate_speed.cost_of_resampling)]
    assert set(costs[0].seconds) > {gate_speed.WHOLE, gate_speed.GATE}
    assert "times as long" in gate_speed.markdown((costs[0], costs[1]))


def test_parts_are_shared_by_processes_in_order():
    assert trials.in_processes(abs, [-1, -2, -3]) == [1, 2, 3]


def test_a_page_is_written_where_each_of_its_sections_ran_or_stands_there_already(
    monkeypatch, tmp_path, capsys
):
    for name in ("REFERENCE", "IMAGES"):
        monkeypatch.setattr(f"tests.benchmarks.__main__.{name}", tmp_path / name)
        (tmp_path / name).mkdir()
    wanted = [name for name, one in BENCHMARKS.items() if one.page == GATE]
    for name in wanted:
        (tmp_path / f"{name.replace('_', '-')}.png").write_bytes(b"picture")
    sections = {name: f"## {BENCHMARKS[name].title}\n\nfirst {name}" for name in wanted}
    write(GATE, {wanted[0]: "## one"}, tmp_path)
    assert "## one" in capsys.readouterr().out
    assert not list((tmp_path / "REFERENCE").iterdir())
    write(GATE, sections, tmp_path)
    write(GATE, {wanted[1]: f"## {BENCHMARKS[wanted[1]].title}\n\nanew"}, tmp_path)
    page = (tmp_path / "REFERENCE" / f"{GATE}.md").read_text(encoding="utf-8")
    assert [name for name in wanted if f"first {name}" not in page] == [wanted[1]]
    assert "anew" in page
    assert len(list((tmp_path / "IMAGES").iterdir())) == sum(bool(BENCHMARKS[n].picture) for n in wanted)


def test_every_benchmark_stands_on_a_page_and_is_a_module():
    folder = Path(trials.__file__).parent
    for name, one in BENCHMARKS.items():
        assert one.page in PAGES
        assert (folder / f"{name}.py").is_file()
