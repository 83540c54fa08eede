"""A column with times after the label became known is found, with share and example."""

from datetime import timedelta

import pyarrow as pa
import pytest

from evergreen.column_types import TIME
from evergreen.evidence.leaks import findings
from evergreen.gate_spec import LeakRule
from tests.unit.leaks_bench import (
    WINDOWS,
    N,
    data_of,
    features_of,
    found,
    honest,
    windows_of,
    with_column,
)

DAY = timedelta(days=1)


def stamps(rows, offset, kind=TIME):
    moments = [moment + offset for moment in rows["time"].to_pylist()]
    if kind == pa.date32():
        moments = [moment.date() for moment in moments]
    if kind == pa.string():
        moments = [moment.isoformat() for moment in moments]
    return pa.array(moments, kind)


def stamped(offset, name="at", kind=TIME):
    return [with_column(rows, name, stamps(rows, offset, kind)) for rows in windows_of(honest)]


def test_a_time_at_the_moment_the_label_became_known_is_no_leak():
    assert found(*stamped(DAY)) == ()


def test_a_time_after_the_label_is_found_with_share_and_example():
    train, test = stamped(-DAY)
    late = stamps(test, DAY + timedelta(seconds=1))
    moments = [b if row == 5 else a for row, (a, b) in enumerate(zip(test["at"], late, strict=True))]
    moments = pa.array([moment.as_py() for moment in moments], TIME)
    test = test.set_column(test.column_names.index("at"), "at", moments)
    (finding,) = found(train, test)
    moment = late[5].as_py()
    assert (finding.kind, finding.subject) == ("after_label", "at")
    assert f"1 of {2 * N} rows (0.0%)" in finding.words
    assert f"{moment:%Y-%m-%dT%H:%M:%SZ} where it was known at" in finding.words
    assert f"known at {moment - timedelta(seconds=1):%Y-%m-%dT%H:%M:%SZ};" in finding.words
    assert found(train, test, rule=LeakRule(allow=["at"])) == ()


def test_the_label_delay_follows_the_calendar():
    train, test = stamped(timedelta(days=27))
    assert found(train, test, delay="1 month") == ()
    (finding,) = found(*stamped(timedelta(days=32)), delay="1 month")
    assert f"{2 * N} of {2 * N} rows (100.0%)" in finding.words


def test_a_date_counts_from_its_first_moment():
    assert found(*stamped(timedelta(days=1), kind=pa.date32())) == ()
    (finding,) = found(*stamped(timedelta(days=2), kind=pa.date32()))
    assert (finding.kind, finding.subject) == ("after_label", "at")


def test_a_missing_time_is_after_nothing():
    train, test = (
        rows.set_column(rows.column_names.index("at"), "at", pa.array(times, TIME))
        for rows in stamped(2 * DAY)
        for times in [[None] * (len(rows) - 4) + rows["at"].to_pylist()[-4:]]
    )
    late = [finding for finding in found(train, test) if finding.kind == "after_label"]
    assert "8 of 8 rows" in late[0].words


@pytest.mark.parametrize("kind", [TIME, pa.date32(), pa.string()])
def test_a_column_of_computed_at_is_checked_though_it_is_no_feature(kind):
    rule = LeakRule(computed_at=["at"])
    for offset, kinds in ((timedelta(hours=23), []), (3 * DAY, ["after_label"])):
        train, test = stamped(offset, kind=kind)
        features = features_of(train.drop_columns("at"))
        answer = findings(rule, data_of(), "classification", WINDOWS, features, train, test)
        assert [finding.kind for finding in answer] == kinds


def test_allowing_a_column_does_not_excuse_it_as_computed_at():
    rule = LeakRule(computed_at=["at"], allow=["at"])
    assert [finding.kind for finding in found(*stamped(2 * DAY), rule=rule)] == ["after_label"]


@pytest.mark.parametrize(
    ("column", "why"),
    [
        (None, "no column 'at'"),
        (pa.array([1.5] * N), "holds no times"),
        (pa.array(["soon"] * N), "holds no times"),
        (pa.nulls(N, TIME), "is empty"),
        (pa.nulls(N), "is empty"),
    ],
)
def test_a_column_of_computed_at_that_cannot_be_checked_is_told(column, why):
    train, test = windows_of(honest)
    features = features_of(train)
    if column is not None:
        train, test = with_column(train, "at", column), with_column(test, "at", column)
    rule = LeakRule(computed_at=["at"])
    (finding,) = findings(rule, data_of(), "classification", WINDOWS, features, train, test)
    assert (finding.kind, finding.subject) == ("after_label", "at")
    assert why in finding.words
    assert "gate.leaks.computed_at" in finding.words
