"""The real rollback command is killed between any two of its writes: nothing is lost or done twice."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

import pytest
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

from evergreen.adapters.mlflow_trainer import MlflowTrainer
from evergreen.connections import from_environment
from evergreen.entry_keys import entry_key
from evergreen.errors import LeaseHeld
from evergreen.failpoints import EXIT_CODE
from evergreen.results import Candidate, Release, to_json
from evergreen.settings import Settings
from evergreen.steps.settle import finish, settle
from evergreen.wiring import open_workspace
from tests.contracts.trainer import train
from tests.integration.mlflow_store import MlflowStore
from tests.training_runs import spec_of

ROOT = Path(__file__).parents[2]
PATIENCE = 120
WHY = "it says no to everybody"
IN_THE_LEDGER = tuple(
    (f"ledger.{when}_commit", number) for number in (1, 2, 3) for when in ("before", "after")
)
"""Around the intent, the deed and the release."""
IN_THE_WORLD = tuple(
    (name, 1)
    for name in (
        "rollback.checked",
        "rollback.intended",
        "release.alias_moved",
        "release.champion_moved",
        "release.deployed",
        "rollback.deed_recorded",
        "rollback.finished",
    )
)
BEGUN = (*IN_THE_LEDGER[1:], *IN_THE_WORLD[2:5])


def killed(*points: tuple[str, int], backend: str) -> list:
    marks = pytest.mark.needs_postgres if backend == "postgres" else ()
    return [
        pytest.param(backend, point, id=f"{backend}-{point[0]}-{point[1]}", marks=marks)
        for point in points
    ]


@pytest.fixture(scope="module")
def commands(tmp_path_factory: pytest.TempPathFactory) -> Iterator[subprocess.Popen[str]]:
    log = tmp_path_factory.mktemp("rollback") / "log"
    server = [sys.executable, "-m", "tests.integration.rollback_process", str(log)]
    with subprocess.Popen(
        server, cwd=ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert "ready" in process.stdout.readline()
        yield process


@pytest.fixture(scope="module")
def trained(mlflow_store: MlflowStore) -> tuple[Candidate, Candidate]:
    trainer = MlflowTrainer(mlflow_store.tracking_uri, mlflow_store.artifact_uri, ())
    return train(trainer, "a", spec_of("rolled_back")), train(trainer, "b", spec_of("rolled_back"))


@pytest.fixture
def backend() -> str:
    return "sqlite"


@pytest.fixture
def url(request: pytest.FixtureRequest, backend: str, tmp_path: Path) -> str:
    if backend == "sqlite":
        return f"sqlite:///{tmp_path / 'ledger.db'}"
    return request.getfixturevalue("postgres_database")


@dataclass
class Model:
    """A model of its own with versions 1 and 2 released, in a ledger of its own."""

    commands: subprocess.Popen[str]
    environment: dict[str, str]
    name: str = field(default_factory=lambda: f"m{uuid.uuid4().hex[:12]}")

    @classmethod
    def at(
        cls,
        commands: subprocess.Popen[str],
        store: MlflowStore,
        url: str,
        home: Path,
        lease_seconds: float,
    ) -> Self:
        environment = {
            "EVERGREEN_HOME": str(home),
            "EVERGREEN_MODELS": str(home),
            "EVERGREEN_LEDGER": url,
            "EVERGREEN_LEASE_SECONDS": str(lease_seconds),
            "EVERGREEN_TRACKING": store.tracking_uri,
            "EVERGREEN_ARTIFACTS": store.artifact_uri,
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "PATH": os.environ["PATH"],
        }
        return cls(commands, environment)

    @property
    def settings(self) -> Settings:
        return Settings.from_environment(self.environment)

    def release(self, *candidates: Candidate) -> None:
        with open_workspace(self.settings, from_environment) as workspace:
            previous = None
            for month, candidate in enumerate(candidates, 3):
                run_key = f"{self.name}/run {month}"
                lease = workspace.ledger.acquire(self.name, run_key)
                version = workspace.registry.register(self.name, candidate, {})
                as_of = datetime(2013, month, 1, tzinfo=UTC)
                intent = Release(self.name, version, candidate, previous, as_of, "local", run_key)
                key = entry_key("release_intended", run_key)
                entry = workspace.ledger.append("release_intended", key, to_json(intent), lease)
                finish(workspace, entry, lease)
                workspace.ledger.free(lease)
                previous = version.number

    def roll_back(self, fail: str | None = None, times: int = 1) -> int:
        return self.order(["rollback", self.name, "--why", WHY], fail, times)

    def order(self, argv: list[str], fail: str | None, times: int) -> int:
        """Run a command line in a process of its own, which dies where it is told to."""
        assert self.commands.stdin is not None
        assert self.commands.stdout is not None
        order = {
            "argv": argv,
            "environment": self.environment,
            "fail": fail,
            "times": times,
        }
        self.commands.stdin.write(json.dumps(order) + "\n")
        self.commands.stdin.flush()
        return json.loads(self.commands.stdout.readline())["code"]

    def state(self) -> dict:
        with open_workspace(self.settings, from_environment) as workspace:
            entries = list(workspace.ledger.entries())
            served = workspace.deployer.serving(self.name)
            return {
                "chain": workspace.ledger.verify().ok,
                "kinds": [entry.kind for entry in entries],
                "deeds": [entry.body["why"] for entry in entries if entry.kind == "hand"],
                "champion": entries[-1].body["version"]["number"],
                "aliases": {
                    alias: one.number
                    for one in workspace.registry.registered()
                    for alias in one.aliases
                    if one.name == self.name
                },
                "serving": served and served.version,
            }


@pytest.fixture
def model(
    commands: subprocess.Popen[str],
    trained: tuple[Candidate, Candidate],
    mlflow_store: MlflowStore,
    url: str,
    tmp_path: Path,
) -> Model:
    made = Model.at(commands, mlflow_store, url, tmp_path, lease_seconds=1)
    made.release(*trained)
    return made


ROLLED_BACK = {
    "chain": True,
    "kinds": ["release_intended", "release"] * 2 + ["release_intended", "hand", "release"],
    "deeds": [WHY],
    "champion": 1,
    "aliases": {"champion": 1, "previous": 2},
    "serving": 1,
}


def test_the_undisturbed_command_rolls_back(model: Model):
    assert model.roll_back() == 0
    assert model.state() == ROLLED_BACK


@pytest.mark.parametrize(
    ("backend", "point"),
    [
        *killed(*IN_THE_LEDGER, *IN_THE_WORLD, backend="sqlite"),
        *killed(*IN_THE_LEDGER, backend="postgres"),
    ],
)
def test_killed_anywhere_and_said_again_it_ends_as_if_never_killed(model: Model, point: tuple[str, int]):
    assert model.roll_back(*point) == EXIT_CODE
    assert model.roll_back() == 0, "it waits for no lease of its own"
    assert model.state() == ROLLED_BACK


@pytest.mark.parametrize(("backend", "point"), killed(*BEGUN, backend="sqlite"))
def test_what_nobody_says_again_is_finished_by_the_next_run(model: Model, point: tuple[str, int]):
    assert model.roll_back(*point) == EXIT_CODE
    until_expired = Retrying(
        retry=retry_if_exception_type(LeaseHeld),
        wait=wait_fixed(0.05),
        stop=stop_after_delay(PATIENCE),
        reraise=True,
    )
    with open_workspace(model.settings, from_environment) as workspace:
        lease = until_expired(workspace.ledger.acquire, model.name, f"{model.name}/next")
        settle(workspace, model.name, lease)
    assert model.state() == ROLLED_BACK
