"""The gate's page is drawn for any comparison, at a width that can be read, and without global state."""

from __future__ import annotations

import struct
import sys
from dataclasses import replace

import pytest

from evergreen.comparison import Comparison, Slice
from evergreen.evidence.page import Page
from evergreen.evidence.picture import picture
from tests.comparisons import (
    EVIDENCE,
    SERVING,
    check,
    comparison,
    difference,
    first_challenger,
    slice_of,
)

ODD = ("$a$_{b}", "日本" * 30, "Zürich\n\x1b[31m", "x" * 300, "\\frac{", "_hidden", "")
MANY = tuple(slice_of(f"v{i}", "unharmed" if i % 3 else "unproven") for i in range(40))


def size_of(png: bytes) -> tuple[int, int]:
    assert png.startswith(b"\x89PNG\r\n")
    width, height = struct.unpack(">II", png[16:24])
    return width, height


def drawn(told: Comparison, title: str = "flight_delay as of 2013-06-01 00:00") -> tuple[int, int]:
    return size_of(picture(told, title))


NO_INTERVAL = difference(interval=None, error=None, degrees=None, problem="only 4 days")
CASES = {
    "promoted": comparison(),
    "first": first_challenger(),
    "regression": comparison(
        metric="squared_error", calibration=None, champion_calibration=None, over_last_period=None
    ),
    "nothing can be said": comparison(
        over_champion=NO_INTERVAL, over_baseline=NO_INTERVAL, over_last_period=None, limit=None
    ),
    "no difference at all": comparison(over_champion=difference(0.0, 0.0, identical=True)),
    "one slice": comparison(slices=(slice_of("JFK", "harmed", estimate=0.02),)),
    "only slices too small": comparison(slices=(Slice("origin", "XXX", 12, None, "too small"),)),
    "no check at all": comparison(checks=()),
    "huge and tiny": comparison(
        over_champion=difference(-3e9, 2e9, other=1e12), over_baseline=difference(-1e-9, 1e-10)
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_every_kind_of_comparison_has_its_page(name: str) -> None:
    width, height = drawn(CASES[name])
    assert width == 1200
    assert 400 <= height <= 1400
    assert "matplotlib.pyplot" not in sys.modules


@pytest.mark.parametrize("odd", ODD)
def test_odd_names_are_drawn_as_they_are_written(odd: str) -> None:
    told = comparison(
        metric=odd or "m",
        slices=(
            slice_of(odd, "harmed", column=odd or "c", estimate=0.01),
            slice_of("a", "too small", column=odd),
        ),
        serving=replace(SERVING, faults=(odd,)),
        checks=(check("champion", "failed", f"kept: {odd}"),),
        decision="keep",
        promote=False,
    )
    assert drawn(told, odd) == drawn(told, "a title"), "a name changes nothing about the page's size"


def test_the_page_grows_with_slices_up_to_a_limit() -> None:
    few, some, many, most = (drawn(comparison(slices=MANY[:count]))[1] for count in (0, 12, 20, 40))
    assert few < some < many
    assert most - many < 40, "a line says how many are not drawn"


def test_the_same_comparison_is_drawn_in_the_same_bytes() -> None:
    told = comparison(slices=MANY)
    assert picture(told, "t") == picture(told, "t")


def test_a_page_for_one_verdict_is_not_that_of_another() -> None:
    kept = replace(comparison(), decision="keep", promote=False)
    assert picture(kept, "t") != picture(comparison(), "t")


def test_better_is_drawn_to_the_right_whichever_way_the_metric_goes() -> None:
    turned = replace(
        EVIDENCE,
        over_champion=difference(0.0028, 0.0023),
        over_baseline=difference(0.068, 0.006),
        over_last_period=None,
        champion_over_baseline=None,
    )
    lower = replace(
        turned, over_champion=difference(-0.0028, 0.0023), over_baseline=difference(-0.068, 0.006)
    )
    ends = [
        axis_of(comparison(evidence=turned, higher_is_better=True)),
        axis_of(comparison(evidence=lower)),
    ]
    assert ends[0] == pytest.approx(ends[1])
    assert ends[0][1] > 0.0051


def axis_of(told: Comparison) -> tuple[float, float]:
    """Return the ends of the axis on which the difference to the champion is drawn."""
    from evergreen.evidence.forest import BLUE, Row, draw, forest

    page = Page(12.0)
    page.set_height(3.0)
    over = told.evidence.over_champion
    assert over is not None
    axes = forest(page, 0.1, 1, "t")
    draw(page, axes, told, [Row("r", over, BLUE, "o")], needed=0.0)
    low, high = axes.get_xlim()
    return float(low), float(high)


def test_text_never_leaves_the_place_it_has() -> None:
    page = Page(12.0)
    for text in (*ODD, "word " * 100, "日本語" * 100):
        lines = page.wrapped(text, 9, 3.0, 4)
        assert len(lines) <= 4
        assert all(page.wide(line, 9) <= 3.0 for line in lines)
    assert page.wrapped("a few words", 9, 3.0, 4) == ["a few words"]
    assert "".join(page.wrapped("x" * 60, 9, 3.0, 4)) == "x" * 60, "a long word goes on in the next line"
