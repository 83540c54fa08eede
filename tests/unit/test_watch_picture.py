"""The watch's pages are drawn for any history and any columns, 800 pixels wide."""

from __future__ import annotations

import struct
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest

from evergreen.columns_picture import Change, columns_picture
from evergreen.evidence.page import Page
from evergreen.profiles.count import count
from evergreen.profiles.lay_out import lay_out
from evergreen.profiles.layout import Cells
from evergreen.results import ColumnType
from evergreen.watch_picture import Moment, history_picture
from evergreen.watch_results import Finding, Verdict
from evergreen.window import Window

START = datetime(2013, 3, 1, tzinfo=UTC)
WEEK = timedelta(days=7)
ODD = ("$a$_{b}", "日本" * 30, "Zürich\n\x1b[31m", "x" * 300, "\\frac{", "_hidden", "")


def finding(value=0.1, threshold=0.2, subject="fare", level="features", answer=None) -> Finding:
    over = value is not None and threshold is not None and value > threshold
    return Finding(
        level,
        subject,
        "anderson_darling",
        value,
        threshold,
        0.01,
        2.0,
        answer or ("alarm" if over else "quiet"),
        f"{subject}: Anderson-Darling {value}",
    )


def verdict(week: int, *findings: Finding) -> Verdict:
    at = START + week * WEEK
    alarm = any(each.answer == "alarm" for each in findings)
    answer = ("alarm" if alarm else "quiet") if findings else "not enough data"
    words = ("Quiet: 700 rows.",) if week % 2 else ()
    return Verdict(f"m/{week}", at, Window(at - WEEK, at), 3, answer, None, (), findings, words)


def size_of(png: bytes) -> tuple[int, int]:
    assert png.startswith(b"\x89PNG\r\n")
    width, height = struct.unpack(">II", png[16:24])
    return width, height


HISTORIES = {
    "one check": [verdict(1, finding())],
    "nothing was ever judged": [verdict(week) for week in range(3)],
    "quiet": [
        verdict(week, finding(0.01 * week), finding(0.4, 0.5, "loss", "loss")) for week in range(9)
    ],
    "far beyond": [verdict(week, finding(10.0**week, 0.01)) for week in range(5)],
    "without a threshold": [verdict(week, finding(0.3, None)) for week in range(3)],
    "value unknown": [verdict(1, finding()), verdict(2, finding(None, None, answer="not enough data"))],
    "all zero": [verdict(week, finding(0.0, 0.0)) for week in range(3)],
    "negative": [verdict(week, finding(-1.5 - week, -1.0, "r2", "loss")) for week in range(3)],
    "two checks at once": [verdict(1, finding()), verdict(1, finding(0.5))],
    "many checks": [verdict(week, finding(0.1 + week % 3)) for week in range(500)],
    "many subjects": [
        verdict(week, *(finding(n / 10, 0.5, f"c{n}") for n in range(10))) for week in range(3)
    ],
}


@pytest.mark.parametrize("name", HISTORIES)
def test_every_history_has_its_page(name):
    width, height = size_of(history_picture(HISTORIES[name], "flight_delay"))
    assert width == 800
    assert 200 < height < 1200


def test_a_page_is_taller_for_each_subject_and_for_what_was_done():
    one, many = HISTORIES["quiet"], HISTORIES["many subjects"]
    moments = [Moment(START + 3 * WEEK, "version 4 released")]
    short, tall = (size_of(history_picture(each, "m"))[1] for each in (one, many))
    assert short < tall
    assert short < size_of(history_picture(one, "m", moments))[1]


@pytest.mark.parametrize("text", ODD)
def test_odd_text_is_shown_as_it_is(text):
    told = replace(verdict(1, finding(subject=text)), words=(text,))
    moments = [Moment(START + week * WEEK, text) for week in (0, 1, 1, 30)]
    assert size_of(history_picture([told], text, moments))[0] == 800
    cells = Cells(text or "empty", "category", "string", categories=(text, "b"))
    change = Change(cells, np.array([0, 5, 1, 0]), np.array([1, 2, 0, 4]), text)
    assert size_of(columns_picture([change], text))[0] == 800


def texts_of(monkeypatch) -> list[str]:
    written: list[str] = []
    drawn = Page.text

    def text(self, left, top, words, size, **style):
        written.append(words)
        return drawn(self, left, top, words, size, **style)

    monkeypatch.setattr(Page, "text", text)
    return written


