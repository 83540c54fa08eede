"""The real command is killed between any two writes of a pass: said again, all is done once."""

from __future__ import annotations

import subprocess
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from evergreen.adapters.mlflow_registry import CHAMPION
from evergreen.connections import from_environment
from evergreen.entry_keys import entry_key
from evergreen.failpoints import EXIT_CODE
from evergreen.results import Candidate, Release, RunReport, to_json
from evergreen.serving.tracking import open_client
from evergreen.steps.memory import record, record_next
from evergreen.steps.settle import finish
from evergreen.watch_results import RequestTaken, RetrainRequest
from evergreen.wiring import open_workspace
from tests.integration.mlflow_store import MlflowStore
from tests.integration.test_kill_rollback import Model, backend, commands, trained, url

__all__ = ["backend", "commands", "trained", "url"]

APRIL = datetime(2013, 4, 1, tzinfo=UTC)
A_RUN_IS_GONE_AFTER = 6.5
"""Seconds; six leases of one."""


class Left(Model):
    """A model with version 1 released, and what a crash left of it."""

    def reconcile(self, fail: str | None = None, times: int = 1) -> int:
        return self.order(["reconcile", self.name], fail, times)

    def begin(self, candidate: Candidate) -> tuple[Release, int]:
        """Write the intent to release a second version, and the number of entries by then."""
        with open_workspace(self.settings, from_environment) as workspace:
            run_key = f"{self.name}/run 4"
            lease = workspace.ledger.acquire(self.name, run_key)
            version = workspace.registry.register(self.name, candidate, {})
            intent = Release(self.name, version, candidate, 1, APRIL, "local", run_key)
            entry = record(workspace, "release_intended", run_key, intent, lease, expected_release=2)
            workspace.ledger.free(lease)
        return intent, entry.seq

    def release_both(self, candidate: Candidate) -> None:
        self.begin(candidate)
        with open_workspace(self.settings, from_environment) as workspace:
            lease = workspace.ledger.acquire(self.name, f"{self.name}/run 4")
            intended = workspace.ledger.last(self.name, "release_intended")
            assert intended is not None
            finish(workspace, intended, lease)
            workspace.ledger.free(lease)

    def go_astray(self) -> None:
        """Move the alias by hand, and lose the pointer."""
        client = open_client(self.settings.tracking_uri)
        client.set_registered_model_alias(self.name, CHAMPION, "1")
        (self.settings.releases / f"{self.name}.json").unlink()

    def ask_and_take(self) -> str:
        """Leave a request that a run took, and nothing else of that run."""
        run_key = f"{self.name}/woken"
        request = RetrainRequest(f"{self.name}/monitor/check", APRIL, "x drifted", "watch")
        with open_workspace(self.settings, from_environment) as workspace:
            lease = workspace.ledger.acquire(self.name, run_key)
            key = entry_key("retrain_requested", request.key)
            workspace.ledger.append("retrain_requested", key, to_json(request), lease)
            taken = RequestTaken(request.key, run_key)
            record_next(workspace, "request_taken", run_key, taken, lease)
            workspace.ledger.free(lease)
        return run_key

    def end(self, run_key: str) -> None:
        """Say that a run failed, and leave its request open."""
        with open_workspace(self.settings, from_environment) as workspace:
            lease = workspace.ledger.acquire(self.name, run_key)
            report = RunReport(run_key, self.name, None, "failed", None, None, "failed", ("x",))
            record_next(workspace, "run_finished", run_key, report, lease)
            workspace.ledger.free(lease)

    def kinds(self) -> list[str]:
        with open_workspace(self.settings, from_environment) as workspace:
            return [entry.kind for entry in workspace.ledger.entries()]

    def well(self, champion: int) -> None:
        """Hold that ledger, alias and target agree, and that another pass finds nothing."""
        before = self.kinds()
        assert self.reconcile() == 0
        assert self.kinds() == before
        with open_workspace(self.settings, from_environment) as workspace:
            assert workspace.ledger.verify().ok
            assert workspace.registry.champion(self.name) == champion
            served = workspace.deployer.serving(self.name)
            assert served is not None
            assert served.version == champion


@pytest.fixture
def left(
    commands: subprocess.Popen[str],
    trained: tuple[Candidate, Candidate],
    mlflow_store: MlflowStore,
    url: str,
    tmp_path: Path,
) -> Left:
    made = Left.at(commands, mlflow_store, url, tmp_path, lease_seconds=600)
    made.release(trained[0])
    return made


def points(ledger: int, *world: str | tuple[str, int]) -> list:
    """Return so many commits of the ledger, before and after, and named places."""
    commits = [(f"ledger.{when}_commit", n + 1) for n in range(ledger) for when in ("before", "after")]
    named = [one if isinstance(one, tuple) else (one, 1) for one in world]
    return [pytest.param(one, id=f"{one[0]}-{one[1]}") for one in (*commits, *named)]


RELEASED = ["release_intended", "release"]
SAID = ["reconcile_intended", "reconciled"]


@pytest.mark.parametrize(
    "point",
    points(
        3,
        "reconcile.leased",
        "release.alias_moved",
        "release.deployed",
        "reconcile.mended",
    ),
)
def test_a_release_that_was_cut_off_is_finished_once(left, trained, point):
    left.begin(trained[1])
    assert left.reconcile(*point) == EXIT_CODE
    assert left.reconcile() == 0, "it waits for no lease of its own"
    assert left.kinds() == [*RELEASED, "release_intended", "reconcile_intended", "release", "reconciled"]
    left.well(2)


@pytest.mark.parametrize(
    "point",
    points(
        0,
        "reconcile.mended",
        "reconcile.recorded",
        "release.alias_moved",
        "reconcile.alias_back",
        ("reconcile.mended", 2),
    ),
)
def test_a_target_and_an_alias_that_went_astray_are_put_back_once(left, trained, point):
    left.release_both(trained[1])
    left.go_astray()
    assert left.reconcile(*point) == EXIT_CODE
    assert left.reconcile() == 0
    assert sorted(left.kinds()) == sorted([*RELEASED, *RELEASED, *SAID, *SAID])
    left.well(2)


@pytest.mark.parametrize("point", points(0, "reconcile.intended", "requests.closed", "reconcile.mended"))
def test_a_request_whose_run_did_not_close_it_is_closed_once(left, point):
    left.end(left.ask_and_take())
    assert left.reconcile(*point) == EXIT_CODE
    assert left.reconcile() == 0
    assert sorted(left.kinds()[5:]) == sorted([*SAID, "request_closed"])
    left.well(1)


def test_a_run_that_is_gone_is_closed_once(commands, trained, mlflow_store, url, tmp_path):
    killed = {}
    for point in ("report.recorded", "reconcile.run_ended"):
        left = Left.at(commands, mlflow_store, url, tmp_path, lease_seconds=1)
        left.release(trained[0])
        left.end(f"{left.name}/run 3")
        left.ask_and_take()
        killed[point] = left
    time.sleep(A_RUN_IS_GONE_AFTER)
    for point, left in killed.items():
        assert left.reconcile(point) == EXIT_CODE
        before = left.kinds().count("run_finished")
        assert left.reconcile() == 0
        assert left.kinds().count("run_finished") == before
        left.well(1)
    for kind in SAID:
        assert left.kinds().count(kind) == len(killed)
