"""A release target in memory, for tests of what uses one."""

from __future__ import annotations

from evergreen.errors import LeaseLost, StoreUnavailable
from evergreen.ports import Pointer
from evergreen.results import Release


class FakeDeployer:
    """`deployed` holds every release that changed what is served, in order."""

    def __init__(self) -> None:
        self.pointers: dict[str, Pointer] = {}
        self.deployed: list[Release] = []
        self.fences: dict[str, int] = {}
        self.unavailable = False

    def deploy(self, release: Release, fence: int) -> None:
        if self.unavailable:
            raise StoreUnavailable("the target does not answer", where=release.name)
        if fence < self.fences.get(release.name, 0):
            raise LeaseLost("the target has heard of a later release", where=release.name, got=fence)
        self.fences[release.name] = fence
        pointer = Pointer(release.name, release.version.number, release.version.model, fence)
        if self.pointers.get(release.name) != pointer:
            self.deployed.append(release)
        self.pointers[release.name] = pointer

    def serving(self, name: str) -> Pointer | None:
        return self.pointers.get(name)
