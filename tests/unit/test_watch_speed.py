"""The benchmark of the watch's speed runs, and says what holds of what it measured."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.benchmarks import watch_speed
from tests.benchmarks import watch_speed_work as work


@pytest.fixture
def _here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Do all work in this process, and less of it; there is no Evidently."""

    def here(name: str, *arguments: object) -> dict[str, Any]:
        found: dict[str, Any] = getattr(work, name)(*map(str, arguments))
        return found

    monkeypatch.setattr(work, "alone", here)
    monkeypatch.setattr(work, "ROUNDS", 1)
    monkeypatch.setattr(work, "DAYS_MERGED", 10)
    monkeypatch.setattr(watch_speed, "TIMES_MORE", (2,))
    monkeypatch.setattr(watch_speed, "LITTLE", 500)
    monkeypatch.setattr(watch_speed, "DEFAULT_FOLDER", tmp_path)


@pytest.mark.usefixtures("_here")
def test_a_small_run_gives_both_tables_claims_and_a_picture(tmp_path: Path) -> None:
    figures = watch_speed.measure(1)
    assert figures.rows == 500
    assert sorted(figures.memory) == [500, 1000]
    text = watch_speed.markdown(figures)
    assert "| decoding alone |" in text
    assert "| 1,000 rows |" in text
    assert text.count("**Holds:**") + text.count("**Does not hold:**") == 3
    assert "Evidently was not measured" in text
    watch_speed.draw(figures, tmp_path / "speed.png")
    assert (tmp_path / "speed.png").stat().st_size > 1000


def figures(check: float, evidently: float, memory: float, merging: float) -> watch_speed.Figures:
    return watch_speed.Figures(
        rows=10**6,
        rounds={"decode": [0.1] * 3, "profile": [0.2] * 3, "check": [check] * 3},
        evidently={"seconds": evidently, "memory": 1.6e9},
        memory={10**6: {"seconds": check, "memory": memory}},
        merging=[merging],
    )


def test_claims_hold_where_the_figures_say_so_and_not_elsewhere() -> None:
    good = watch_speed.markdown(figures(0.3, 100, 2e8, 0.02))
    assert good.count("**Holds:**") == 4
    assert "(333 times)" in good
    bad = watch_speed.markdown(figures(0.4, 30, 4e8, 0.2))
    assert bad.count("**Does not hold:**") == 4


def test_the_verdict_on_rows_like_the_baselines_rests_on_all_of_them(tmp_path: Path) -> None:
    for name, days, first in (("baseline", "60", "2013-01-01"), ("window", "7", "2013-03-02")):
        work.make(str(tmp_path / f"{name}.parquet"), "3000", days, first)
    verdict = work.checked(work._baseline(str(tmp_path)), tmp_path / "window.parquet")
    assert verdict.rows == 3000
    assert dict(verdict.levels)["features"] == "quiet"
