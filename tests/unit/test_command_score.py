"""`evergreen score`: one window or a whole schedule of them, and what is done when asked again."""

from __future__ import annotations

import json
from contextlib import contextmanager
from pathlib import Path

import pytest

from evergreen.cli import score as command
from evergreen.cli.exit_codes import FINDINGS, OK, USAGE
from evergreen.cli.main import main
from tests.fakes.bench import Bench

MODEL = """\
schema_version: 1
name: churn
description: Will it?
owner: team@example.com
schedule: null
data:
  source: {type: sql, connection: warehouse, query: "SELECT :start AS a, :end AS b"}
  time_column: at
  key: id
  label: {column: late, delay: 1 day}
  train_window: 2 months
  test_window: 1 month
train: {estimator: sklearn.linear_model.LogisticRegression}
gate: {metric: log_loss, margin: 0.01}
"""
SCORE = 'score: {schedule: "@daily", window: 1 day}\n'
WALK = ("score", "churn", "--from", "2013-03-01", "--to", "2013-03-04")


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """An installation of fakes with the model's file, and a champion of March."""
    bench = Bench(tmp_path / "store")

    @contextmanager
    def opened(settings, connections):
        yield bench.workspace

    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "churn.yaml").write_text(MODEL + SCORE)
    monkeypatch.setenv("EVERGREEN_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("EVERGREEN_MODELS", str(tmp_path / "models"))
    monkeypatch.setattr(command, "open_workspace", opened)
    return bench


def test_a_range_scores_every_window_of_the_schedule_and_asked_again_none(bench, capsys):
    bench.whole()
    assert main(WALK) == OK
    assert capsys.readouterr().out.splitlines() == [
        f"2013-03-0{day} 00:00 UTC: 10 rows scored by version 1" for day in (2, 3, 4)
    ]
    reads = bench.source.reads
    assert main(WALK) == OK
    assert capsys.readouterr().out.count("already; --again scores the window again") == 3
    assert bench.source.reads == reads
    assert [body["reason"] for body in bench.ledger.bodies("scored")] == ["scored by hand"] * 3


def test_again_replaces_what_was_scored_each_time_it_is_asked(bench, capsys):
    bench.whole()
    one = ("score", "churn", "--as-of", "2013-03-02", "--json")
    main(one)
    reads = bench.source.reads
    for time in (1, 2):
        assert main((*one, "--again")) == OK
        assert bench.source.reads == reads + time
    capsys.readouterr()
    main(one)
    (told,) = json.loads(capsys.readouterr().out)
    assert told["run_key"] == "churn/score/cli/2013-03-02T00:00:00Z/3", "the newest is found"
    assert bench.source.reads == reads + 2


def test_without_a_champion_it_says_so_and_a_later_try_scores(bench, capsys):
    assert main(("score", "churn", "--as-of", "2013-03-02")) == OK
    assert capsys.readouterr().out == (
        "2013-03-02 00:00 UTC: nothing to score with: there was no champion yet as of "
        "2013-03-02 00:00 UTC\n"
    )
    bench.whole()
    main(("score", "churn", "--as-of", "2013-03-02"))
    assert "10 rows scored by version 1" in capsys.readouterr().out


def test_rows_that_cannot_be_scored_are_a_finding(bench, capsys):
    bench.whole()
    bench.source.table = bench.source.table.drop_columns("x")
    bench.scorer.certainty.clear()
    assert main(("score", "churn", "--as-of", "2013-03-02")) == FINDINGS
    assert "the rows lack columns that the model was trained on" in capsys.readouterr().err


def test_a_model_without_a_section_score_is_a_usage_error(bench, tmp_path, capsys):
    (tmp_path / "models" / "churn.yaml").write_text(MODEL)
    assert main(("score", "churn")) == USAGE
    assert "churn is not scored here: its file has no section score" in capsys.readouterr().err


def test_a_range_needs_a_schedule(bench, tmp_path, capsys):
    (tmp_path / "models" / "churn.yaml").write_text(MODEL + SCORE.replace('"@daily"', "null"))
    assert main(WALK) == USAGE
    assert "score.schedule" in capsys.readouterr().err
