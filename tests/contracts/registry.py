"""What every registry keeps: one version per candidate, one champion, moved by compare-and-set."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace

import pytest

from evergreen.errors import ChampionMoved, ModelRefused, StoreUnavailable
from evergreen.ports import Registered, Registry
from evergreen.results import Candidate, Version


class RegistryContract(ABC):
    """Inherit; give fixtures `registry`, `down` (one that does not answer) and `name` (unused)."""

    @abstractmethod
    def candidate(self, key: str) -> Candidate:
        """Return a candidate that the registry can take."""

    @abstractmethod
    def aliases(self, registry: Registry, name: str) -> dict[str, int]:
        """Return what each alias points at."""

    def test_an_unknown_model_has_no_champion(self, registry: Registry, name: str) -> None:
        assert registry.champion(name) is None

    def test_versions_count_from_one_and_the_last_is_the_challenger(
        self, registry: Registry, name: str
    ) -> None:
        first, second = self.candidate("a"), self.candidate("b")
        assert registry.register(name, first, {}) == Version(name, 1, "a", first.model)
        assert registry.register(name, second, {}).number == 2
        assert self.aliases(registry, name) == {"challenger": 2}

    def test_a_candidate_is_registered_once_with_its_tags(self, registry: Registry, name: str) -> None:
        tags = {"evergreen.reason": "scheduled"}
        version = registry.register(name, self.candidate("a"), tags)
        assert registry.register(name, self.candidate("a"), tags) == version
        assert registry.register(name, self.candidate("b"), tags).number == 2

    def test_a_version_of_other_files_is_not_taken_for_the_candidates(
        self, registry: Registry, name: str
    ) -> None:
        candidate = self.candidate("a")
        other = replace(candidate, model=replace(candidate.model, uri=f"{candidate.model.uri}/other"))
        registry.register(name, other, {})
        with pytest.raises(ModelRefused, match=f"got .*{candidate.model.uri}/other"):
            registry.register(name, candidate, {})
        assert registry.champion(name) is None

    def test_the_champion_moves_from_the_one_expected_and_leaves_a_previous(
        self, registry: Registry, name: str
    ) -> None:
        first = registry.register(name, self.candidate("a"), {})
        registry.move_champion(first, None)
        assert self.aliases(registry, name) == {"champion": 1}
        second = registry.register(name, self.candidate("b"), {})
        registry.move_champion(second, 1)
        assert registry.champion(name) == 2
        assert self.aliases(registry, name) == {"champion": 2, "previous": 1}

    def test_moving_again_changes_nothing(self, registry: Registry, name: str) -> None:
        first = registry.register(name, self.candidate("a"), {})
        registry.move_champion(first, None)
        second = registry.register(name, self.candidate("b"), {})
        registry.move_champion(second, 1)
        registry.move_champion(second, 1)
        assert self.aliases(registry, name) == {"champion": 2, "previous": 1}

    def test_a_champion_that_moved_is_not_replaced(self, registry: Registry, name: str) -> None:
        first = registry.register(name, self.candidate("a"), {})
        registry.move_champion(first, None)
        second = registry.register(name, self.candidate("b"), {})
        with pytest.raises(ChampionMoved, match="got 1"):
            registry.move_champion(second, None)
        assert registry.champion(name) == 1

    def test_registering_the_champion_again_makes_it_no_challenger(
        self, registry: Registry, name: str
    ) -> None:
        first = registry.register(name, self.candidate("a"), {})
        registry.move_champion(first, None)
        registry.register(name, self.candidate("a"), {})
        assert self.aliases(registry, name) == {"champion": 1}

    def test_it_tells_whether_it_holds_a_version_of_a_candidate(
        self, registry: Registry, name: str
    ) -> None:
        first = registry.register(name, self.candidate("a"), {})
        second = registry.register(name, self.candidate("b"), {})
        assert registry.holds(first)
        assert registry.holds(second)
        assert not registry.holds(replace(first, number=3))
        assert not registry.holds(replace(first, candidate_key="c"))
        assert not registry.holds(replace(first, number=2))
        assert not registry.holds(replace(first, name=f"no_{name}"))

    def test_it_tells_of_every_version_for_whom_it_was_made_and_what_points_at_it(
        self, registry: Registry, name: str
    ) -> None:
        tags = {"evergreen.run_key": f"{name}/run"}
        first = registry.register(name, self.candidate("a"), tags)
        registry.register(name, self.candidate("b"), {})
        registry.move_champion(first, None)
        found = [one for one in registry.registered() if one.name == name]
        assert sorted(found, key=lambda one: one.number) == [
            Registered(name, 1, "a", f"{name}/run", ("champion",)),
            Registered(name, 2, "b", None, ("challenger",)),
        ]

    def test_a_champion_can_be_put_back(self, registry: Registry, name: str) -> None:
        first = registry.register(name, self.candidate("a"), {})
        registry.move_champion(first, None)
        second = registry.register(name, self.candidate("b"), {})
        registry.move_champion(second, 1)
        registry.move_champion(first, 2)
        assert self.aliases(registry, name) == {"champion": 1, "previous": 2}

    def test_a_registry_that_is_down_says_so(self, down: Registry, name: str) -> None:
        version = Version(name, 1, "a", self.candidate("a").model)
        for call in (
            lambda: down.champion(name),
            lambda: down.register(name, self.candidate("a"), {}),
            lambda: down.move_champion(version, None),
            lambda: down.holds(version),
        ):
            with pytest.raises(StoreUnavailable):
                call()
