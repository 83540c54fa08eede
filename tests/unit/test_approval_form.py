"""What people are shown when they are asked: everything needed to answer, and nothing that renders."""

from __future__ import annotations

from dataclasses import replace

import pytest

from evergreen.approval_form import MOST_SLICES, body, fields, subject, users
from evergreen.evidence.words import sentences
from evergreen.results import Candidate, Retrain
from evergreen.text import markdown
from evergreen.window import windows_at
from tests.comparisons import comparison, slice_of
from tests.fakes.bench import MARCH, pinned
from tests.unit.test_approval import ASKED
from tests.unit.test_results import CANDIDATE

DATA = pinned().spec.data
RETRAIN = Retrain(
    "churn/run",
    pinned(tier="high"),
    windows_at(MARCH, DATA.train_window, DATA.test_window, DATA.label.delay),
    "drift of x",
    "auto",
    "1",
    "carol",
)
TESTED: Candidate = CANDIDATE


def shown(**changes: object) -> str:
    return body(replace(ASKED, **changes), RETRAIN, comparison(), TESTED)  # type: ignore[arg-type]


def test_the_form_shows_the_answer_the_reasoning_the_evidence_and_what_silence_does():
    told = shown()
    for sentence in sentences(comparison()):
        assert markdown(sentence) in told
    assert f"Evidence {ASKED.evidence[:12]} (question 1)" in told
    assert f"MLflow run {markdown(TESTED.run_id)}" in told
    assert "started by carol" in told
    assert "until 2026-01-04 12:00 UTC, the champion is kept" in told
    assert "the version is released" in shown(on_timeout="release")
    assert subject(ASKED) == "Release version 2 of churn in place of version 1?"
    assert fields(ASKED)["evidence"]["value"] == ASKED.evidence[:12]


def test_slices_come_in_a_table_the_most_harmed_first_and_the_rest_is_counted():
    parts = tuple(slice_of(f"a|{number}", estimate=0.001 * number) for number in range(MOST_SLICES + 3))
    compared = comparison(slices=parts)
    told = body(ASKED, RETRAIN, compared, TESTED)
    rows = [line for line in told.splitlines() if line.startswith("|")]
    assert len(rows) == 2 + MOST_SLICES + 1
    assert rf"a\|{MOST_SLICES + 2}" in rows[2], "a bar within a name does not end the cell"
    assert rows[-1] == "| and 3 more | | | |"


@pytest.mark.parametrize(
    ("approvers", "trigger", "expected"),
    [
        ((), "carol", []),
        (("alice", "carol"), "carol", ["alice"]),
        (("alice",), None, ["alice"]),
        (("carol",), "carol", ["carol"]),
    ],
)
def test_airflow_lets_answer_whom_the_rules_let_and_never_everybody_where_some_are_named(
    approvers: tuple[str, ...], trigger: str | None, expected: list[str]
):
    asked = replace(ASKED, approvers=approvers, triggered_by=trigger)
    assert users(asked) == [{"id": name, "name": name} for name in expected]


def test_the_form_says_where_nobody_is_left_who_may_answer():
    told = shown(approvers=("carol",), triggered_by="carol")
    assert "Nobody is left who may answer" in told
