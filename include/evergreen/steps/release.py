"""Put a version that won before all traffic: intent first, then the world, then the outcome.

The ledger decides, by compare-and-set on the model's last release; registry alias and target follow
it. A crash between intent and outcome is finished by the same run's retry or by the next run.
"""

from __future__ import annotations

import logging

from evergreen.comparison import Comparison
from evergreen.errors import ChampionMoved, HandMoved
from evergreen.failpoints import failpoint
from evergreen.hand_questions import standing
from evergreen.ports import Entry, Lease
from evergreen.results import Release, Retrain, Version
from evergreen.steps.approve import approved
from evergreen.steps.evaluate import evaluate
from evergreen.steps.hand import withhold
from evergreen.steps.memory import holding, last_entry, recall, record, retrain_of
from evergreen.steps.refit import shipped
from evergreen.steps.register import register
from evergreen.steps.settle import check_alias, finish
from evergreen.steps.witness import refuse_behind
from evergreen.workspace import Workspace

log = logging.getLogger(__name__)

MOST_COMPARISONS = 3


def release(workspace: Workspace, run_key: str) -> Release | None:
    """Return the run's release; None where the champion was kept or no release was wished for.

    None, too, where a person pinned or paused the model; `release_withheld` says so then.

    Raises:
        ApprovalMissing: people must agree, and the ledger has no word of theirs on this evidence.
        ChampionMoved: champion or people's deeds changed again and again while this was decided.
        RegistryDisagrees: somebody moved the registry's alias by hand; nothing was released.
        StoreUnavailable: the registry or the target did not take the version.
        LedgerBehind: a checkpoint contradicts the ledger; nothing was released.
    """
    found = recall(workspace, "release", run_key, Release)
    if found is not None:
        return found
    retrain = retrain_of(workspace, run_key)
    if retrain.release == "never":
        return None
    refuse_behind(workspace.ledger, workspace.checkpoints)
    for _ in range(MOST_COMPARISONS):
        comparison = evaluate(workspace, run_key)
        version = register(workspace, run_key)
        if version is None or not comparison.promote:
            return None
        with holding(workspace, run_key, "release") as lease:
            begun = last_entry(workspace, "release_intended", run_key) is not None
            stands = standing(workspace.ledger, version.name)
            if not begun and (
                withhold(workspace, run_key, stands, lease)
                or not approved(workspace, retrain, version, comparison)
            ):
                return None
            try:
                intended = _intend(workspace, retrain, version, comparison, stands.seq, lease)
            except (ChampionMoved, HandMoved) as exc:
                log.warning("looking again: %s", exc)
                continue
            return finish(workspace, intended, lease)
    raise ChampionMoved(
        f"the champion, or what people decided, changed {MOST_COMPARISONS} times while this run decided",
        where=f"run {run_key}",
        fix="clear the task when nobody releases by hand",
    )


def _intend(
    workspace: Workspace,
    retrain: Retrain,
    version: Version,
    comparison: Comparison,
    deed_seq: int | None,
    lease: Lease,
) -> Entry:
    """Write the intent down, if champion and deeds of people are still those it was decided on."""
    intended = last_entry(workspace, "release_intended", retrain.run_key)
    if intended is not None:
        return intended
    check_alias(workspace, version, comparison.champion_version)
    candidate = shipped(workspace, retrain.run_key)
    if candidate is None:
        raise AssertionError("a version is registered of what is shipped only")
    spec = retrain.model.spec
    intent = Release(
        name=spec.name,
        version=version,
        candidate=candidate,
        previous=comparison.champion_version,
        as_of=retrain.windows.as_of,
        target=spec.release.target.type,
        run_key=retrain.run_key,
    )
    intended = record(
        workspace,
        "release_intended",
        retrain.run_key,
        intent,
        lease,
        expected_release=comparison.champion_seq,
        expected_hand=deed_seq,
    )
    failpoint("release.intended")
    return intended