def test_what_the_newest_check_alarms_of_is_drawn_first_then_what_alarmed_most(monkeypatch):
    written = texts_of(monkeypatch)
    checks = [
        verdict(1, finding(0.9, 0.5, "often"), finding(0.9, 0.5, "never, now")),
        verdict(2, finding(0.9, 0.5, "often"), finding(0.1, 0.5, "quiet")),
        verdict(3, finding(0.9, 0.5, "today"), finding(0.1, 0.5, "quiet"), finding(0.1, 0.5, "often")),
    ]
    history_picture(checks, "m")
    subjects = [words for words in written if words in {"often", "today", "quiet", "never, now"}]
    assert subjects == ["today", "often", "never, now", "quiet"]
    assert any("3 checks from 2013-03-08 to 2013-03-22, 3 alarms" in words for words in written)


def test_a_loss_is_one_line_whichever_days_speak_of_it_and_each_kind_of_health_its_own(monkeypatch):
    written = texts_of(monkeypatch)
    loss = finding(0.4, 0.5, "log_loss", "loss")
    broken = finding(0.1, 0.5, "fare", "health")
    checks = [
        verdict(1, replace(loss, measure="mean of the last 4 days"), replace(broken, measure="nulls")),
        verdict(2, replace(loss, measure="mean of the last 7 days"), replace(broken, measure="unseen")),
    ]
    history_picture(checks, "m")
    assert written.count("log_loss") == 1
    assert "mean of the last 7 days, loss" in written
    assert written.count("fare") == 2


def test_moments_that_would_stand_on_each_other_use_two_rows_and_no_more(monkeypatch):
    written = texts_of(monkeypatch)
    moments = [Moment(START + 5 * WEEK + timedelta(hours=n), f"version {n} released") for n in range(4)]
    history_picture(HISTORIES["quiet"], "m", moments)
    assert [words for words in written if words.startswith("version")] == [
        "version 0 released",
        "version 1 released",
    ]


def test_an_svg_is_the_same_bytes_each_time_and_needs_nothing_else():
    checks = HISTORIES["quiet"]
    first = history_picture(checks, "m", kind="svg")
    assert first == history_picture(checks, "m", kind="svg")
    assert b"<svg" in first[:1000]
    assert b"<image" not in first


def test_drawing_leaves_no_global_state():
    history_picture(HISTORIES["quiet"], "m", kind="svg")
    assert "matplotlib.pyplot" not in sys.modules


def changes(rows: int = 400, shift: float = 1.0) -> list[Change]:
    dice = np.random.default_rng(0)

    def table(count: int, by: float) -> pa.Table:
        at = np.datetime64("2013-01-01", "us") + (dice.random(count) * 9e12).astype("timedelta64[us]")
        return pa.table(
            {
                "number": pa.array(dice.normal(size=count) + by, mask=dice.random(count) < 0.1),
                "few": dice.integers(0, 3, count),
                "same": np.ones(count),
                "word": dice.choice([f"w{n}" for n in range(30)] + ["new"] * round(by), count),
                "id": [f"{n:0{1 + n % 9}d}" for n in dice.integers(0, 10**6, count)],
                "flag": dice.random(count) < 0.5,
                "instant": pa.array(at, pa.timestamp("us", "UTC")),
                "day": pa.array(at.astype("datetime64[D]")),
                "none": pa.nulls(count, pa.float64()),
            }
        )

    before, after = table(5000, 0.0), table(rows, shift)
    features = [ColumnType(field.name, str(field.type)) for field in before.schema]
    layout = lay_out(before, features)
    then, now = count(before.to_batches(), layout), count(after.to_batches(), layout)
    return [Change(c, then.of(c.column), now.of(c.column), f"{c.column} moved") for c in layout.cells]


def test_every_kind_of_column_is_drawn():
    for change in changes():
        width, height = size_of(columns_picture([change], "m"))
        assert width == 800
        assert height < 350


def test_columns_without_any_row_are_drawn():
    for change in changes():
        nothing = np.zeros(len(change.cells), dtype=np.int64)
        assert size_of(columns_picture([replace(change, before=nothing, after=nothing)], "m"))[0] == 800


def test_more_columns_than_fit_are_counted(monkeypatch):
    written = texts_of(monkeypatch)
    columns_picture(changes() * 2, "m")
    assert "Not drawn: 12 more columns." in written
    assert sum(words.endswith("→ 400 rows") for words in written) == 6


def test_a_page_of_columns_may_be_an_svg():
    assert columns_picture(changes()[:2], "m", "svg") == columns_picture(changes()[:2], "m", "svg")
