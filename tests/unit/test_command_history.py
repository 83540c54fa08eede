"""`evergreen history` and `as-of` tell decisions in the words of the gate."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from evergreen.cli.exit_codes import OK
from evergreen.cli.main import main
from evergreen.comparison import Comparison
from evergreen.evidence.words import sentences
from evergreen.results import StepFailure, from_json, to_json
from evergreen.steps import requests
from evergreen.watch_results import RetrainDecision, RetrainRequest, Verdict
from evergreen.window import Window
from tests.comparisons import check
from tests.unit.test_questions import Story


@pytest.fixture
def story(monkeypatch: pytest.MonkeyPatch) -> Story:
    """Return a release as of March, and a comparison of April that kept it; both commands read them."""
    story = Story()
    story.run("march", 3, champion=None, promote=True, version=1)
    story.run("april", 4, champion=1, promote=False)

    @contextmanager
    def opened(_: Any) -> Any:
        yield story.ledger

    for command in ("history", "as_of"):
        monkeypatch.setattr(f"evergreen.cli.{command}.open_ledger", opened)
    return story


def test_history_tells_each_decision_with_its_foremost_reason(
    story: Story, capsys: pytest.CaptureFixture[str]
):
    assert main(["history", "m"]) == OK
    march, april = capsys.readouterr().out.splitlines()[1:]
    assert march.split()[:6] == ["2013-03-01", "00:00", "-", "v1", "promoted", "-0.068"]
    assert april.split()[:6] == ["2013-04-01", "00:00", "v1", "-", "kept", "+0.004"]
    assert april.rstrip().endswith("Keep version 1: the new model is worse than version 1.")


def test_an_open_question_is_called_so_and_not_a_kept_champion(
    story: Story, capsys: pytest.CaptureFixture[str]
):
    story.lease = story.ledger.acquire("m", "m/april")
    kept = from_json(Comparison, story.ledger.find("comparison/m/april").body)
    undecided = replace(kept, decision="inconclusive", checks=(check("champion", "inconclusive"),))
    story.write("comparison", "april", undecided, 2)
    assert main(["history", "m"]) == OK
    april = capsys.readouterr().out.splitlines()[2]
    assert " inconclusive " in april
    assert "Inconclusive, version 1 stays: these rows cannot tell" in april


def test_as_of_tells_the_evidence_sentence_by_sentence(story: Story, capsys: pytest.CaptureFixture[str]):
    assert main(["as-of", "m", "2026-01-02"]) == OK
    said = capsys.readouterr().out.splitlines()
    compared = from_json(Comparison, story.ledger.find("comparison/m/march").body)
    told = [line.removeprefix("  evidence  ") for line in said if line.startswith("  evidence  ")]
    assert told == list(sentences(compared))
    assert to_json(compared)["decision"] == "promote"


def watch(story: Story, *days: int) -> None:
    """Let each of the days' checks alarm and ask for a retrain."""
    for day in days:
        as_of = datetime(2013, 4, day, tzinfo=UTC)
        key = f"m/monitor/{day}"
        verdict = Verdict(key, as_of, Window(as_of, as_of), 1, "alarm", "features", (), (), ())
        request = RetrainRequest(key, as_of, "x drifted", "watch")
        reasons = ("retrain: 2 of the last 5 checks alarmed", "for: no cooldown")
        lease = story.ledger.acquire("m", key, "monitor")
        for kind, result in (
            ("verdict", verdict),
            ("retrain_requested", request),
            ("retrain_decided", RetrainDecision(key, as_of, "retrain", reasons, request)),
        ):
            story.ledger.append(kind, f"{kind}/{key}", to_json(result), lease)
        story.ledger.free(lease)


def test_history_of_the_watch_tells_each_check_and_what_became_of_its_request(
    story: Story, capsys: pytest.CaptureFixture[str]
):
    watch(story, 1, 8, 15)
    workspace = SimpleNamespace(ledger=story.ledger)
    lease = story.ledger.acquire("m", "m/april")
    requests.take(workspace, "m/april", lease, datetime(2013, 4, 8, tzinfo=UTC))
    requests.close(workspace, "m/april", "kept", lease)
    assert main(["history", "m", "--watch"]) == OK
    first, second, third = capsys.readouterr().out.splitlines()[1:]
    told = "v1  alarm (features)  retrain  2 of the last 5 checks alarmed"
    assert " ".join(first.split()) == (
        f"2013-04-01 00:00 {' '.join(told.split())} kept, with a later request, by m/april"
    )
    assert second.endswith("kept by m/april")
    assert third.endswith("waits")


def test_history_of_the_watch_is_bounded_and_json_is_whole(
    story: Story, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    watch(story, 1, 2, 3)
    monkeypatch.setattr("evergreen.cli.history.MOST_CHECKS", 2)
    assert main(["history", "m", "--watch"]) == OK
    told = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in told[1:3]] == ["2013-04-02", "2013-04-03"]
    assert told[-1] == "the newest 2 of 3 checks; --json gives all"
    assert main(["history", "m", "--watch", "--json"]) == OK
    assert len(json.loads(capsys.readouterr().out)) == 3


def test_a_model_that_was_never_checked_has_no_such_history(
    story: Story, capsys: pytest.CaptureFixture[str]
):
    assert main(["history", "m", "--watch"]) == OK
    assert capsys.readouterr().out == "the ledger knows no check of 'm'\n"


def test_a_failed_check_is_no_retrain(story: Story, capsys: pytest.CaptureFixture[str]):
    lease = story.ledger.acquire("m", "m/monitor/1", "monitor")
    failure = StepFailure("profile", "SourceUnavailable", "no answer", True)
    story.ledger.append("step_failed", "step_failed/m/monitor/1", to_json(failure), lease)
    assert main(["history", "m"]) == OK
    assert len(capsys.readouterr().out.splitlines()) == 3
