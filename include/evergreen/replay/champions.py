"""A registry and a release target within this process's memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from evergreen.ports import Pointer, Registered
from evergreen.results import Candidate, Release, Version


class RegistryInMemory:
    """Numbers versions from 1; a `ports.Registry` with one writer."""

    def __init__(self) -> None:
        self._versions: dict[str, list[Version]] = {}
        self._champions: dict[str, int] = {}

    def register(
        self,
        name: str,
        candidate: Candidate,
        tags: Mapping[str, str],  # noqa: ARG002
    ) -> Version:
        """Return the version of the candidate, numbered now or before."""
        versions = self._versions.setdefault(name, [])
        known = [version for version in versions if version.candidate_key == candidate.key]
        if known:
            return known[0]
        version = Version(name, len(versions) + 1, candidate.key, candidate.model)
        versions.append(version)
        return version

    def champion(self, name: str) -> int | None:
        """Return the champion's number, or None."""
        return self._champions.get(name)

    def registered(self) -> Iterator[Registered]:
        """Yield every version."""
        for versions in self._versions.values():
            for one in versions:
                yield Registered(one.name, one.number, one.candidate_key)

    def holds(self, version: Version) -> bool:
        """Return whether the version was registered here."""
        return version in self._versions.get(version.name, [])

    def move_champion(self, version: Version, expected: int | None) -> None:  # noqa: ARG002
        """Make the version champion; nobody else writes here."""
        self._champions[version.name] = version.number


class TargetInMemory:
    """Serves nothing and knows what it would serve; a `ports.Deployer` with one writer."""

    def __init__(self) -> None:
        self._pointers: dict[str, Pointer] = {}

    def deploy(self, release: Release, fence: int) -> None:
        """Point at the release's version."""
        self._pointers[release.name] = Pointer(
            release.name, release.version.number, release.version.model, fence
        )

    def serving(self, name: str) -> Pointer | None:
        """Return what would be served, or None."""
        return self._pointers.get(name)
