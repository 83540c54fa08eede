"""Put a version that won before all traffic: intent first, then the world, then the outcome.

The ledger decides, by compare-and-set on the model's last release; registry alias and target follow
it. A crash between intent and outcome is finished by the same run's retry or by the next run.
"""

from __future__ import annotations

import logging

from evergreen.entry_keys import entry_key
from evergreen.errors import ChampionMoved, StoreUnavailable
from evergreen.failpoints import failpoint
from evergreen.ports import Lease
from evergreen.results import Candidate, Comparison, Release, Retrain, Version, from_json
from evergreen.steps.evaluate import evaluate
from evergreen.steps.memory import holding, need, recall, record, retrain_of
from evergreen.steps.register import register
from evergreen.workspace import Workspace

log = logging.getLogger(__name__)

MOST_COMPARISONS = 3


def release(workspace: Workspace, run_key: str) -> Release | None:
    """Return the run's release; None where the champion was kept or no release was wished for.

    Raises:
        ChampionMoved: the champion changed again and again while it was compared with.
        StoreUnavailable: the registry or the target did not take the version.
    """
    found = recall(workspace, "release", run_key, Release)
    if found is not None:
        return found
    retrain = retrain_of(workspace, run_key)
    if retrain.release == "never":
        return None
    for _ in range(MOST_COMPARISONS):
        comparison = evaluate(workspace, run_key)
        version = register(workspace, run_key)
        if version is None or not comparison.promote:
            return None
        with holding(workspace, run_key, "release") as lease:
            try:
                intent = _intend(workspace, retrain, version, comparison, lease)
            except ChampionMoved as exc:
                log.warning("the champion moved, comparing again: %s", exc)
                continue
            return _finish(workspace, intent, lease)
    raise ChampionMoved(
        f"the champion moved {MOST_COMPARISONS} times while this run compared itself with it",
        where=f"run {run_key}",
        fix="clear the task when nobody releases by hand",
    )


def settle(workspace: Workspace, model: str, lease: Lease) -> None:
    """Finish a release that was intended and never recorded as done."""
    intended = workspace.ledger.last(model, "release_intended")
    if intended is None:
        return
    intent = from_json(Release, intended.body)
    if workspace.ledger.find(entry_key("release", intent.run_key)) is None:
        log.warning("finishing the release that run %s began", intent.run_key)
        _finish(workspace, intent, lease)


def _intend(
    workspace: Workspace, retrain: Retrain, version: Version, comparison: Comparison, lease: Lease
) -> Release:
    intent = recall(workspace, "release_intended", retrain.run_key, Release)
    if intent is not None:
        return intent
    spec = retrain.model.spec
    intent = Release(
        name=spec.name,
        version=version,
        candidate=need(workspace, "candidate", retrain.run_key, Candidate),
        previous=comparison.champion_version,
        as_of=retrain.windows.as_of,
        target=spec.release.target.type,
        run_key=retrain.run_key,
    )
    record(
        workspace,
        "release_intended",
        retrain.run_key,
        intent,
        lease,
        expected_release=comparison.champion_seq,
    )
    failpoint("release.intended")
    return intent


def _finish(workspace: Workspace, intent: Release, lease: Lease) -> Release:
    workspace.registry.move_champion(intent.version, intent.previous)
    failpoint("release.champion_moved")
    workspace.deployer.deploy(intent)
    failpoint("release.deployed")
    serving = workspace.deployer.serving(intent.name)
    if serving is None or serving.model.digest != intent.version.model.digest:
        raise StoreUnavailable(
            "the target does not serve what was released",
            where=f"model {intent.name}, target {intent.target}",
            got=serving,
            allowed=f"version {intent.version.number}, digest {intent.version.model.digest}",
            fix="look at the target; a retry deploys again",
        )
    record(workspace, "release", intent.run_key, intent, lease)
    log.info("champion=%d previous=%s", intent.version.number, intent.previous)
    return intent
