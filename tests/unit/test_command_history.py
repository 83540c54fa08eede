"""`evergreen history` and `as-of` tell decisions in the words of the gate."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from evergreen.cli.commands import OK
from evergreen.cli.main import main
from evergreen.comparison import Comparison
from evergreen.evidence.words import sentences
from evergreen.results import from_json, to_json
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
