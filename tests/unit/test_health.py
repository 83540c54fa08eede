"""Data health, one kind of harm at a time; profiles are counted from rows, as in a check."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest

from evergreen.drift.chance import p_value
from evergreen.drift.health import health
from evergreen.durations import Duration
from evergreen.monitor_spec import Health, Monitor
from evergreen.profiles.baseline import Baseline
from evergreen.profiles.count import count_by_day
from evergreen.profiles.lay_out import lay_out
from evergreen.profiles.layout import Layout
from evergreen.profiles.profile import Profile
from evergreen.results import ColumnType
from evergreen.watch_results import HealthFinding
from evergreen.window import Window

TRAINED = datetime(2013, 1, 1, tzinfo=UTC)
AS_OF = datetime(2013, 3, 12, tzinfo=UTC)
WEEK = timedelta(days=7)
FEATURES = (ColumnType("fare", "double"), ColumnType("carrier", "string"))
MONITOR = Monitor(schedule="@daily", window=Duration(7, "days"))
APART = ("id", "at", "late")


def rows(
    start: datetime, days: int, a_day: int | list[int] = 200, **columns: pa.Array | None
) -> pa.Table:
    """Rows spread over days, as many on each as said; a column of None is left out."""
    counts = [a_day] * days if isinstance(a_day, int) else a_day
    times = [
        start + timedelta(days=day, seconds=86_400 / count * row)
        for day, count in enumerate(counts)
        for row in range(count)
    ]
    rng = np.random.default_rng(len(times))
    whole: dict[str, pa.Array | None] = {
        "at": pa.array(times, pa.timestamp("us", "UTC")),
        "fare": pa.array(rng.normal(size=len(times))),
        "carrier": pa.array(rng.choice(["AA", "UA", "WN"], len(times))),
    }
    return pa.table({name: column for name, column in (whole | columns).items() if column is not None})


def baseline(table: pa.Table | None = None, importance: Mapping[str, float] | None = None) -> Baseline:
    table = rows(TRAINED, 56) if table is None else table
    layout = lay_out(table, FEATURES)
    return Baseline(
        layout=layout,
        days=count_by_day(table.to_batches(), layout, "at"),
        columns=(*FEATURES, ColumnType("tail", "string")),
        prediction_layout=Layout(()),
        prediction_days={},
        importance=importance or {},
        metric="log_loss",
        higher_is_better=False,
        level=0.4,
        level_days=(),
    )


def found(
    table: pa.Table,
    trained: Baseline | None = None,
    newest: datetime | None = AS_OF - timedelta(minutes=1),
    as_of: datetime = AS_OF,
    window: Window | None = None,
    ahead: Mapping[date, Profile] | None = None,
    **rules: object,
) -> tuple[HealthFinding, ...]:
    trained = trained or baseline()
    days: dict[date, Profile] = count_by_day(table.to_batches(), trained.layout, "at")
    monitor = MONITOR.model_copy(update={"health": Health.model_validate(rules)})
    window = window or Window(as_of - WEEK, as_of)
    return health(trained, days, newest, as_of, window, monitor, APART, ahead or {})


def only(findings: tuple[HealthFinding, ...], kind: str) -> HealthFinding:
    assert [finding.kind for finding in findings] == [kind]
    return findings[0]


def test_a_window_like_the_baseline_is_healthy() -> None:
    assert found(rows(AS_OF - WEEK, 7)) == ()


def test_a_lost_feature_is_named() -> None:
    finding = only(found(rows(AS_OF - WEEK, 7, fare=None)), "schema")
    assert finding.words == "the feature 'fare' is lost"
    assert finding.value > finding.limit


def test_a_feature_that_is_lost_for_a_day_says_since_when() -> None:
    whole = rows(AS_OF - WEEK, 6)
    last = rows(AS_OF - timedelta(days=1), 1, fare=None)
    trained = baseline()
    days = {
        **count_by_day(whole.to_batches(), trained.layout, "at"),
        **count_by_day(last.to_batches(), trained.layout, "at"),
    }
    findings = health(trained, days, AS_OF, AS_OF, Window(AS_OF - WEEK, AS_OF), MONITOR)
    finding = only(findings, "schema")
    assert finding.words == "the feature 'fare' is lost on 1 day of 7, the first 2013-03-11"
    assert finding.value == pytest.approx(1 / 7)


def test_a_feature_that_changed_its_type_says_from_what_to_what() -> None:
    text = pa.array(["12.50"] * 1400)
    finding = only(found(rows(AS_OF - WEEK, 7, fare=text)), "schema")
    assert finding.words == "the feature 'fare' changed its type from double to string"


def test_lost_features_come_by_their_importance() -> None:
    trained = baseline(importance={"fare": 0.2, "carrier": 0.8})
    findings = found(rows(AS_OF - WEEK, 7, fare=None, carrier=None, x=pa.nulls(1400)), trained)
    assert [finding.subject for finding in findings][:2] == ["carrier", "fare"]


def test_a_new_column_is_said_and_is_no_alarm() -> None:
    table = rows(AS_OF - WEEK, 7, loyalty=pa.array(np.ones(1400)), id=pa.array(range(1400)))
    finding = only(found(table), "schema")
    assert finding.words == "the column 'loyalty' is new (double): the next retrain may learn from it"
    assert not finding.value > finding.limit


def test_a_column_that_is_no_feature_may_change_and_is_no_alarm() -> None:
    finding = only(found(rows(AS_OF - WEEK, 7, tail=pa.array(range(1400)))), "schema")
    assert finding.words == "the column 'tail', which is no feature, changed from string to int64"
    assert not finding.value > finding.limit


def test_a_spike_of_missing_values_is_beyond_the_owners_rule_and_beyond_chance() -> None:
    fares = np.where(np.arange(1400) % 5 == 0, np.nan, 1.0)
    finding = only(found(rows(AS_OF - WEEK, 7, fare=pa.array(fares))), "nulls")
    assert finding.words == "20.0% of the values of 'fare' are missing, where 0.0% were in training"
    assert (finding.value, finding.limit) == (pytest.approx(0.2), 0.05)
    assert finding.chance is not None
    assert p_value(finding.chance, finding.value) < 1e-6


def test_a_missing_value_among_few_rows_may_be_chance() -> None:
    some = np.where(np.arange(56 * 200) % 20 == 0, np.nan, 1.0)
    trained = baseline(rows(TRAINED, 56, fare=pa.array(some)))
    table = rows(AS_OF - WEEK, 1, 8, fare=pa.array([np.nan, *[1.0] * 7]))
    finding = next(f for f in found(table, trained) if f.kind == "nulls")
    assert finding.chance is not None
    assert p_value(finding.chance, finding.value) > 0.05


def test_fewer_missing_values_are_no_finding() -> None:
    some = np.where(np.arange(56 * 200) % 2 == 0, np.nan, 1.0)
    trained = baseline(rows(TRAINED, 56, fare=pa.array(some)))
    assert found(rows(AS_OF - WEEK, 7), trained) == ()


def test_a_column_of_nothing_is_all_missing() -> None:
    for nothing in (pa.nulls(1400, pa.float64()), pa.nulls(1400)):
        finding = only(found(rows(AS_OF - WEEK, 7, fare=nothing)), "nulls")
        assert finding.words.startswith("100.0% of the values of 'fare' are missing")


def test_unseen_categories_are_shown() -> None:
    carriers = pa.array(["B6" if row % 10 == 0 else "AA" for row in range(1400)])
    finding = only(found(rows(AS_OF - WEEK, 7, carrier=carriers)), "unseen")
    assert finding.words == "10.0% of the values of 'carrier' were never seen in training, such as 'B6'"
    assert finding.chance is not None
    assert p_value(finding.chance, finding.value) < 1e-6


def test_missing_values_are_no_unseen_categories() -> None:
    carriers = pa.array([None if row % 2 else "AA" for row in range(1400)])
    assert found(rows(AS_OF - WEEK, 7, carrier=carriers), nulls="60%") == ()


def test_a_million_distinct_categories_are_told_by_a_few() -> None:
    a_day = 142_858
    names = pa.array([f"c{row:07}" for row in range(7 * a_day)])
    finding = only(found(rows(AS_OF - WEEK, 7, a_day, carrier=names)), "unseen")
    assert finding.value == 1.0
    assert finding.words.endswith("such as 'c0000000', 'c0000001', 'c0000002'")


def test_rare_categories_of_training_are_not_called_unseen() -> None:
    names = np.array([f"c{min(row % 200, 60 + row % 140)}" for row in range(56 * 200)])
    trained = baseline(rows(TRAINED, 56, carrier=pa.array(names)))
    assert not trained.layout.cells[1].whole
    strange = pa.array(["new" if row % 2 else "c1" for row in range(1400)])
    finding = next(
        f for f in found(rows(AS_OF - WEEK, 7, carrier=strange), trained) if f.kind == "unseen"
    )
    assert "are rare or new" in finding.words


def test_names_of_categories_cannot_break_a_message() -> None:
    carriers = pa.array(["\x1b[31m" + "x" * 500] * 1400)
    finding = only(found(rows(AS_OF - WEEK, 7, carrier=carriers)), "unseen")
    assert "\x1b" not in finding.words
    assert len(finding.words) < 200


def test_a_drop_of_rows_is_held_against_the_baselines_days() -> None:
    finding = only(found(rows(AS_OF - WEEK, 7, 80)), "volume")
    assert finding.words == (
        "560 rows in 7 days where the baseline's days had 1,400: 60% fewer, and 50% is allowed"
    )
    assert finding.value < finding.limit


def test_more_rows_are_no_finding() -> None:
    assert found(rows(AS_OF - WEEK, 7, 2000)) == ()


def test_a_quiet_weekend_is_no_drop_where_weekends_are_quiet() -> None:
    starts = [TRAINED + timedelta(days=day) for day in range(56)]
    counts = [20 if start.weekday() >= 5 else 400 for start in starts]
    trained = baseline(rows(TRAINED, 56, counts))
    monday = datetime(2013, 3, 11, tzinfo=UTC)
    window = Window(monday - timedelta(days=2), monday)
    weekend = rows(window.start, 2, 20)
    assert found(weekend, trained, monday, monday, window) == ()
    thursday = datetime(2013, 3, 7, tzinfo=UTC)
    workdays = Window(thursday - timedelta(days=2), thursday)
    finding = only(found(rows(workdays.start, 2, 20), trained, thursday, thursday, workdays), "volume")
    assert finding.value == pytest.approx(0.05)


def test_weekdays_that_training_never_had_rows_on_are_not_expected_to_have_any() -> None:
    starts = [TRAINED + timedelta(days=day) for day in range(56)]
    table = pa.concat_tables([rows(start, 1) for start in starts if start.weekday() < 5])
    monday = datetime(2013, 3, 11, tzinfo=UTC)
    window = Window(monday - timedelta(days=2), monday)
    assert found(rows(monday, 1).slice(0, 0), baseline(table), monday, monday, window) == ()


def test_days_that_differ_much_by_themselves_allow_a_drop() -> None:
    counts = [10 if day % 3 == 0 else 300 if day % 3 == 1 else 40 for day in range(56)]
    trained = baseline(rows(TRAINED, 56, counts))
    window = Window(AS_OF - timedelta(days=1), AS_OF)
    assert found(rows(window.start, 1, 10), trained, window=window) == ()


def test_days_before_the_champion_served_are_not_missing() -> None:
    assert found(rows(AS_OF - timedelta(days=2), 2)) == ()


def test_days_without_rows_after_it_served_are() -> None:
    gone = rows(AS_OF - WEEK, 7).filter(pa.array([row < 300 for row in range(1400)]))
    finding = only(found(gone), "volume")
    assert finding.value == pytest.approx(300 / 1400)


def test_a_day_that_is_not_over_is_not_a_drop() -> None:
    noon = AS_OF + timedelta(hours=12)
    table = rows(noon - WEEK, 7)
    assert found(table, as_of=noon, newest=noon - timedelta(minutes=5)) == ()


def test_a_window_without_rows_is_a_drop_and_stale() -> None:
    findings = found(rows(AS_OF, 1).slice(0, 0), newest=datetime(2013, 3, 1, 6, tzinfo=UTC))
    assert {finding.kind for finding in findings} == {"stale", "volume"}
    assert all(np.isfinite([finding.value, finding.limit]).all() for finding in findings)


def test_a_window_of_one_row_is_a_drop() -> None:
    only(found(rows(AS_OF - WEEK, 1, 1)), "volume")


def test_stale_rows_say_since_when() -> None:
    newest = datetime(2013, 3, 1, 6, tzinfo=UTC)
    finding = next(f for f in found(rows(AS_OF - WEEK, 7), newest=newest) if f.kind == "stale")
    assert finding.words == (
        "no fresh rows since 2013-03-01 06:00 UTC, 10.8 days before the check; 7 days is allowed"
    )
    assert (finding.value, finding.limit) == (pytest.approx(10.75), 7.0)


def test_the_owner_says_how_old_rows_may_be() -> None:
    newest = AS_OF - timedelta(days=3)
    assert found(rows(AS_OF - WEEK, 7), newest=newest, stale_after="4 days") == ()
    only(found(rows(AS_OF - WEEK, 7), newest=newest, stale_after="2 days"), "stale")


def test_nothing_logged_yet_is_stale_once_training_is_old() -> None:
    nothing = rows(AS_OF, 1).slice(0, 0)
    findings = found(nothing, newest=None)
    stale = next(f for f in findings if f.kind == "stale")
    assert stale.words == (
        "no row was ever logged, and training's last is 14 days old; 7 days is allowed"
    )
    early = datetime(2013, 2, 28, tzinfo=UTC)
    window = Window(early - WEEK, early)
    findings = found(nothing, newest=None, as_of=early, window=window)
    assert "stale" not in {finding.kind for finding in findings}


def test_rows_of_the_future_are_named() -> None:
    ahead = count_by_day(rows(AS_OF + timedelta(days=30), 1).to_batches(), baseline().layout, "at")
    finding = only(found(rows(AS_OF - WEEK, 7), ahead=ahead), "future")
    assert finding.words.startswith("200 rows of the future, up to 2013-04-11: they are left out")
    assert finding.value == finding.limit  # mentioned, no alarm: some times are plans
