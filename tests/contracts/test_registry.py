"""Every registry keeps the contract."""

from __future__ import annotations

import socket
from dataclasses import replace

import pytest

from evergreen.adapters.mlflow_registry import MlflowRegistry, _set_alias
from evergreen.adapters.mlflow_trainer import MlflowTrainer
from evergreen.results import Candidate
from evergreen.serving.tracking import open_client
from tests.contracts.registry import RegistryContract
from tests.contracts.trainer import train
from tests.fakes.registry import FakeRegistry
from tests.fakes.trainer import FakeTrainer
from tests.integration.mlflow_store import MlflowStore
from tests.training_runs import spec_of


@pytest.fixture(scope="module")
def trained(mlflow_store: MlflowStore) -> Candidate:
    trainer = MlflowTrainer(mlflow_store.tracking_uri, mlflow_store.artifact_uri, ())
    return train(trainer, "k", spec_of("registered"))


class TestFakeRegistry(RegistryContract):
    @pytest.fixture
    def registry(self) -> FakeRegistry:
        return FakeRegistry()

    @pytest.fixture
    def down(self) -> FakeRegistry:
        registry = FakeRegistry()
        registry.down = True
        return registry

    @pytest.fixture
    def name(self) -> str:
        return "delays"

    def candidate(self, key: str) -> Candidate:
        return train(FakeTrainer(), key, spec_of())

    def aliases(self, registry: FakeRegistry, name: str) -> dict[str, int]:
        return registry.aliases[name]


class TestMlflowRegistry(RegistryContract):
    @pytest.fixture(autouse=True)
    def _take(self, trained: Candidate) -> None:
        self.trained = trained

    @pytest.fixture
    def registry(self, mlflow_store: MlflowStore) -> MlflowRegistry:
        return MlflowRegistry(mlflow_store.tracking_uri)

    @pytest.fixture
    def down(self, monkeypatch: pytest.MonkeyPatch) -> MlflowRegistry:
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            port = closed.getsockname()[1]
        return MlflowRegistry(f"http://127.0.0.1:{port}")

    @pytest.fixture
    def name(self, request: pytest.FixtureRequest) -> str:
        return request.node.name[:60]

    def candidate(self, key: str) -> Candidate:
        return replace(self.trained, key=key)

    def aliases(self, registry: MlflowRegistry, name: str) -> dict[str, int]:
        found = open_client(registry._tracking_uri).get_registered_model(name).aliases
        return {alias: int(number) for alias, number in found.items()}

    def test_a_version_deleted_in_mlflow_is_not_held_any_more(
        self, registry: MlflowRegistry, name: str
    ) -> None:
        version = registry.register(name, self.candidate("a"), {})
        open_client(registry._tracking_uri).delete_model_version(name, str(version.number))
        assert not registry.holds(version)

    def test_two_first_settings_of_an_alias_that_meet_are_tried_again(self) -> None:
        from mlflow.exceptions import MlflowException

        class Meeting:
            calls = 0

            def set_registered_model_alias(self, *_: str) -> None:
                self.calls += 1
                if self.calls < 3:
                    raise MlflowException("(sqlite3.IntegrityError) UNIQUE constraint failed")

        meeting = Meeting()
        _set_alias(meeting, "delays", "champion", 1)
        assert meeting.calls == 3
