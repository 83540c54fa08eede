"""`evergreen explain`: the reasoning of the newest comparison, from the ledger alone."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import Any

import pytest

from evergreen.cli.exit_codes import FINDINGS, OK, USAGE
from evergreen.cli.main import main
from evergreen.results import Candidate, ModelArtefact, Refit, RunReport, StepFailure
from evergreen.window import Window
from tests.comparisons import SERVING
from tests.unit.test_questions import Story, month


@pytest.fixture
def story(monkeypatch: pytest.MonkeyPatch) -> Story:
    """Return runs whose ledger the command opens."""
    story = Story()

    @contextmanager
    def opened(_: Any) -> Any:
        yield story.ledger

    monkeypatch.setattr("evergreen.cli.explain.open_ledger", opened)
    return story


def lines_of(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().out.splitlines()


def test_a_kept_champion_is_explained_with_what_is_live_and_what_would_change_it(
    story: Story, capsys: pytest.CaptureFixture[str]
):
    story.run("march", 3, champion=None, promote=True, version=1)
    story.run("april", 4, champion=1, promote=False)
    assert main(["explain", "m"]) == OK
    said = lines_of(capsys)
    assert said[0] == (
        "live      version 1, trained as of 2013-03-01 00:00, on target local since 2026-01-01 "
        "12:00:00 UTC (ledger entry 7)"
    )
    assert said[1].startswith(
        "decided   keep, by run m/april, as of 2013-04-01 00:00, at 2026-01-01 13:0"
    )
    assert said[3:5] == ["why", "  Keep version 1: the new model is worse than version 1."]
    assert "  This run released nothing." in said
    assert said[said.index("what would change the answer") + 1].startswith(
        "  All of the interval against the champion must be better than 0; it begins at "
    )


def test_an_earlier_time_is_explained_by_what_the_ledger_held_then(
    story: Story, capsys: pytest.CaptureFixture[str]
):
    story.run("march", 3, champion=None, promote=True, version=1)
    story.run("april", 4, champion=1, promote=False)
    assert main(["explain", "m", "--as-of", "2026-01-01T12:30:00+00:00"]) == OK
    said = lines_of(capsys)
    assert "run m/march" in said[1]
    assert "  Version 1 was released: the model that was tested." in said


@pytest.mark.parametrize("asked", ["march", "m/march"])
def test_any_run_can_be_explained(story: Story, asked: str, capsys: pytest.CaptureFixture[str]):
    story.run("march", 3, champion=None, promote=True, version=1)
    story.run("april", 4, champion=1, promote=False)
    assert main(["explain", "m", "--run", asked]) == OK
    assert "decided   promote, by run m/march" in capsys.readouterr().out


def test_an_unknown_run_is_a_usage_error_that_names_the_newest(
    story: Story, capsys: pytest.CaptureFixture[str]
):
    story.run("march", 3, champion=None, promote=True, version=1)
    assert main(["explain", "m", "--run", "mrach"]) == USAGE
    assert "knows no run 'mrach' of 'm'; the newest: m/march" in capsys.readouterr().err


def test_a_model_the_ledger_does_not_know_ends_with_findings(
    story: Story, capsys: pytest.CaptureFixture[str]
):
    assert main(["explain", "nobody"]) == FINDINGS
    assert lines_of(capsys) == [
        "live      nothing: nobody had no champion",
        "decided   nothing: the ledger holds no comparison of any run of nobody",
    ]
    assert main(["explain", "nobody", "--json"]) == FINDINGS
    assert json.loads(capsys.readouterr().out)["comparison"] is None


def test_a_run_that_failed_before_it_compared_says_why(story: Story, capsys: pytest.CaptureFixture[str]):
    story.lease = story.ledger.acquire("m", "m/march")
    story.write("step_failed", "march", StepFailure("ingest", "DataUnusable", "no rows", False))
    report = RunReport("m/march", "m", month(3), "failed", None, None, "m: failed (no rows)")
    story.write("run_finished", "march", report)
    assert main(["explain", "m", "--run", "march"]) == FINDINGS
    assert lines_of(capsys)[-1].strip() == "m: failed (no rows)"


def test_a_later_run_that_failed_is_told_beside_the_newest_comparison(
    story: Story, capsys: pytest.CaptureFixture[str]
):
    story.run("march", 3, champion=None, promote=True, version=1)
    assert main(["explain", "m", "--json"]) == OK
    assert json.loads(capsys.readouterr().out)["later"] is None
    story.lease = story.ledger.acquire("m", "m/april")
    story.write("step_failed", "april", StepFailure("evaluate", "DataUnusable", "no column x", False))
    report = RunReport("m/april", "m", month(4), "failed", 1, None, "m: failed")
    story.write("run_finished", "april", report)
    assert main(["explain", "m"]) == OK
    said = lines_of(capsys)
    assert said[2] == "since     run m/april began, failed: evaluate: no column x"
    assert main(["explain", "m", "--run", "march"]) == OK
    assert not any(line.startswith("since") for line in lines_of(capsys))


def test_a_refit_is_told_as_tested_and_shipped(story: Story, capsys: pytest.CaptureFixture[str]):
    story.run("march", 3, champion=None, promote=True, version=1)
    story.lease = story.ledger.acquire("m", "m/march")
    shipped = Candidate(
        "shipped-key", "run", "classification", ModelArtefact("uri", "1" * 64, ()), (), ("0",), (1.0,),
        12_000, 0, {}, trained_on=Window(month(1), month(3)), refit_of="key-march",
    )  # fmt: skip
    story.write("refit", "march", Refit("key-march", shipped, SERVING, True, "fit to serve: 1.8 MB"))
    assert main(["explain", "m"]) == OK
    said = lines_of(capsys)
    section = said[said.index("shipped") + 1 :]
    assert section[0].strip() == (
        "Candidate key-march was tested and won; then the same recipe was trained once more with the "
        "test rows: candidate shipped-key, 12,000 rows, up to 2013-03-01. That is what is released."
    )
    assert section[1].strip() == "Fit to serve: 1.8 MB."


def test_json_holds_the_entries_and_the_sentences(story: Story, capsys: pytest.CaptureFixture[str]):
    story.run("march", 3, champion=None, promote=True, version=1)
    assert main(["explain", "m", "--json"]) == OK
    told = json.loads(capsys.readouterr().out)
    assert told["why"][0].startswith("Promote: ")
    assert told["shipped"] == ["Version 1 was released: the model that was tested."]
    assert told["comparison"]["body"]["decision"] == "promote"
    assert told["live"]["key"] == "release/m/march"


def test_a_time_that_is_none_is_a_usage_error(story: Story, capsys: pytest.CaptureFixture[str]):
    assert main(["explain", "m", "--as-of", "yesterday"]) == USAGE
    assert "--as-of" in capsys.readouterr().err
