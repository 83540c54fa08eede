"""A registry in memory, with the same compare-and-set as the real one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from evergreen.errors import ChampionMoved, ModelRefused, StoreUnavailable
from evergreen.ports import Registered
from evergreen.results import Candidate, Version


class FakeRegistry:
    """`versions`, `tags` and `aliases` are open to tests; `down` makes every call fail."""

    def __init__(self) -> None:
        self.versions: dict[str, list[Version]] = {}
        self.tags: dict[tuple[str, int], dict[str, str]] = {}
        self.aliases: dict[str, dict[str, int]] = {}
        self.down = False

    def register(self, name: str, candidate: Candidate, tags: Mapping[str, str]) -> Version:
        self._answer()
        versions = self.versions.setdefault(name, [])
        version = next((v for v in versions if v.candidate_key == candidate.key), None)
        if version is None:
            version = Version(name, len(versions) + 1, candidate.key, candidate.model)
            versions.append(version)
        elif version.model != candidate.model:
            raise ModelRefused("another model has this key", got=version.model.uri)
        self.tags[name, version.number] = dict(tags)
        aliases = self.aliases.setdefault(name, {})
        if aliases.get("champion") != version.number:
            aliases["challenger"] = version.number
        return version

    def champion(self, name: str) -> int | None:
        self._answer()
        return self.aliases.get(name, {}).get("champion")

    def registered(self) -> Iterator[Registered]:
        self._answer()
        for name, versions in self.versions.items():
            for one in versions:
                of = [alias for alias, n in self.aliases.get(name, {}).items() if n == one.number]
                run_key = self.tags.get((name, one.number), {}).get("evergreen.run_key")
                yield Registered(name, one.number, one.candidate_key, run_key, tuple(sorted(of)))

    def holds(self, version: Version) -> bool:
        self._answer()
        return version in self.versions.get(version.name, [])

    def move_champion(self, version: Version, expected: int | None) -> None:
        self._answer()
        aliases = self.aliases.setdefault(version.name, {})
        now = aliases.get("champion")
        if now not in (version.number, expected):
            raise ChampionMoved("another version became champion", got=now, allowed=str(expected))
        if now is not None and now != version.number:
            aliases["previous"] = now
        aliases["champion"] = version.number
        if aliases.get("challenger") == version.number:
            del aliases["challenger"]

    def _answer(self) -> None:
        if self.down:
            raise StoreUnavailable("the registry did not answer", where="fake registry")
