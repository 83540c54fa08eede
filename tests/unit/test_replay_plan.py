"""What a replay does when: schedules walked in time order."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evergreen.replay.plan import stops
from evergreen.spec import ModelSpec
from evergreen.window import Window

MARCH = datetime(2024, 3, 1, tzinfo=UTC)
MAY = datetime(2024, 5, 1, tzinfo=UTC)


def spec(
    retrain: str | None = None,
    score: str | None = None,
    check: str | None = None,
    window: str = "1 day",
) -> ModelSpec:
    sections: dict[str, object] = {}
    if score is not None:
        sections["score"] = {"schedule": score, "window": window}
    if check is not None:
        sections["monitor"] = {"schedule": check, "window": "7 days"}
    return ModelSpec.model_validate(
        {
            "schema_version": 1,
            "name": "clicks",
            "description": "Will they?",
            "owner": "team@example.com",
            "schedule": retrain,
            "data": {
                "source": {"type": "files", "paths": ["rows.parquet"], "format": "parquet"},
                "time_column": "at",
                "key": "id",
                "label": {"column": "clicked"},
                "train_window": "1 month",
                "test_window": "1 month",
            },
            "train": {"estimator": "sklearn.linear_model.LogisticRegression"},
            "gate": {"metric": "log_loss"},
        }
        | sections
    )


def test_everything_comes_due_in_time_order_from_after_the_begin_up_to_the_end():
    found = list(stops(spec("@monthly", None, "@weekly"), MARCH, MAY))
    assert [stop.at for stop in found] == sorted(stop.at for stop in found)
    retrains = [stop.at for stop in found if "retrain" in stop.due]
    assert retrains == [datetime(2024, 4, 1, tzinfo=UTC), MAY]
    checks = [stop.at for stop in found if "check" in stop.due]
    assert checks[0] == datetime(2024, 3, 3, tzinfo=UTC)
    assert {second - first for first, second in pairwise(checks)} == {timedelta(days=7)}
    assert found[-1].at == MAY
    assert found[-1].due == {"retrain"}


def test_a_quarterly_schedule_comes_due_as_in_airflow():
    found = [s.at for s in stops(spec("@quarterly"), MARCH, datetime(2024, 8, 1, tzinfo=UTC))]
    assert found[:2] == [datetime(2024, month, 1, tzinfo=UTC) for month in (4, 7)]


def test_without_a_schedule_of_scoring_every_row_is_scored():
    found = list(stops(spec(check="@weekly"), MARCH, MAY))
    assert [stop.rows for stop in found] == [
        (Window(before, stop.at),)
        for before, stop in zip([MARCH, *(s.at for s in found)], found, strict=False)
    ]


def test_daily_scorings_between_two_stops_are_made_at_once():
    found = list(stops(spec(score="@daily", check="@weekly"), MARCH, MAY))
    assert found[0].rows == (Window(MARCH, datetime(2024, 3, 3, tzinfo=UTC)),)
    assert all(len(stop.rows) == 1 for stop in found)


def test_rows_that_no_scheduled_scoring_covers_stay_unscored():
    found = list(stops(spec(score="@weekly", check="@monthly"), MARCH, MAY))
    assert [(w.start.day, w.end.day) for w in found[0].rows] == [
        (2, 3),
        (9, 10),
        (16, 17),
        (23, 24),
        (30, 31),
    ]


def test_a_scoring_window_that_reaches_back_before_the_replay_is_cut_off_there():
    found = list(stops(spec(score="@weekly", check="@weekly", window="30 days"), MARCH, MAY))
    assert found[0].rows == (Window(MARCH, datetime(2024, 3, 3, tzinfo=UTC)),)


def test_where_nothing_ever_comes_due_all_rows_are_scored_at_the_end():
    (only,) = stops(spec(), MARCH, MAY)
    assert only.due == set()
    assert only.rows == (Window(MARCH, MAY),)


@given(
    st.sampled_from([None, "@monthly", "0 6 * * 1"]),
    st.sampled_from([None, "@daily", "@weekly"]),
    st.integers(1, 90),
)
@settings(max_examples=40, deadline=None)
def test_every_row_is_scored_once_and_before_anything_that_looks_back_at_it(retrain, check, days):
    end = MARCH + timedelta(days=days)
    found = list(stops(spec(retrain, None, check), MARCH, end))
    windows = [window for stop in found for window in stop.rows]
    assert windows[0].start == MARCH
    assert windows[-1].end == end
    assert all(a.end == b.start for a, b in pairwise(windows))
    assert all(window.end <= stop.at for stop in found for window in stop.rows)


@pytest.mark.parametrize("start", [MARCH, MARCH + timedelta(minutes=1)])
def test_what_is_due_at_the_begin_itself_is_the_first_training(start):
    assert next(stops(spec("@monthly"), start, MAY)).at == datetime(2024, 4, 1, tzinfo=UTC)
