"""Evidently's page, made by the real Evidently: harmless, bounded, and whole without a network."""

from __future__ import annotations

import re

import numpy as np
import pyarrow as pa
import pytest

from evergreen.adapters import evidently_report
from evergreen.adapters.evidently_report import MOST_ROWS, page
from evergreen.watch_ports import NoPage

pytest.importorskip("evidently")

SCRIPT = "</script><script>alert(1)</script>"


def rows(count: int, shift: float = 0.0) -> pa.Table:
    dice = np.random.default_rng(count)
    at = np.datetime64("2013-01-01", "us") + np.arange(count).astype("timedelta64[h]")
    return pa.table(
        {
            "number": pa.array(dice.normal(size=count) + shift, mask=dice.random(count) < 0.1),
            "far": np.where(dice.random(count) < 0.05, np.inf, dice.normal(size=count)),
            "word": pa.array(dice.choice(["a", "b", SCRIPT], count)).dictionary_encode(),
            SCRIPT: dice.integers(0, 9, count),
            "id": [f"id {n}" for n in dice.integers(0, 10**6, count)],
            "flag": dice.random(count) < 0.5,
            "same": np.ones(count),
            "empty": pa.nulls(count, pa.float64()),
            "at": pa.array(at, pa.timestamp("us", "UTC")),
        }
    )


def test_a_page_shows_every_usable_column_and_nothing_of_the_data_becomes_a_script():
    before, after = rows(MOST_ROWS + 500), rows(900, 1.0)
    made = page(before, after, [*before.column_names, "nowhere"], f"m {SCRIPT}").decode()
    assert SCRIPT not in made
    assert "<script>alert" not in made
    for name in ("number", "far", "word", "id", "flag", "same"):
        assert f'"{name}"' in made
    assert "5,000 rows of the baseline against 900 rows of the window" in made
    loaded = re.findall(r"""<(?:script|img|link|iframe)[^>]*?(?:src|href)=["']?(?!data:)[^>]*>""", made)
    assert loaded == []
    assert "default-src 'none'" in made[: made.index("<style")]


def test_a_page_that_takes_too_long_is_given_up():
    with pytest.raises(NoPage, match=r"longer than 0\.05 s"):
        page(rows(50), rows(50), ["number"], "m", seconds=0.05)


def test_what_evidently_dies_of_is_told_and_bounded(monkeypatch):
    monkeypatch.setattr(evidently_report, "_COLUMNS", "/nowhere/columns.json")
    with pytest.raises(OSError, match="nowhere"):
        page(rows(50), rows(50), ["number"], "m")
    monkeypatch.setattr(evidently_report, "_write", lambda *_: None)
    with pytest.raises(NoPage, match="Evidently failed: FileNotFoundError"):
        page(rows(50), rows(50), ["number"], "m")


@pytest.mark.parametrize("columns", [[], ["at"], ["empty"], ["nowhere"]])
def test_nothing_to_show_is_no_page(columns):
    with pytest.raises(NoPage, match="no column"):
        page(rows(50), rows(50), columns, "m")


def test_without_evidently_the_reason_says_what_to_install(monkeypatch):
    monkeypatch.setattr(evidently_report, "installed", lambda: False)
    with pytest.raises(NoPage, match=r"evergreen\[evidently\]"):
        page(rows(50), rows(50), ["number"], "m")
