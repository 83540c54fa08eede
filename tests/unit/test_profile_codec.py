"""Baselines and profiles come back from their bytes as they were, or not at all."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from datetime import date

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evergreen.errors import ArtefactDamaged
from evergreen.profiles.baseline import Baseline, Calibrator
from evergreen.profiles.codec import (
    baseline_from_bytes,
    baseline_to_bytes,
    days_from_bytes,
    days_to_bytes,
)
from evergreen.profiles.count import count_by_day
from evergreen.profiles.lay_out import lay_out
from evergreen.profiles.layout import Layout
from evergreen.results import ColumnType
from evergreen.watch_results import DayLoss
from tests.profiled_rows import FEATURES, same, tables

finite = st.floats(allow_nan=False, allow_infinity=False)
shares = st.floats(0, 1)
day_losses = st.lists(st.builds(DayLoss, st.dates(), finite, st.integers(0, 10**9))).map(tuple)


@st.composite
def baselines(draw: st.DrawFn) -> Baseline:
    rows, answers = draw(tables()), draw(tables())
    layout, answer_layout = lay_out(rows, FEATURES), lay_out(answers, FEATURES[:1])
    lines = draw(st.lists(st.tuples(shares, shares), min_size=1))
    calibrator = Calibrator(("no", "yes"), *(tuple((line[k],) for line in lines) for k in (0, 1)))
    return Baseline(
        layout=layout,
        days=count_by_day(rows.to_batches(), layout, "at"),
        columns=(*FEATURES, ColumnType("excluded", "string")),
        prediction_layout=answer_layout,
        prediction_days=count_by_day(answers.to_batches(), answer_layout, "at"),
        importance=draw(st.dictionaries(st.text(st.characters(codec="utf-8")), shares)),
        metric="log_loss",
        higher_is_better=draw(st.booleans()),
        level=draw(st.none() | finite),
        level_days=draw(day_losses),
        classes=draw(st.sampled_from([(), ("no", "yes")])),
        calibrator=draw(st.none() | st.just(calibrator)),
        estimated_level=draw(st.none() | finite),
        estimated_days=draw(day_losses),
    )


@settings(max_examples=40)
@given(baselines())
def test_a_baseline_comes_back_whole_and_gives_the_same_bytes_again(baseline: Baseline) -> None:
    content = baseline_to_bytes(baseline)
    found = baseline_from_bytes(content)
    for field in fields(Baseline):
        if field.name not in {"days", "prediction_days"}:
            assert getattr(found, field.name) == getattr(baseline, field.name)
    for name in ("days", "prediction_days"):
        ours, theirs = getattr(found, name), getattr(baseline, name)
        assert list(ours) == list(theirs)
        assert all(same(ours[day], theirs[day]) for day in ours)
    assert baseline_to_bytes(found) == content


@settings(max_examples=40)
@given(tables(), tables())
def test_profiles_by_day_come_back_as_they_were(trained: pa.Table, rows: pa.Table) -> None:
    layout = lay_out(trained, FEATURES[:-1])
    days = count_by_day(rows.to_batches(), layout, "at")
    found = days_from_bytes(days_to_bytes(days), layout)
    assert list(found) == list(days)
    assert all(same(found[day], days[day]) for day in days)


def some_days() -> tuple[Layout, bytes]:
    times = pa.array([0, 86_400_000_000], pa.timestamp("us", "UTC"))
    rows = pa.table({"at": times, "x": [1.0, 2.0]})
    layout = lay_out(rows, [ColumnType("x", "double")])
    return layout, days_to_bytes(count_by_day(rows.to_batches(), layout, "at"))


def test_problems_and_examples_travel_too() -> None:
    times = pa.array([0, 1], pa.timestamp("us", "UTC"))
    layout = lay_out(
        pa.table({"word": ["a", "b"]}), [ColumnType("word", "string"), ColumnType("word", "string")][:1]
    )
    new = count_by_day(pa.table({"at": times, "word": ["z", "a"]}).to_batches(), layout, "at")
    lost = count_by_day(pa.table({"at": times}).to_batches(), layout, "at")
    for days in (new, lost):
        (found,) = days_from_bytes(days_to_bytes(days), layout).values()
        assert same(found, days[date(1970, 1, 1)])
        assert found.unseen or found.problems


def damaged(content: bytes) -> list[bytes]:
    plain = json.loads(content)
    counts = plain["days"][0]["counts"]
    wrong = [
        {"counts": counts + " 1"},
        {"counts": counts.replace("1", "-1")},
        {"counts": counts.replace("1", "one")},
        {"counts": counts.replace("1", "9" * 30)},
        {"columns": 7},
        {"columns": -1},
        {"rows": -1},
        {"day": "yesterday"},
    ]
    changed = [plain | {"days": [plain["days"][0] | each]} for each in wrong]
    whole = [plain | {"format": 2}, plain | {"layout": "f" * 64}, {}, [], "text", None]
    return [
        b"",
        b"\xff",
        content[:-5],
        b"[" * 100_000,
        *(json.dumps(each).encode() for each in (*changed, *whole)),
    ]


def test_damaged_bytes_are_refused() -> None:
    layout, content = some_days()
    for each in damaged(content):
        with pytest.raises(ArtefactDamaged, match="profiles by day cannot be read"):
            days_from_bytes(each, layout)


@settings(max_examples=5)
@given(baselines(), st.data())
def test_a_baseline_cut_short_is_refused(baseline: Baseline, data: st.DataObject) -> None:
    content = baseline_to_bytes(baseline)
    with pytest.raises(ArtefactDamaged, match=r"baseline.json cannot be read"):
        baseline_from_bytes(content[: data.draw(st.integers(0, len(content) - 1))])


def test_profiles_of_another_layout_are_not_stored_with_it() -> None:
    layout, content = some_days()
    (first, *_) = days = days_from_bytes(content, layout)
    days[first] = replace(days[first], layout=Layout(()))
    with pytest.raises(ValueError, match="different layouts"):
        days_to_bytes(days)


def test_no_days_are_stored_too() -> None:
    assert days_from_bytes(days_to_bytes({}), some_days()[0]) == {}
