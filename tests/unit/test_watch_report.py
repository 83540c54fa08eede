"""An alarm's report: what it holds, and that no check fails of it."""

from __future__ import annotations

import logging
from datetime import timedelta

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from evergreen import watch_report
from evergreen.errors import StoreUnavailable
from evergreen.results import from_json, to_json
from evergreen.steps import score
from evergreen.steps.watch.judge import judge
from evergreen.steps.watch.measure import measure
from evergreen.steps.watch.profile import profile
from evergreen.watch_results import Verdict
from tests.fakes.bench import MARCH, Bench, pinned

WEEK = timedelta(days=7)
AS_OF = MARCH + 4 * WEEK
MODEL = pinned(
    score={"schedule": "@weekly", "window": "7 days"},
    monitor={"schedule": "@weekly", "window": "7 days", "min_rows": 50},
)


@pytest.fixture
def bench(tmp_path):
    made = Bench(tmp_path)
    made.whole(as_of=MARCH)
    return made


@pytest.fixture
def asked(bench):
    """What a page was asked for; there is one."""
    bench.page = b"<html></html>"
    return bench.drawn


def alarmed(bench: Bench, as_of=AS_OF) -> Verdict:
    """Let x lie elsewhere in the last week, and check."""
    table = bench.source.table
    since = pa.scalar(as_of - WEEK, pa.timestamp("us", "UTC"))
    later = pc.greater_equal(table.column("at"), since)
    x = pc.if_else(later, pc.add(table.column("x"), 4.0), table.column("x"))
    bench.source.table = table.set_column(table.column_names.index("x"), "x", x)
    return checked(bench, as_of)


def checked(bench: Bench, as_of=AS_OF) -> Verdict:
    score(bench.workspace, f"churn/score/{as_of:%m-%d}", MODEL, as_of, "test")
    key = f"churn/monitor/{as_of:%m-%d}"
    profile(bench.workspace, key, MODEL, as_of, "test")
    measure(bench.workspace, key)
    return judge(bench.workspace, key)


def names(verdict: Verdict) -> list[str]:
    return [stored.artefact.name for stored in verdict.report]


def test_an_alarm_gets_pictures_and_evidentlys_page_and_they_are_found_again(bench, asked):
    verdict = alarmed(bench)
    assert verdict.answer == "alarm"
    assert names(verdict) == ["history.png", "columns.png", "evidently.html"]
    for stored in verdict.report:
        assert "/watch/churn/reports/" in stored.uri
    history, columns, page = map(bench.workspace.files.get, verdict.report)
    assert history.startswith(b"\x89PNG")
    assert columns.startswith(b"\x89PNG")
    assert page == b"<html></html>"
    assert from_json(Verdict, to_json(verdict)) == verdict


def test_evidently_is_asked_about_the_training_rows_and_the_windows(bench, asked):
    alarmed(bench)
    ((before, after, columns, title, seconds),) = asked
    assert columns == ["x"]
    assert title == "churn: rows of 2013-03-22 to 2013-03-29"
    assert 0 < seconds <= watch_report.LONGEST_SECONDS
    assert after.num_rows == 70
    assert pc.min(after.column("x")).as_py() > pc.mean(before.column("x")).as_py()
    assert pc.max(before.column("at")).as_py() < MARCH


def test_a_quiet_check_gets_no_report(bench, asked):
    verdict = checked(bench)
    assert (verdict.answer, verdict.report, asked) == ("quiet", (), [])


def test_an_alarm_that_goes_on_gets_pictures_but_no_further_page(bench, asked):
    alarmed(bench)
    assert names(checked(bench, AS_OF + WEEK)) == ["history.png", "columns.png"]
    assert len(asked) == 1


def test_without_a_page_the_pictures_are_made_and_the_log_says_why(bench, caplog):
    with caplog.at_level(logging.INFO):
        verdict = alarmed(bench)
    assert names(verdict) == ["history.png", "columns.png"]
    assert "nobody draws here" in caplog.text
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.mark.parametrize("broken", ["_history", "_columns", "_evidently"])
def test_a_part_that_breaks_is_left_out_with_a_warning_and_the_verdict_stands(
    bench, asked, monkeypatch, caplog, broken
):
    def breaks(*_):
        raise ZeroDivisionError("secret")

    monkeypatch.setattr(watch_report, broken, breaks)
    verdict = alarmed(bench)
    assert verdict.answer == "alarm"
    assert len(verdict.report) == 2
    (warning,) = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert "ZeroDivisionError" in warning.getMessage()


def test_a_store_that_is_full_costs_the_report_and_not_the_verdict(bench, asked, monkeypatch):
    put = type(bench.workspace.files).put

    def full(self, folder, name, content):
        if folder.endswith("reports"):
            raise StoreUnavailable("the disk is full")
        return put(self, folder, name, content)

    monkeypatch.setattr(type(bench.workspace.files), "put", full)
    verdict = alarmed(bench)
    assert (verdict.answer, verdict.report) == ("alarm", ())


def test_reading_that_takes_too_long_costs_the_page_only(bench, asked, monkeypatch, caplog):
    monkeypatch.setattr(watch_report, "LONGEST_SECONDS", -1.0)
    with caplog.at_level(logging.INFO):
        verdict = alarmed(bench)
    assert names(verdict) == ["history.png", "columns.png"]
    assert "took more than" in caplog.text


def test_a_snapshot_too_large_to_read_costs_the_page_only(bench, asked, monkeypatch, caplog):
    monkeypatch.setattr(watch_report, "MOST_BASELINE_ROWS", 10)
    with caplog.at_level(logging.INFO):
        verdict = alarmed(bench)
    assert names(verdict) == ["history.png", "columns.png"]
    assert "is not read for a page" in caplog.text


def test_the_history_holds_earlier_checks_and_what_was_done_up_to_this_one(bench, asked, monkeypatch):
    drawn = []
    monkeypatch.setattr(
        watch_report,
        "history_picture",
        lambda verdicts, title, moments: drawn.append((verdicts, moments)) or b"png",
    )
    checked(bench, AS_OF - WEEK)
    alarmed(bench)
    verdicts, moments = drawn[-1]
    assert [one.as_of for one in verdicts] == [AS_OF - WEEK, AS_OF]
    assert [(moment.at, moment.words) for moment in moments] == [(MARCH, "version 1 released")]
