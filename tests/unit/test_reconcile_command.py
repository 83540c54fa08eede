"""`evergreen reconcile`: what it prints and how it ends, on a ledger in SQLite."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from evergreen.cli.exit_codes import ENVIRONMENT, FINDINGS, OK, USAGE
from evergreen.errors import StoreUnavailable
from evergreen.ledger import open_ledger
from evergreen.settings import Settings
from evergreen.steps.known_models import known_models
from tests.fakes.bench import Bench
from tests.unit.test_command_hand import said

__all__ = ["said"]


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    """Version 1 of `churn` serves; the ledger is a real one."""
    monkeypatch.setenv("EVERGREEN_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("EVERGREEN_MODELS", str(tmp_path / "models"))
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "broken.yaml").write_text("][")
    made = Bench(tmp_path / "store")
    ledger = open_ledger(Settings.from_environment().ledger_url, 600)
    made.ledger = ledger
    made.workspace = replace(made.workspace, ledger=ledger)
    made.whole()

    @contextmanager
    def opened(*_: Any) -> Any:
        yield made.workspace

    monkeypatch.setattr("evergreen.cli.reconcile.open_workspace", opened)
    yield made
    ledger.close()


def test_what_is_well_is_said_in_a_line(bench, said):
    assert said("reconcile") == (OK, "2 models looked at: nothing was left half done\n", "")
    assert known_models(bench.ledger, []) == ["churn"]


def test_a_dry_run_says_what_there_is_then_it_is_done_and_then_there_is_nothing(bench, said):
    bench.registry.aliases["churn"]["champion"] = 3
    code, told, _ = said("reconcile", "--dry-run")
    assert code == FINDINGS
    assert "the alias is put back on version 1" in told
    assert told.endswith("2 models looked at: 1 finding, and nothing was changed\n")
    assert bench.registry.champion("churn") == 3
    code, told, _ = said("reconcile", "churn")
    assert code == OK
    assert told.endswith("1 model looked at: 1 mended, 0 left\n")
    assert bench.registry.champion("churn") == 1
    assert said("reconcile")[0] == OK
    assert bench.ledger.verify().ok
    assert "reconciled" in said("history", "churn")[1]


def test_what_a_person_must_see_to_ends_in_one(bench, said):
    bench.registry.versions["churn"].clear()
    bench.registry.aliases["churn"].clear()
    code, told, _ = said("reconcile", "--json")
    assert code == FINDINGS
    (one,) = json.loads(told)["dealt"]
    assert (one["finding"]["kind"], one["became"], one["why"]) == ("lost_version", "told", None)
    assert json.loads(said("history", "churn", "--json")[1])[-1]["decision"] == "stuck"


def test_what_did_not_answer_ends_in_three(bench, said, monkeypatch):
    def away(_: str) -> None:
        raise StoreUnavailable("the registry did not answer")

    monkeypatch.setattr(bench.registry, "champion", away)
    code, told, _ = said("reconcile")
    assert code == ENVIRONMENT
    assert "its releases could not be looked at" in told


def test_a_model_that_nobody_knows_is_a_slip_of_the_pen(bench, said):
    code, _, complaint = said("reconcile", "churm")
    assert code == USAGE
    assert "did you mean 'churn'" in complaint


def test_a_model_is_looked_for_in_the_folder_that_is_named(bench, said, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "fraud.yaml").write_text("")
    assert said("reconcile", "fraud")[0] == USAGE
    code, told, _ = said("reconcile", "fraud", "--models", str(tmp_path / "elsewhere"))
    assert (code, told) == (OK, "1 model looked at: nothing was left half done\n")


def test_a_reason_that_would_have_no_effect_is_a_slip_of_the_pen(bench, said):
    code, _, complaint = said("reconcile", "--why", "the backup of 04:00")
    assert code == USAGE
    assert "--adopt" in complaint
