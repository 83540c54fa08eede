"""What a pass tells people, and where it stands to be read later."""

from __future__ import annotations

from dataclasses import replace

import pytest

from evergreen.alerts.context import Context
from evergreen.alerts.events import TELLING, event_of
from evergreen.cli.main import build_parser
from evergreen.entry_keys import entry_key
from evergreen.ledger.questions import history
from evergreen.ports import Entry
from evergreen.reconcile_results import Finding
from evergreen.results import Release, RunReport, from_json, to_json
from evergreen.watch_results import RequestClosed
from tests.fakes.bench import APRIL, Bench
from tests.unit.reconcile_bench import bench, clock, once, request

__all__ = ["bench", "clock"]

ASTRAY = Finding(
    "churn",
    "astray_champion",
    "7/3",
    "the registry's alias champion is on version 3, and the ledger has version 2",
    "the alias is put back on version 2",
    command='evergreen rollback churn --to 3 --why "…"',
)
STUCK = Finding(
    "churn",
    "stuck_request",
    request().key,
    "a request waits",
    "see why",
    mends=False,
    command="evergreen run churn --requested",
)
LOST = replace(STUCK, kind="lost_version", refers_to="2/k", words="the registry lost version 2")
UNMENDED = replace(STUCK, kind="unmended", refers_to="astray_champion/7/3")


def told(finding: Finding):
    key = entry_key("reconciled", finding.run_key)
    return event_of(Entry(1, APRIL, "churn", "reconciled", key, to_json(finding), "", ""), Context())


def test_that_an_alias_was_put_back_is_told_with_the_command_for_who_wants_it_otherwise():
    event = told(ASTRAY)
    assert (event.name, event.severity, event.cause) == ("reconciled", "medium", None)
    assert event.headline == (
        "churn: the alias is put back on version 2, for the registry's alias champion is on version 3, "
        "and the ledger has version 2."
    )
    assert event.command == 'evergreen rollback churn --to 3 --why "…"'
    assert "The ledger decides" in event.lines[0]


@pytest.mark.parametrize("kind", ["unfinished_release", "astray_target"])
def test_a_release_that_was_finished_or_put_back_is_told(kind):
    assert told(replace(ASTRAY, kind=kind)).name == "reconciled"


@pytest.mark.parametrize(
    "kind", ["abandoned_run", "unended_request", "unserved_request", "overdue_question"]
)
def test_what_other_entries_tell_is_not_told_twice(kind):
    event = told(replace(ASTRAY, kind=kind))
    assert (event.name, event.cause) == ("recovered", None)


def test_a_stuck_request_opens_an_incident_that_its_end_closes():
    event = told(STUCK)
    assert (event.name, event.severity, event.cause) == ("stuck", "medium", f"stuck/{request().key}")
    closed = RequestClosed(request().key, "churn/late", "promoted")
    key = entry_key("request_closed", closed.key)
    end = event_of(Entry(2, APRIL, "churn", "request_closed", key, to_json(closed), "", ""), Context())
    assert (end.name, end.closes) == ("recovered", (event.cause,))
    assert {"reconciled", "request_closed"} <= TELLING


def test_what_could_not_be_mended_is_over_once_it_is_mended():
    assert told(UNMENDED).cause in told(ASTRAY).closes
    assert told(UNMENDED).severity == "high"


@pytest.mark.parametrize("finding", [LOST, replace(LOST, kind="unknown_champion"), UNMENDED])
def test_what_was_told_is_over_once_it_is_said_to_be_so_no_more(finding):
    end = told(replace(finding, mends=True))
    assert (end.name, end.closes) == ("recovered", (told(finding).cause,))


def test_a_lost_version_is_over_once_another_serves(bench):
    bench.whole()
    report = RunReport("churn/x", "churn", APRIL, "promoted", 1, 2, "churn: promoted version 2")
    key = entry_key("run_finished", report.run_key)
    ended = event_of(Entry(2, APRIL, "churn", "run_finished", key, to_json(report), "", ""), Context())
    assert told(LOST).cause in ended.closes


def test_every_command_that_is_named_is_one():
    parser = build_parser()
    for finding in (ASTRAY, STUCK, LOST):
        words = finding.command.replace('"…"', "why").split()
        assert parser.parse_args(words[1:])


def test_what_was_mended_and_told_stands_in_the_history(bench: Bench):
    bench.whole()
    bench.registry.aliases["churn"]["champion"] = 7
    once(bench)
    bench.registry.versions["churn"].clear()
    bench.registry.aliases["churn"].clear()
    once(bench)
    promoted, mended, stuck = history(bench.ledger, "churn")
    assert (promoted.decision, mended.decision, stuck.decision) == ("promoted", "reconciled", "stuck")
    assert mended.summary.startswith("churn: the alias is put back on version 1, for the registry's")
    assert "does not hold version 1" in stuck.reason
    assert from_json(Release, bench.ledger.last("churn", "release").body).version.number == 1
