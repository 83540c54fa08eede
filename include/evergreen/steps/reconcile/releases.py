"""Releases: the ledger decides who serves; registry and target follow it.

The target is looked at, and put back, before the alias. It keeps the number of the newest ledger entry
that it heard of, so it refuses a ledger that is older than itself (a backup that was put back), and then
the alias is left alone, too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from evergreen.entry_keys import entry_key
from evergreen.failpoints import failpoint
from evergreen.hand_questions import decided, releases
from evergreen.ports import Lease
from evergreen.reconcile_results import Finding
from evergreen.results import Release, Version
from evergreen.steps.reconcile.circumstances import Circumstances
from evergreen.steps.settle import put_alias_back, serves, settle
from evergreen.workspace import Workspace


def look(workspace: Workspace, model: str, circumstances: Circumstances) -> Iterator[Finding]:  # noqa: ARG001 - as every area's
    """Yield a release that was not finished, or where the world does not follow the last one."""
    found = decided(workspace.ledger, model)
    if found is None:
        yield from _without_release(workspace, model)
        return
    entry, release = found
    number = release.version.number
    if workspace.ledger.find(entry_key("release", release.run_key)) is None:
        if not workspace.registry.holds(release.version):
            yield replace(
                _lost(release.version),
                words=f"the registry lost version {number}, which run {release.run_key} decided "
                "to release and did not finish",
                does="restore it in the registry; else the next run or rollback gives that release up",
                command=f"evergreen history {model}",
            )
            return
        yield Finding(
            model,
            "unfinished_release",
            release.run_key,
            f"run {release.run_key} decided to release version {number} and did not finish",
            f"version {number} is released",
            command=f"evergreen history {model}",
        )
    else:
        yield from _astray(workspace, release, str(entry.seq))


def mend(workspace: Workspace, finding: Finding, lease: Lease) -> None:
    """Finish the release, or put back what went astray. Safe to repeat.

    Raises:
        LeaseLost: another run took over, or the target heard of a later release than the ledger.
        StoreUnavailable: the registry or the target did not take it.
    """
    if finding.kind == "astray_champion":
        put_alias_back(workspace, finding.model, lease)
        failpoint("reconcile.alias_back")
    else:
        settle(workspace, finding.model, lease)


def _astray(workspace: Workspace, release: Release, decided: str) -> Iterator[Finding]:
    model, number = release.name, release.version.number
    if not serves(workspace, release):
        yield Finding(
            model,
            "astray_target",
            decided,
            f"the target {release.target} does not serve the champion, version {number}",
            f"version {number} is put before its traffic again",
            command=f"evergreen history {model}",
        )
    alias = workspace.registry.champion(model)
    if alias != number and not workspace.registry.holds(release.version):
        yield _lost(release.version)
    elif alias != number:
        where = "is gone" if alias is None else f"is on version {alias}"
        served = {one.version.number for _, one in releases(workspace.ledger, model)}
        undo = f'evergreen rollback {model} --to {alias} --why "…"' if alias in served else None
        yield Finding(
            model,
            "astray_champion",
            f"{decided}/{alias}",
            f"the registry's alias champion {where}, and the ledger has version {number}",
            f"the alias is put back on version {number}",
            command=undo or f"evergreen history {model}",
        )


def _lost(version: Version) -> Finding:
    return Finding(
        version.name,
        "lost_version",
        f"{version.number}/{version.candidate_key}",
        f"the registry does not hold version {version.number}, which the ledger has as champion",
        "restore it in the registry, or make an earlier champion champion again",
        mends=False,
        command=f'evergreen rollback {version.name} --why "…"',
    )


def _without_release(workspace: Workspace, model: str) -> Iterator[Finding]:
    """Yield an alias that would keep the first release of a model out; of no other do we know."""
    if workspace.ledger.last(model, "run_started") is None:
        return
    alias = workspace.registry.champion(model)
    if alias is not None:
        yield Finding(
            model,
            "unknown_champion",
            str(alias),
            f"the registry's alias champion is on version {alias}, and the ledger knows no release",
            "remove the alias champion in the registry: it keeps the first release out",
            mends=False,
            command=f"evergreen history {model}",
        )
