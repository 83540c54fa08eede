"""Pictures are drawn for any labels, and leave matplotlib's global state alone."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from evergreen.training.plots import plots

PNG = b"\x89PNG\r\n"


@pytest.mark.parametrize(
    "classes", [("False", "True"), ("$x^", "_hidden", "日本"), tuple(f"c{i}" for i in range(20))]
)
def test_a_classifier_gets_a_roc_and_a_calibration_curve(classes: tuple[str, ...]) -> None:
    rng = np.random.default_rng(0)
    labels = rng.choice(np.array(classes), 200)
    pictures = plots("classification", labels, rng.dirichlet(np.ones(len(classes)), 200), classes)
    assert sorted(pictures) == ["calibration.png", "roc.png"]
    assert all(picture.startswith(PNG) for picture in pictures.values())
    assert "matplotlib.pyplot" not in sys.modules


def test_a_test_window_with_one_class_still_gets_its_pictures() -> None:
    labels = np.array(["a"] * 10)
    pictures = plots("classification", labels, np.tile([0.4, 0.6], (10, 1)), ("a", "b"))
    assert all(picture.startswith(PNG) for picture in pictures.values())


def test_a_regressor_gets_its_residuals() -> None:
    values = np.random.default_rng(0).normal(size=20_000)
    pictures = plots("regression", values, values / 2, ())
    assert pictures["residuals.png"].startswith(PNG)
