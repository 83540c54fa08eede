"""What every release target promises. A subclass gives the target and a way to break its writes."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from evergreen.errors import LeaseLost, StoreUnavailable
from evergreen.ports import Pointer
from evergreen.results import Artefact, Candidate, ColumnType, ModelArtefact, Release, Version


def release_of(number: int, name: str = "delay") -> Release:
    digest = f"{number:064x}"
    model = ModelArtefact(f"store/models/{number}", digest, (Artefact("model.skops", digest, 10),))
    candidate = Candidate(
        key=f"key-{number}",
        run_id=f"run-{number}",
        task="classification",
        model=model,
        features=(ColumnType("origin", "string"), ColumnType("distance", "int64")),
        classes=("0", "1"),
        baseline=(0.8, 0.2),
        rows_trained=100,
        rows_tested=50,
        metrics={"log_loss": 0.5},
    )
    return Release(
        name=name,
        version=Version(name, number, candidate.key, model),
        candidate=candidate,
        previous=number - 1 or None,
        as_of=datetime(2013, 3, number, tzinfo=UTC),
        target="local",
        run_key=f"{name}/run-{number}",
    )


def pointer_of(release: Release) -> Pointer:
    return Pointer(release.name, release.version.number, release.version.model)


class DeployerContract:
    @pytest.fixture
    def deployer(self):
        raise NotImplementedError

    def break_writes(self, deployer, monkeypatch) -> None:
        """Let the target refuse every write from now on."""
        raise NotImplementedError

    def test_nothing_is_served_before_the_first_release(self, deployer):
        assert deployer.serving("delay") is None

    def test_a_released_version_is_served(self, deployer):
        deployer.deploy(release_of(1), 1)
        assert deployer.serving("delay") == pointer_of(release_of(1))

    def test_the_last_release_is_served_whichever_its_number(self, deployer):
        for fence, number in enumerate((1, 3, 2)):
            deployer.deploy(release_of(number), fence)
        assert deployer.serving("delay") == pointer_of(release_of(2))

    def test_a_repeated_release_changes_nothing(self, deployer):
        deployer.deploy(release_of(1), 1)
        deployer.deploy(release_of(1), 1)
        assert deployer.serving("delay") == pointer_of(release_of(1))

    def test_models_are_served_side_by_side(self, deployer):
        deployer.deploy(release_of(1), 1)
        deployer.deploy(release_of(2, "arrival"), 2)
        assert deployer.serving("delay") == pointer_of(release_of(1))
        assert deployer.serving("arrival") == pointer_of(release_of(2, "arrival"))
        assert deployer.serving("other") is None

    def test_a_writer_that_is_out_of_date_is_refused(self, deployer):
        deployer.deploy(release_of(2), 20)
        with pytest.raises(LeaseLost):
            deployer.deploy(release_of(1), 10)
        assert deployer.serving("delay") == pointer_of(release_of(2))

    def test_the_highest_fence_that_it_was_given_is_told(self, deployer):
        for fence in (10, 20):
            deployer.deploy(release_of(1), fence)
            assert deployer.serving("delay").fence == fence

    def test_a_target_that_refuses_goes_on_serving_what_it_served(self, deployer, monkeypatch):
        deployer.deploy(release_of(1), 1)
        self.break_writes(deployer, monkeypatch)
        with pytest.raises(StoreUnavailable) as caught:
            deployer.deploy(release_of(2), 2)
        assert caught.value.retryable
        assert deployer.serving("delay") == pointer_of(release_of(1))
