"""What no run of a model can see by itself: model files that broke, and models that went stale."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from evergreen.alerts.channels import channel_of
from evergreen.alerts.event import Notice
from evergreen.hand import Deed
from evergreen.ledger import open_ledger
from evergreen.ports import Ledger
from evergreen.results import Retrain, RunReport, from_json, to_json
from evergreen.steps.alerts.fleet import look_over
from evergreen.window import windows_at
from tests.fakes.bench import pinned

LATER = datetime.now(UTC) + timedelta(days=50)
MODEL = """\
schema_version: 1
name: {name}
description: Will it be late?
owner: team@example.com
schedule: null
stale_after: 45 days
{more}data:
  source: {{type: files, paths: ["rows.parquet"], format: parquet}}
  time_column: at
  key: id
  label: {{column: late}}
  train_window: 3 months
  test_window: 1 month
train: {{estimator: sklearn.linear_model.LogisticRegression}}
gate: {{metric: log_loss}}
"""


def write(folder: Path, name: str = "churn", more: str = "", suffix: str = "yaml") -> Path:
    path = folder / f"{name}.{suffix}"
    path.write_text(MODEL.format(name=name, more=more), encoding="utf-8")
    return path


@pytest.fixture
def ledger(tmp_path):
    ledger = open_ledger(f"sqlite:///{tmp_path / 'ledger.db'}", 600)
    yield ledger
    ledger.close()


@pytest.fixture
def models(tmp_path):
    folder = tmp_path / "models"
    folder.mkdir()
    return folder


def notices(ledger: Ledger) -> list[Notice]:
    return [from_json(Notice, entry.body) for entry in ledger.entries(kind="event")]


def look(ledger: Ledger, models: Path, now: datetime = LATER) -> list[Notice]:
    """Look twice, as two processes do, and return what was written."""
    before = len(notices(ledger))
    look_over(ledger, [models], now)
    look_over(ledger, [models], now)
    return notices(ledger)[before:]


def run(ledger: Ledger, outcome: str | None, number: int = 1) -> None:
    """Write a run down as its steps do; `outcome` None: it has begun, and nothing more."""
    key, model = f"churn/r{number}", pinned()
    data = model.spec.data
    windows = windows_at(LATER, data.train_window, data.test_window, data.label.delay)
    begun = Retrain(key, model, windows, "schedule", "auto", "code")
    lease = ledger.acquire("churn", key)
    ledger.append("run_started", f"run_started/{key}", to_json(begun), lease)
    if outcome:
        report = RunReport(key, "churn", LATER, outcome, None, None, f"churn: {outcome} (why)")
        ledger.append("run_finished", f"run_finished/{key}", to_json(report), lease)
    ledger.free(lease)


def test_a_file_that_breaks_is_told_once_with_what_is_wrong_and_whom_it_names(ledger, models):
    slack = "alerts: [{type: slack, connection: slack_ml}]\n"
    write(models, more=f"colour: red\n{slack}")
    (told,) = look(ledger, models)
    assert told.name == "invalid_file"
    assert "churn.yaml cannot be used: 1 problem." in told.headline
    assert "colour" in told.lines[0]
    assert told.owner == "team@example.com"
    assert told.channels is not None
    assert channel_of(told.channels[0]).connection == "slack_ml"


def test_a_look_reads_no_entries_but_those_that_it_asks_for(ledger, models, monkeypatch):
    real, asked = ledger.entries, []

    def entries(**by: object):
        asked.append(by)
        return real(**by)

    write(models, more="colour: red\n")
    look_over(ledger, [models], LATER)
    monkeypatch.setattr(ledger, "entries", entries)
    look_over(ledger, [models], LATER)
    assert {by.get("kind") for by in asked} >= {"event", "approval_asked"}
    assert all(by.get("kind") for by in asked)


def test_a_file_that_breaks_in_another_way_is_told_again_and_its_mending_too(ledger, models):
    write(models, more="colour: red\n")
    look(ledger, models)
    write(models, more="taste: sour\n")
    (again,) = look(ledger, models)
    assert "taste" in again.lines[0]
    write(models)
    (mended,) = look(ledger, models, datetime.now(UTC))
    assert (mended.name, mended.closes) == ("recovered", ("file",))
    write(models, more="taste: sour\n")
    (broken_again,) = look(ledger, models, datetime.now(UTC))
    assert broken_again.name == "invalid_file"


def test_a_broken_file_that_is_removed_is_not_open_for_ever(ledger, models):
    path = write(models, more="colour: red\n")
    look(ledger, models)
    path.unlink()
    (gone,) = look(ledger, models)
    assert gone.closes == ("file",)


def test_a_look_at_another_folder_does_not_call_a_broken_file_mended(ledger, models, tmp_path):
    write(models, more="colour: red\n")
    look(ledger, models)
    other = tmp_path / "others"
    other.mkdir()
    assert look(ledger, other) == []
    assert look(ledger, models) == []


@pytest.mark.parametrize("text", ["[" * 1000, "owner: [1, 2]\nalerts: 7\n", "\x00", ""])
def test_whom_a_file_names_is_left_open_where_it_cannot_be_read(ledger, models, text):
    (models / "odd.yaml").write_text(text)
    (told,) = look(ledger, models)
    assert (told.owner, told.channels) == (None, None)
    assert len(told.lines) <= 11


@pytest.mark.parametrize("name", ["two\nlines", "right\u202eleft", "no\udcffbytes", "\u200b"])
def test_a_file_whose_name_no_ledger_takes_is_told_of_like_any_other(ledger, models, name):
    (models / f"{name}.yaml").write_text("colour: red\n")
    write(models, more="colour: red\n")
    assert sorted(told.name for told in look(ledger, models)) == ["invalid_file"] * 2
    (models / f"{name}.yaml").unlink()
    (gone,) = look(ledger, models, datetime.now(UTC))
    assert gone.closes == ("file",)


def test_two_files_of_one_name_are_told_of(ledger, models):
    write(models)
    write(models, suffix="yml")
    (told,) = look(ledger, models)
    assert told.lines == ("2 files with one name: churn.yaml, churn.yml",)


def test_a_channel_that_cannot_be_understood_is_not_used(ledger, models):
    write(models, more="colour: red\nalerts: [{type: pigeon}]\n")
    (told,) = look(ledger, models)
    assert told.channels is None


@pytest.mark.parametrize("outcome", ["promoted", "kept", "registered"])
def test_a_model_without_an_answer_for_too_long_is_stale_and_told_so_once(ledger, models, outcome):
    write(models)
    run(ledger, outcome)
    assert look(ledger, models, datetime.now(UTC) + timedelta(days=44)) == []
    (told,) = look(ledger, models)
    assert told.name == "stale"
    assert "no retrain has come to an answer since" in told.headline
    assert "45 days" in told.headline
    assert told.lines == ("No version serves yet.", "Retrains are made only when asked for.")


def test_a_stale_model_that_a_person_paused_says_so(ledger, models):
    write(models)
    run(ledger, "kept")
    lease = ledger.acquire("churn", "churn/hand", "hand")
    ledger.append("hand", "hand/churn/hand/1", to_json(Deed("pause", "ana", "a move")), lease)
    (told,) = look(ledger, models)
    assert any(line.startswith("It is paused by ana since") for line in told.lines)


def test_runs_that_come_to_nothing_do_not_keep_a_model_fresh(ledger, models):
    write(models)
    run(ledger, "kept", 1)
    run(ledger, "failed", 2)
    run(ledger, "rejected", 3)
    (told,) = look(ledger, models)
    assert "Since then: churn: rejected" in told.lines, "the reason may quote the data"


def test_a_model_that_only_ever_failed_is_stale_since_it_was_first_begun(ledger, models):
    write(models)
    run(ledger, "failed")
    (told,) = look(ledger, models)
    assert told.name == "stale"


def test_a_model_that_was_never_begun_or_says_nothing_is_not_stale(ledger, models):
    write(models)
    assert look(ledger, models) == []
    text = write(models).read_text().replace("stale_after: 45 days\n", "")
    (models / "churn.yaml").write_text(text)
    run(ledger, "kept")
    assert look(ledger, models) == []


def test_what_goes_wrong_with_one_model_is_said_of_it_and_stops_no_other(ledger, models, caplog):
    write(models, "apple")
    write(models)
    lease = ledger.acquire("apple", "apple/r1")
    ledger.append("run_finished", "run_finished/apple/r1", {"odd": True}, lease)
    run(ledger, "kept")
    (told,) = look(ledger, models)
    assert told.headline.startswith("churn is stale")
    assert "cannot tell whether apple is stale" in caplog.text


def test_a_later_answer_makes_it_fresh_and_it_can_go_stale_again(ledger, models):
    write(models)
    run(ledger, "kept", 1)
    (first,) = look(ledger, models)
    run(ledger, "kept", 2)
    (second,) = look(ledger, models)
    assert first.signature != second.signature
