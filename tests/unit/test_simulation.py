"""The simulation: its rules hold, it says the same twice, and it finds what is broken on purpose."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from unittest.mock import patch

import pytest

from evergreen import gate
from evergreen.hand import Standing
from evergreen.ports import Pointer
from evergreen.results import Release
from evergreen.steps import requests
from tests.fakes.deployer import FakeDeployer
from tests.fakes.ledger import FakeLedger
from tests.simulation import histories
from tests.simulation.fleet import simulate
from tests.simulation.fleet import told as words
from tests.simulation.load import load_per_minute
from tests.simulation.luck import Luck

ROOT = Path(__file__).parents[2]
HARSH = Luck(
    killed=0.1,
    stopped=0.08,
    lost=0.3,
    doubled=0.3,
    runs_beside=0.4,
    cleared=0.2,
    outages=20,
    yearly={"pin": 3, "pause": 3, "rollback": 6, "backfill": 4, "by_hand": 6, "reconcile": 50},
)


def test_a_year_of_fifty_models_breaks_no_rule():
    result = simulate(7, 50, 1)
    assert result.violations == (), words(result)
    counts = result.counts
    assert min(counts["release"], counts["killed"], counts["stopped"], counts["rollbacks"]) > 20
    assert counts["request_taken"] >= counts["retrain_requested"] > 100


def test_half_a_year_of_the_worst_luck_breaks_no_rule():
    result = simulate(3, 12, 0.5, luck=HARSH)
    assert result.violations == (), words(result)


def test_the_same_seed_gives_the_same_history_whatever_the_hash_seed():
    told_by = set()
    for hash_seed in ("1", "2"):
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "tests.simulation",
                "--seed=5",
                "--models=4",
                "--years=0.3",
                "--jobs=1",
            ],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        )
        told_by.add(next(line for line in done.stdout.splitlines() if line.startswith("digest")))
    assert len(told_by) == 1
    assert told_by != {f"{'digest':<30} {simulate(6, 4, 0.3).digest}"}, "another seed, another history"


@contextmanager
def nobody_is_fenced_off():
    def deploy(target: FakeDeployer, release: Release, fence: int) -> None:
        target.fences[release.name] = fence
        version = release.version
        target.pointers[release.name] = Pointer(release.name, version.number, version.model)

    with (
        patch.object(FakeLedger, "check", lambda self, lease: None),
        patch.object(FakeDeployer, "deploy", deploy),
    ):
        yield


@contextmanager
def older_champions_are_let_through():
    with patch.object(gate, "never_over_newer", lambda comparison, as_of, champion_as_of: comparison):
        yield


@contextmanager
def pins_are_forgotten():
    with patch.object(Standing, "withheld", None):
        yield


@contextmanager
def requests_stay_taken():
    with patch.object(requests, "close", lambda workspace, run_key, outcome, lease: None):
        yield


@pytest.mark.parametrize(
    "broken",
    [
        nobody_is_fenced_off,
        older_champions_are_let_through,
        pins_are_forgotten,
        requests_stay_taken,
    ],
)
def test_what_is_broken_on_purpose_is_found_and_told_with_what_led_to_it(broken):
    with broken():
        tried = (simulate(seed, 1, 0.7, luck=HARSH).violations for seed in range(30))
        told = next((texts[0] for texts in tried if texts), "")
    assert "Violation" in told
    assert "\n  2026" in told


def test_runs_are_counted_by_the_minute_they_fall_due_in():
    after, until = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 8, tzinfo=UTC)
    load = load_per_minute(["0 6 * * *", "0 6 * * *", "@hourly"], after, until)
    assert max(load.values()) == 3
    assert sum(load.values()) == 7 + 7 + 7 * 24


@pytest.mark.parametrize("path", sorted(histories.FOLDER.glob("*.jsonl.gz")), ids=lambda path: path.stem)
def test_ledgers_of_earlier_versions_are_read_as_they_were(path):
    ledger, answers = histories.read(path)
    assert ledger.verify().ok
    assert histories.answers(ledger) == answers


def test_there_are_histories():
    assert len(list(histories.FOLDER.glob("*.jsonl.gz"))) >= len(histories.SEEDS)
